"""Logs of attempts, kept by a worker that runs tasks in each way there is."""

import asyncio
import contextvars
import logging
import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction

from background_task import attendant, log_capture
from background_task.models import AttemptLog, CompletedTask
from background_task.store import get_store
from background_task.store.archive import Archive
from background_task.store.attempt_log import AttemptLogs
from tests.policies.running import Bench, completed, make_due
from tests.worker.conftest import registry

__all__ = ["registry"]  # fixtures

pytestmark = pytest.mark.django_db(transaction=True)
logger = logging.getLogger("tests.logs")


@pytest.fixture(params=["inline", "threads", "coroutines"])
def bench(registry, request):
    return Bench(registry, request.param)


@pytest.fixture
def inline(registry):
    return Bench(registry, "inline")


@pytest.fixture(autouse=True)
def level(settings):
    settings.BACKGROUND_TASK_LOG_LEVEL = "INFO"
    before = logger.level
    logger.setLevel(logging.DEBUG)
    yield
    logger.setLevel(before)
    assert not attendant.factories
    assert not [
        each for each in logging.getLogger().handlers if type(each) is log_capture.CaptureHandler
    ]


def speak(text="I speak"):
    logger.debug("too low")
    logger.info(text)


def texts():
    """What is kept, without the times at which it was said."""
    kept = AttemptLog.objects.order_by("attempt").values_list("text", flat=True)
    return [text.partition(" tests.logs: ")[2] for text in kept]


def test_log_of_a_run_is_kept_with_it(bench):
    task = bench.task(speak)()
    bench.work()
    log = AttemptLog.objects.get()
    assert (log.uid, log.attempt) == (task.uid, 1)
    assert log.text.endswith(" INFO tests.logs: I speak")
    assert log.worker
    assert completed().status == "succeeded"


def test_runs_that_go_on_at_once_each_keep_their_own(bench):
    barrier = threading.Barrier(2) if bench.way == "threads" else None

    def say(text):
        logger.info("begin %s", text)
        if barrier is not None:
            barrier.wait(timeout=60)
        logger.info("end %s", text)

    job = bench.task(say)
    uids = {job(text).uid: text for text in ("one", "two")}
    bench.work(2)
    for log in AttemptLog.objects.all():
        text = uids.pop(log.uid)
        assert [line.partition(": ")[2] for line in log.text.splitlines()] == [
            f"begin {text}",
            f"end {text}",
        ]
    assert not uids


def test_run_that_says_nothing_keeps_nothing(bench):
    bench.task(lambda: None)()
    bench.work()
    assert not AttemptLog.objects.exists()


def test_each_attempt_keeps_its_own(bench):
    def fail():
        logger.warning("about to fail")
        raise OSError

    task = bench.task(fail, max_attempts=2, backoff=0)()
    bench.work()
    make_due()
    bench.work()
    kept = AttemptLog.objects.order_by("attempt").values_list("uid", "attempt")
    assert list(kept) == [(task.uid, 1), (task.uid, 2)]
    assert texts() == ["about to fail"] * 2  # and nothing of what this library says of it


def test_level_none_keeps_nothing(inline, settings):
    settings.BACKGROUND_TASK_LOG_LEVEL = None
    inline.task(speak)()
    inline.work()
    assert not AttemptLog.objects.exists()


def test_log_of_a_run_that_is_rolled_back_is_kept(inline):
    """It is written after the transaction of the function, with which it would be gone."""

    def fail():
        speak()
        raise OSError

    inline.task(fail, atomic=True, max_attempts=1)()
    inline.work()
    assert texts() == ["I speak"]
    assert completed().status == "failed"


def test_log_of_a_run_that_leaves_a_transaction_open_is_kept(inline):
    def leave():
        transaction.atomic().__enter__()
        speak()

    inline.task(leave)()
    inline.work()
    assert texts() == ["I speak"]


def test_log_that_cannot_be_written_harms_nothing(bench, monkeypatch):
    def refuse(*args, **kwargs):
        raise DatabaseError("no room")

    monkeypatch.setattr(AttemptLogs, "add", refuse)
    bench.task(speak)()
    events = bench.work()
    assert completed().status == "succeeded"
    assert str(events.of("unlogged")[0]["exception"]) == "no room"


def test_log_of_what_no_database_stores_is_kept(inline):
    inline.task(lambda: speak("nul \x00 half \ud800 duck 🦆"))()
    inline.work()
    assert texts() == ["nul \\x00 half \\ud800 duck 🦆"]


def test_log_of_a_thread_is_kept_where_the_context_goes(inline):
    def start():
        for run in (speak, contextvars.copy_context().run):
            args = ("in a thread",) if run is speak else (speak, "in the context")
            thread = threading.Thread(target=run, args=args)
            thread.start()
            thread.join()

    inline.task(start)()
    inline.work()
    assert texts() == ["in the context"]


def test_log_of_what_a_coroutine_starts_is_kept(registry):
    @registry.background(name="job")
    async def start():
        await asyncio.gather(asyncio.to_thread(speak, "thread"), nested())

    async def nested():
        logger.info("nested")

    start()
    Bench(registry, "coroutines").work()
    lines = AttemptLog.objects.get().text.splitlines()
    assert sorted(line.rpartition(" ")[2] for line in lines) == ["nested", "thread"]


def test_logs_are_deleted_with_their_task(inline):
    job = inline.task(speak)
    job("one")
    job("two")
    inline.work(2)
    archive = Archive(get_store().using)
    keys = list(CompletedTask.objects.order_by("pk").values_list("pk", flat=True))
    assert archive.discard(keys[:1]) == 1
    assert texts() == ["two"]
    assert list(archive.purge(archive.rows(), batch_size=10)) == [1]
    assert texts() == []


def test_logs_of_no_task_are_deleted_by_age(inline):
    inline.task(speak)()
    inline.work()
    CompletedTask.objects.all().delete()
    now = get_store().now()
    logs = AttemptLogs(get_store().using)
    assert logs.discard_before(now - timedelta(days=1), most=10) == 0
    assert logs.discard_before(now + timedelta(days=1), most=10) == 1
