"""The worker inside servers, which fork and handle signals in their own ways."""

import os
import signal
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from background_task.models import Task, Worker
from tests.app.models import Ledger
from tests.app.tasks import hold, record
from tests.embedded.leftovers import assert_nothing_is_left
from tests.process import running
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.only_on("sqlite"),  # no database has a part in it
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
]

SETTINGS = {
    # Longer than uvicorn takes to look at its processes, and to repeat a signal to them.
    "BACKGROUND_TASK_EMBEDDED_WORKER": {"threads": 2, "shutdown_timeout": 2},
    "LOGGING": {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"background_task": {"handlers": ["console"], "level": "INFO"}},
    },
}
GUNICORN = ["gunicorn", "--bind=127.0.0.1:0", "django.core.wsgi:get_wsgi_application()"]
UVICORN = ["uvicorn", "--port=0", "--factory", "django.core.asgi:get_asgi_application"]
ADDRESS = r"(?:Listening at: |running on |serving at )http://127.0.0.1:(\d+)"
SERVING = (sys.executable, "-m", "tests.embedded.serving")
STARTED = r"A worker runs inside this process: embedded:\w+"


def request(server):
    """Ask the server for a page that it does not have."""
    port = server.wait_for_line(ADDRESS)[1]
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/nothing", timeout=30).close()
    except urllib.error.HTTPError as error:
        error.close()
    except urllib.error.URLError:  # uvicorn has told its address, and does not listen yet
        return False
    return True


def start(command, settings=SETTINGS):
    module, *arguments = command
    pytest.importorskip(module, reason=f"{module} is not installed here")
    return running(sys.executable, "-m", module, *arguments, settings=settings)


def request_often(server):
    """Ask more at once than one process answers."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(request, [server] * 4))


@pytest.mark.parametrize(
    ("number", "send"),
    [
        (signal.SIGTERM, os.kill),
        pytest.param(signal.SIGTERM, os.killpg, id="SIGTERM to all, as of systemd"),
        pytest.param(signal.SIGINT, os.killpg, id="SIGINT to all, as of a terminal"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        pytest.param([*GUNICORN, "--workers=2"], id="gunicorn"),
        pytest.param([*GUNICORN, "--workers=2", "--preload"], id="gunicorn that loads, then forks"),
        pytest.param(UVICORN, id="uvicorn"),
        pytest.param([*UVICORN, "--workers=2"], id="uvicorn with processes"),
    ],
)
def test_server_has_one_and_hands_back_at_the_end(tmp_path, command, number, send):
    held = hold("held", str(tmp_path / "never"))
    record("a")
    with start(command) as server:
        wait_until(lambda: request(server))
        server.wait_for_line(STARTED)
        if "--workers=2" in command:

            def is_other_refused():
                request_often(server)
                return "No worker runs inside this process" in server.output

            wait_until(is_other_refused)
        wait_until(lambda: Ledger.objects.filter(key="a").exists())
        wait_until(lambda: Ledger.objects.filter(key="held:started").exists())
        assert Worker.objects.filter(stopped_at=None).count() == 1
        send(server.pid, number)
        server.wait()
    assert_nothing_is_left()
    row = Task.objects.get(uid=held.uid)
    assert (row.attempts, row.last_error) == (0, "")


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["tests.embedded.serving"], id="wsgiref"),
        pytest.param(GUNICORN, id="gunicorn"),
        pytest.param(UVICORN, id="uvicorn"),
        pytest.param([*UVICORN, "--workers=2"], id="uvicorn with processes"),
    ],
)
def test_second_interrupt_ends_at_once_and_shows_no_traceback_of_ours(tmp_path, command):
    hold("held", str(tmp_path / "never"))
    settings = {**SETTINGS, "BACKGROUND_TASK_EMBEDDED_WORKER": {"shutdown_timeout": 300}}
    with start(command, settings=settings) as server:
        wait_until(lambda: request(server))
        wait_until(lambda: Ledger.objects.filter(key="held:started").exists())
        os.killpg(server.pid, signal.SIGINT)
        server.wait_for_line(r"may run for another 300 s")
        os.killpg(server.pid, signal.SIGINT)
        server.wait()
        assert "embedded_worker" not in server.output


@pytest.mark.skipif(sys.platform == "darwin", reason="no process is forked there")
@pytest.mark.parametrize("order", ["load-then-fork", "fork-then-load"])
def test_process_that_ends_as_those_of_multiprocessing_do_hands_back(tmp_path, order):
    """It calls nothing that ``atexit`` has, as the processes of granian do not."""
    hold("held", str(tmp_path / "never"))
    with running(*SERVING, order, settings=SETTINGS) as server:
        request(server)
        wait_until(lambda: Ledger.objects.filter(key="held:started").exists())
        request(server)
        assert server.wait() == 0
    assert_nothing_is_left()


def test_second_server_is_refused_serves_on_and_takes_over():
    settings = {**SETTINGS, "BACKGROUND_TASK_LEASE_SECONDS": 2}
    with (
        running(*SERVING, settings=settings) as first,
        running(*SERVING, settings=settings) as second,
    ):
        second.wait_for_line(ADDRESS)
        first.wait_for_line(ADDRESS)
        assert not Worker.objects.exists()
        request(first)
        first.wait_for_line(STARTED)
        request(second)
        second.wait_for_line(rf"No worker runs inside this process \(\d+\).* {first.pid} on ")
        request(second)
        record("a")
        wait_until(lambda: Ledger.objects.filter(key="a").exists())
        first.terminate()
        assert first.wait() == -signal.SIGTERM
        assert_nothing_is_left()

        def is_taken_over():
            request(second)
            return Worker.objects.filter(stopped_at=None).exists()

        wait_until(is_taken_over, interval=0.1)
        second.terminate()
        assert second.wait() == -signal.SIGTERM
    assert_nothing_is_left()
