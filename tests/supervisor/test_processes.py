"""``--processes``: workers that are replaced when they die and stop together."""

import os
import re
import signal
from contextlib import contextmanager, suppress

import pytest
from django.core.management import CommandError, call_command

from background_task.models import AttemptLog, CompletedTask, Task, Worker
from tests.app.models import Ledger
from tests.app.tasks import hold, record
from tests.process import worker_process
from tests.settings import INSTALLED_APPS
from tests.supervisor import tasks as here
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(os.name == "nt", reason="signals"),
    pytest.mark.slow,
]

SETTINGS = {"INSTALLED_APPS": [*INSTALLED_APPS, "tests.supervisor"]}


@contextmanager
def supervised(*arguments, processes=2, settings=None):
    """Worker processes that poll quickly, all of them at work."""
    options = ("--sleep", "0.1", "--processes", str(processes), *arguments)
    with worker_process(*options, settings={**SETTINGS, **(settings or {})}) as parent:
        for number in range(1, processes + 1):
            parent.wait_for_line(rf"\[{number}\] background_task .*: worker ")
        yield parent


def alive():
    return Worker.objects.filter(stopped_at=None)


def pids(parent):
    """The processes that were started, by number; the last of each."""
    found = re.findall(r"Worker process (\d+) has the process number (\d+)", parent.output)
    return {int(number): int(pid) for number, pid in found}


def has_begun(key):
    wait_until(Ledger.objects.filter(key=f"{key}:started").exists, deadline=30)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with suppress(OSError), open(f"/proc/{pid}/stat") as stat:
        return ") Z " not in stat.read()  # nobody but init waits for an orphan
    return True


def assert_released(task):
    row = Task.objects.get(pk=task.pk)
    assert (row.locked_by, row.attempts, row.last_error) == (None, 0, "")


def test_processes_share_the_work_and_stop_with_status_0():
    for number in range(20):
        record(str(number))
    with supervised("--threads", "2") as parent:
        wait_until(lambda: [worker.capacity for worker in alive()] == [2, 2], deadline=60)
        wait_until(lambda: CompletedTask.objects.count() == 20, deadline=60)
        parent.terminate()
        assert parent.wait() == 0
    assert Ledger.objects.count() == 20
    assert "All worker processes have ended (SIGTERM)" in parent.output
    assert len(re.findall(r"\[\d\] Stopped \(SIGTERM\)", parent.output)) == 2
    assert not alive().exists()


def test_each_process_keeps_the_logs_of_its_tasks():
    tasks = {here.speak().uid for _ in range(4)}
    settings = {
        "BACKGROUND_TASK_LOG_LEVEL": "INFO",
        "LOGGING": {"version": 1, "loggers": {"tests.supervisor": {"level": "INFO"}}},
    }
    with supervised("--max-tasks", "1", settings=settings) as parent:
        wait_until(lambda: AttemptLog.objects.count() == 4, deadline=60)
        parent.terminate()
        assert parent.wait() == 0
    logs = AttemptLog.objects.all()
    assert {log.uid for log in logs} == tasks
    assert len({log.worker for log in logs}) == 4
    pids = dict(Worker.objects.values_list("name", "pid"))
    for log in logs:
        assert re.fullmatch(rf".* INFO tests.supervisor: I speak in {pids[log.worker]}", log.text)


@pytest.mark.parametrize(
    ("name", "to"),
    [
        ("SIGTERM", "the parent"),
        ("SIGTERM", "the group"),
        ("SIGINT", "the group"),
        pytest.param("SIGTSTP", "the group", marks=pytest.mark.slow),
    ],
)
def test_signal_lets_running_tasks_finish(name, to, tmp_path):
    """Also when each process gets it from somebody else as well."""
    hold("held", str(tmp_path / "go"))
    with supervised(processes=1) as parent:
        has_begun("held")
        number = getattr(signal, name)
        if to == "the parent":
            parent.send_signal(number)
        else:
            os.killpg(parent.pid, number)
        parent.wait_for_line(rf"\[1\] Stopping \({name}\)")
        assert Ledger.objects.filter(key="held:finished").count() == 0
        (tmp_path / "go").touch()
        assert parent.wait() == 0
    assert CompletedTask.objects.get().attempts == 1


def test_second_signal_releases_what_runs(tmp_path):
    held = hold("held", str(tmp_path / "never"))
    with supervised(processes=1) as parent:
        has_begun("held")
        parent.terminate()
        parent.wait_for_line(r"\[\d\] Stopping \(SIGTERM\)")
        parent.terminate()
        assert parent.wait(20) == 0
    assert_released(held)


def test_end_of_duration_ends_all():
    with worker_process("--sleep", "0.1", "--processes", "1", "--duration", "2") as parent:
        assert parent.wait() == 0
    assert "All worker processes have ended (the duration is over)" in parent.output


def test_slow_and_fast_signals_are_passed_on():
    with supervised(processes=1) as parent:
        parent.send_signal(signal.SIGUSR2)
        for number in range(3):
            record(str(number))
        parent.wait_for_line("Ran task", count=3)
        parent.send_signal(signal.SIGUSR1)
        for number in range(60):
            record(str(number))
        parent.wait_for_line("Ran task", count=63, deadline=29)  # slowly it would take 30


@pytest.mark.parametrize(
    "how", ["SIGKILL", "exit", pytest.param("SIGSEGV", marks=pytest.mark.slow)]
)
def test_process_that_a_task_ends_is_replaced_and_its_task_recovered(how, tmp_path):
    here.die(how, str(tmp_path / "once"))
    # Much longer than the test may take: nobody waits for the lease.
    settings = {"BACKGROUND_TASK_LEASE_SECONDS": 3600}
    with supervised(processes=1, settings=settings) as parent:
        parent.wait_for_line(r"has ended \((SIGKILL|SIGSEGV|exit status 0)\); starting another")
        wait_until(Ledger.objects.filter(key=f"{how} survived").exists, deadline=60)
        parent.terminate()
        assert parent.wait() == 0
    assert CompletedTask.objects.get().attempts == 2


def test_kill_of_one_process_costs_only_its_own_task(tmp_path):
    hold("first", str(tmp_path / "go"))
    hold("second", str(tmp_path / "go"))
    settings = {"BACKGROUND_TASK_LEASE_SECONDS": 3600}
    with supervised(settings=settings) as parent:
        has_begun("first")
        has_begun("second")
        os.kill(pids(parent)[1], signal.SIGKILL)
        # The place of the dead is filled, and its task begun for the second time.
        wait_until(lambda: Ledger.objects.count() == 3, deadline=60)
        (tmp_path / "go").touch()
        wait_until(lambda: CompletedTask.objects.count() == 2, deadline=60)
        parent.terminate()
        assert parent.wait() == 0
    assert sorted(CompletedTask.objects.values_list("attempts", flat=True)) == [1, 2]


def test_kill_of_the_parent_ends_the_processes_in_order(tmp_path):
    hold("held", str(tmp_path / "go"))
    with supervised() as parent:
        has_begun("held")
        children = pids(parent).values()
        parent.kill()
        parent.wait_for_line(r"Stopped \(the process that started this worker is gone\)")
        (tmp_path / "go").touch()
        wait_until(lambda: not any(map(is_running, children)), deadline=60)
    assert CompletedTask.objects.get().attempts == 1
    assert not alive().exists()


def test_processes_that_end_at_once_are_started_after_growing_pauses():
    with supervised(processes=1) as parent:
        for count in range(1, 4):
            parent.wait_for_line("has the process number", count=count)
            os.kill(pids(parent)[1], signal.SIGKILL)
        parent.wait_for_line(r"\(SIGKILL\); starting another$")
        parent.wait_for_line(r"\(SIGKILL\); starting another in 1 s$")
        parent.wait_for_line(r"\(SIGKILL\); starting another in 2 s$")
        parent.terminate()
        assert parent.wait() == 0


@pytest.mark.slow
def test_process_that_does_not_stop_is_killed_and_the_status_is_1():
    here.overrun("holding", says_so=True)
    settings = {"BACKGROUND_TASK_SHUTDOWN_SECONDS": 0.5}
    with supervised(processes=1, settings=settings) as parent:
        wait_until(Ledger.objects.filter(key="holding started").exists, deadline=60)
        parent.terminate()
        assert parent.wait() == 1
    assert "it does not stop" in parent.output
    assert not alive().exists()


def test_child_started_by_a_task_knows_nothing_of_the_parent():
    """Neither descriptors nor variables are passed on; standard input is empty."""
    here.look_around()
    with supervised(processes=1) as parent:
        parent.wait_for_line("Ran task")
        parent.terminate()
        assert parent.wait() == 0
    assert Ledger.objects.get().key == "[] nothing to read"


def test_processes_without_a_command_line_are_refused():
    with pytest.raises(CommandError, match="starts this command line again"):
        call_command("process_tasks", processes=2)


def test_processes_beside_dev_are_refused():
    with pytest.raises(CommandError, match="--processes is for running, --dev for developing"):
        call_command("process_tasks", processes=2, dev=True)
