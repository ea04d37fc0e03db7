"""Section 16, defects 17 to 20: each test fails on django-background-tasks 1.2.8."""

import contextlib
import io
import multiprocessing.pool
import sys
import threading
from unittest import mock

import pytest
from django.core.management import call_command
from django.db import InterfaceError, InternalError, OperationalError, connection, connections

from background_task.models import CompletedTask, Task
from background_task.tasks import PoolRunner, bg_runner, tasks
from tests.compat.running import DEADLINE_SECONDS, streams_to_log
from tests.process import running
from tests.waiting import wait_until

COMMAND_LOGGER = "background_task.management.commands.process_tasks"


# -- 17: the pool -------------------------------------------------------------------------------


def test_defect_17_exception_of_the_pools_function_is_logged(records_of):
    records = records_of("")

    def broken(*args, **kwargs):
        raise LookupError("it broke in the pool")

    PoolRunner(broken, 1).run(None)
    wait_until(
        lambda: [r for r in records.records if r.exc_info and r.exc_info[0] is LookupError],
        message="nothing was logged",
    )


def test_defect_17_pool_is_made_once_when_many_ask_at_once():
    """Two first callers must not both make a pool: together they would run more than allowed."""
    meeting = threading.Barrier(2)
    make = multiprocessing.pool.ThreadPool.__init__

    def make_slowly(*args, **kwargs):
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait(0.5)
        make(*args, **kwargs)

    together = threading.Barrier(2)
    overlaps, done = [], threading.Semaphore(0)

    def run(*args, **kwargs):
        try:
            together.wait(0.5)
            overlaps.append(1)
        except threading.BrokenBarrierError:
            pass
        done.release()

    pool = PoolRunner(run, 1)
    with mock.patch.object(multiprocessing.pool.ThreadPool, "__init__", make_slowly):
        callers = [threading.Thread(target=pool.run, args=(None,)) for _ in range(2)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(DEADLINE_SECONDS)
    for _ in callers:
        assert done.acquire(timeout=DEADLINE_SECONDS)
    assert overlaps == []


LEAVE_WITH_TASK_RUNNING = """
import sys, threading
from pathlib import Path
import django
django.setup()
from background_task.tasks import tasks
from tests.waiting import wait_until
started = threading.Event()
@tasks.background(name="holds")
def hold(path):
    started.set()
    wait_until(Path(path).exists, deadline=30)
assert tasks.run_next_task() is True
assert started.wait(20)
print("leaving", flush=True)
"""


@pytest.mark.django_db(transaction=True)
def test_defect_17_process_ends_after_the_tasks_in_its_pool(tmp_path):
    go = tmp_path / "go"
    Task.objects.new_task("holds", (str(go),)).save()
    options = {"BACKGROUND_TASK_RUN_ASYNC": True, "BACKGROUND_TASK_ASYNC_THREADS": 1}
    with running(sys.executable, "-c", LEAVE_WITH_TASK_RUNNING, settings=options) as process:
        process.wait_for_line("^leaving")
        with pytest.raises(AssertionError, match="still running"):
            process.wait(deadline=1.5)
        go.touch()
        assert process.wait() == 0, process.output
    assert not Task.objects.exists()
    assert CompletedTask.objects.succeeded().count() == 1


@pytest.mark.django_db(transaction=True)
def test_defect_17_pool_threads_keep_no_connection_while_idle(settings, runs):
    settings.BACKGROUND_TASK_RUN_ASYNC = True
    used = []

    @tasks.background(name="connects")
    def connects():
        Task.objects.exists()
        connection.settings_dict["CONN_MAX_AGE"] = None
        connection.close_at = None
        used.append(connections["default"])

    age = connection.settings_dict["CONN_MAX_AGE"]
    try:
        connects()
        assert runs.next()
        (of_thread,) = used
        assert of_thread is not connections["default"]
        wait_until(lambda: of_thread.connection is None, message="the connection stays open")
    finally:
        connection.settings_dict["CONN_MAX_AGE"] = age
        for wrapper in used:
            wrapper.inc_thread_sharing()
            wrapper.close()


# -- 18: tasks.run_task by name -----------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_defect_18_run_task_by_name_needs_no_arguments(mode, runs, recording):
    runs.this("recorded")
    assert recording.calls == [((), {})]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("keyword", ["task", "proxy_task", "args", "kwargs", "task_name", "claim"])
def test_defect_18_run_task_by_name_passes_keywords_of_any_name(mode, runs, recording, keyword):
    runs.this("recorded", [1], {keyword: "a value"})
    assert recording.calls == [((1,), {keyword: "a value"})]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", ["locked", "future"])
def test_defect_18_run_task_by_name_leaves_rows_that_are_not_due(mode, runs, recording, state):
    task = recording.proxy(1, schedule=3600 if state == "future" else 0)
    if state == "locked":
        task = task.lock("another worker")
    runs.this("recorded", [1], {})
    stored = Task.objects.get()
    for name in ("run_at", "locked_by", "locked_at", "attempts", "last_error"):
        assert getattr(stored, name) == getattr(task, name), name
    assert recording.calls == [((1,), {})]
    assert not CompletedTask.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_defect_18_run_task_with_row_of_another_owner_does_not_run_it(recording):
    task = recording.proxy(1)
    task.lock("another worker")
    tasks.run_task(task)
    assert recording.calls == []
    assert Task.objects.get().locked_by == "another worker"
    assert not CompletedTask.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_defect_18_run_task_with_row_seen_while_another_owner_holds_it_does_not_run_it(recording):
    """A copy that shows somebody's lock is no proof that the caller owns it."""
    recording.proxy(1).lock("another worker")
    seen = Task.objects.get()
    assert seen.locked_by == "another worker"
    tasks.run_task(seen)
    assert recording.calls == []
    assert Task.objects.get().locked_by == "another worker"


@pytest.mark.django_db(transaction=True)
def test_defect_18_run_task_with_row_locked_by_the_caller_runs_it(mode, runs, recording):
    locked = recording.proxy(1).lock("the caller")
    runs.this(locked)
    assert recording.calls == [((1,), {})]
    assert not Task.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_defect_18_run_task_with_row_that_is_finished_does_not_run_it_again(recording):
    task = recording.proxy(1)
    stale = Task.objects.get()
    tasks.run_task(task)
    tasks.run_task(stale)
    bg_runner(recording.proxy, stale)
    assert recording.calls == [((1,), {})]
    assert CompletedTask.objects.count() == 1


# -- 19: the command ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_defect_19_logged_stream_behaves_like_a_stream(records_of, name):
    records = records_of(COMMAND_LOGGER)
    with streams_to_log():
        stream = getattr(sys, name)
        stream.flush()
        assert stream.isatty() is False
        assert stream.encoding.lower().replace("-", "") == "utf8"
        assert stream.writable()
        assert stream.closed is False
        with pytest.raises(io.UnsupportedOperation):
            stream.fileno()
        assert stream.write("one\ntwo") == 7
        stream.writelines([" and a half\n", "three"])
        stream.flush()
    assert records.messages() == ["one", "two and a half", "three"]


def test_defect_19_blank_lines_are_not_logged(records_of):
    records = records_of(COMMAND_LOGGER)
    with streams_to_log():
        print("text")  # noqa: T201
        print()  # noqa: T201
        print("   ", file=sys.stderr)  # noqa: T201
    assert [message.strip() for message in records.messages()] == ["text"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError, InterfaceError, InternalError])
def test_defect_19_database_error_while_polling_does_not_end_the_worker(
    recording, runs, records_of, error
):
    records = records_of("background_task.tasks")
    recording.proxy(1)
    with mock.patch(
        "django.db.backends.utils.CursorWrapper.execute", side_effect=error("it is gone")
    ):
        assert tasks.run_next_task() is False
    assert records.levels() & {"WARNING", "ERROR", "CRITICAL"} == {"WARNING"}
    assert runs.next() is True


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("os_signals", "end_without_work")
def test_defect_19_connection_that_breaks_in_a_task_is_replaced_for_the_next(recording):
    @tasks.background(name="breaks")
    def breaks():
        Task.objects.exists()
        connection.connection.close()

    breaks(priority=9)
    breaks(priority=8)
    recording.proxy(1)
    try:
        call_command("process_tasks", duration=60, sleep=0.05, verbosity=0)
    finally:
        connection.close()
    assert recording.calls == [((1,), {})]
    assert not Task.objects.exists()
    assert CompletedTask.objects.succeeded().count() == 3


# -- 20: whole-row saves ------------------------------------------------------------------------


@pytest.mark.django_db
def test_defect_20_increment_attempts_leaves_concurrent_edits_alone():
    task = Task.objects.new_task("n")
    task.save()
    Task.objects.update(priority=7, verbose_name="edited", locked_by="a worker")
    task.increment_attempts()
    stored = Task.objects.get()
    assert (stored.attempts, stored.priority) == (1, 7)
    assert (stored.verbose_name, stored.locked_by) == ("edited", "a worker")


@pytest.mark.django_db
def test_defect_20_reschedule_leaves_concurrent_edits_alone():
    task = Task.objects.new_task("n")
    task.save()
    Task.objects.update(priority=7, verbose_name="edited", queue="moved")
    task.reschedule(ValueError, ValueError("it broke"), None)
    stored = Task.objects.get()
    assert (stored.attempts, stored.locked_by) == (1, None)
    assert (stored.priority, stored.verbose_name, stored.queue) == (7, "edited", "moved")


@pytest.mark.django_db(transaction=True)
def test_defect_20_failed_run_leaves_edits_made_meanwhile_alone(mode, runs):
    @tasks.background(name="edited")
    def edited():
        Task.objects.update(priority=7, verbose_name="edited", queue="moved")
        raise ValueError("it broke")

    edited()
    assert runs.next()
    stored = Task.objects.get()
    assert (stored.attempts, stored.locked_by) == (1, None)
    assert (stored.priority, stored.verbose_name, stored.queue) == (7, "edited", "moved")
