"""Real workers: the loop wakes up for a tick, and processes share the ticks between them."""

import re
import threading
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command

from background_task import periodic
from background_task.management.argument import check
from background_task.models import CompletedTask, Schedule, Task
from background_task.worker.periodic import Ticker
from tests.app.models import Ledger
from tests.process import worker_process
from tests.waiting import wait_until
from tests.worker.running import Worker

pytestmark = pytest.mark.django_db(transaction=True)

LONG = 300.0  # a sleep that would fail the test if it were waited for
EACH_SECOND = {
    "BACKGROUND_TASK_PERIODIC": {
        "each second": {"task": "tests.app.tasks.record", "schedule": 1, "args": ["tick"]}
    }
}
PUT = re.compile(r"Put the tick (\S+ \S+?)(?:\+00:00)? of each second into the queue")


@pytest.mark.parametrize(
    "threads", [None, pytest.param(2, marks=pytest.mark.slow)], ids=["inline", "threads"]
)
def test_idle_worker_wakes_up_for_each_tick(registry, threads):
    runs = []
    periodic(1, args=["tick"])(registry.background(name="t")(runs.append))
    worker = Worker(threads=threads, sleep=LONG)
    with worker.running():
        worker.events.wait_for("success", count=3)
    ticks = [told["tick"] for told in worker.events.of("tick")]
    assert len(ticks) == len(set(ticks))
    assert ticks[2] - ticks[0] == timedelta(seconds=2)
    assert set(runs) == {"tick"}


def test_worker_whose_slots_are_full_puts_ticks_all_the_same(registry):
    go_on = threading.Event()

    @registry.background(name="long", queue="a")
    def long():
        assert go_on.wait(30)

    periodic(1)(registry.background(name="t")(lambda: None))
    long()
    worker = Worker(threads=1, sleep=LONG, queues=("a",))
    with worker.running():
        worker.events.wait_for("start")
        worker.events.wait_for("tick", count=2)
        go_on.set()
        worker.events.wait_for("success")
    assert Task.objects.filter(task_name="t").count() >= 2


def test_worker_without_periodic_leaves_ticks_to_others(registry):
    periodic(1)(registry.background(name="t")(lambda: None))
    worker = Worker(is_ticking=False, sleep=0.02)
    worker.run()
    assert not any(isinstance(chore, Ticker) for chore in worker.loop.chores)
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(("given", "is_ticking"), [({}, True), ({"no_periodic": True}, False)])
def test_option_no_periodic_is_passed_on(given, is_ticking):
    assert check(given).is_ticking is is_ticking


def test_worker_with_declaration_that_cannot_work_says_so_and_ends(settings):
    settings.BACKGROUND_TASK_PERIODIC = {"a": {"task": "tests.app.tasks.record", "schedule": 0}}
    with pytest.raises(CommandError, match="periodic 'a': schedule 0 never comes; use seconds"):
        call_command("process_tasks", duration=1)


@pytest.mark.slow
def test_processes_share_ticks_and_stop(transactional_db):
    with (
        worker_process("--sleep", "60", settings=EACH_SECOND) as one,
        worker_process("--sleep", "60", settings=EACH_SECOND) as other,
    ):
        for process in (one, other):
            process.wait_for_line("all queues")
        wait_until(lambda: Ledger.objects.filter(key="tick").count() >= 4, deadline=60)
        for process in (one, other):
            process.terminate()
        assert (one.wait(), other.wait()) == (0, 0)
    put = Counter(
        match[1]
        for process in (one, other)
        for line in process.lines
        if (match := PUT.search(line))
    )
    assert set(put.values()) == {1}
    times = sorted(datetime.fromisoformat(text) for text in put)
    assert [later - earlier for earlier, later in pairwise(times)] == [timedelta(seconds=1)] * (
        len(times) - 1
    )
    assert CompletedTask.objects.count() + Task.objects.count() == len(times)
    assert Ledger.objects.count() == CompletedTask.objects.count()
