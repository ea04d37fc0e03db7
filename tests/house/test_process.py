"""The helper that the crash tests stand on."""

import os
import signal
import sys
from pathlib import Path

import pytest
from django.db import connection

from tests.app.models import Ledger
from tests.process import django_process, running
from tests.waiting import wait_until

SLEEPER = "import signal; print('up', flush=True); signal.pause()"


@pytest.mark.django_db
def test_running_inside_a_transaction_is_refused():
    with pytest.raises(AssertionError, match="transaction=True"), running("true"):
        pass


@pytest.mark.django_db(transaction=True)
def test_process_writes_to_the_database_of_the_test():
    code = "from tests.app.models import Ledger; Ledger.objects.create(key='from outside')"
    with django_process("shell", "-c", code) as process:
        assert process.wait() == 0, process.output
    assert Ledger.objects.get().key == "from outside"


@pytest.mark.django_db(transaction=True)
def test_process_gets_settings_that_differ():
    code = "from django.conf import settings; print('<%s>' % settings.MAX_ATTEMPTS)"
    with django_process("shell", "-c", code, settings={"MAX_ATTEMPTS": 7}) as process:
        process.wait_for_line("<7>")


@pytest.mark.django_db(transaction=True)
def test_wait_for_line_that_never_comes_shows_the_output():
    with running(sys.executable, "-c", "print('only this')") as process:
        with pytest.raises(AssertionError, match=r"output ended[\s\S]*only this"):
            process.wait_for_line("something else")
        assert process.wait() == 0


@pytest.mark.django_db(transaction=True)
def test_wait_for_line_counts_matches():
    with running(sys.executable, "-c", "for n in range(3): print('tick', n)") as process:
        assert process.wait_for_line(r"tick (\d)", count=3).group(1) == "2"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_wait_tells_the_signal_that_ended_the_process(number):
    code = f"import signal; signal.signal({signal.SIGINT.value}, signal.SIG_DFL); {SLEEPER}"
    with running(sys.executable, "-c", code) as process:
        process.wait_for_line("up")
        process.send_signal(number)
        assert process.wait() == -number


@pytest.mark.django_db(transaction=True)
def test_leaving_the_block_kills_the_process_and_its_children():
    code = (
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]); "
        "print('child', child.pid, flush=True); child.wait()"
    )
    with running(sys.executable, "-c", code) as process:
        child = int(process.wait_for_line(r"child (\d+)").group(1))
        process.stop()
    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: not is_running(child), message="the child is gone")


def is_running(pid):
    """Whether the process lives; a zombie that nobody has asked about yet does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    return state != "Z"


@pytest.mark.only_on("postgresql", "mariadb")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("immediately", [False, True])
def test_server_restart_keeps_committed_rows(database_server, immediately):
    Ledger.objects.create(key="before")
    database_server.restart(immediately=immediately)
    connection.close()
    assert Ledger.objects.get().key == "before"
