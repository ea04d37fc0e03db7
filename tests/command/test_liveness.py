"""What containers and monitoring see of a worker: a file, and a port."""

import os
import socket
import sys
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command

from background_task import telemetry
from background_task.management import metrics
from background_task.management.liveness import LivenessFile
from background_task.worker.supervisor import Health
from tests.process import worker_process
from tests.waiting import wait_until

LEASE = 60.0


def test_file_is_there_from_the_start_follows_the_heartbeat_and_is_gone_at_the_end(tmp_path):
    path = tmp_path / "alive"
    with LivenessFile(str(path)).kept(by_heartbeat=True):
        os.utime(path, (1, 1))
        telemetry.event("heartbeat", worker="w")
        assert path.stat().st_mtime > 1
    assert not path.exists()
    telemetry.event("heartbeat", worker="w")
    assert not path.exists()


def test_file_of_worker_processes_does_not_follow_this_process(tmp_path):
    path = tmp_path / "alive"
    file = LivenessFile(str(path))
    with file.kept(by_heartbeat=False):
        os.utime(path, (1, 1))
        telemetry.event("heartbeat", worker="w")
        assert path.stat().st_mtime == 1
        file.touch()
        assert path.stat().st_mtime > 1


@pytest.mark.django_db
def test_file_that_cannot_be_written_ends_the_command_at_once(tmp_path):
    path = tmp_path / "missing" / "alive"
    with pytest.raises(CommandError, match=r"--liveness-file .*alive: No such file .*; use a path"):
        call_command("process_tasks", duration=60, liveness_file=str(path))


def test_directory_is_no_file(tmp_path):
    with (
        pytest.raises(CommandError, match="is a directory; use the path of a file in it"),
        LivenessFile(str(tmp_path)).kept(by_heartbeat=True),
    ):
        pass


def test_disk_that_is_full_later_is_logged_once_and_harms_nobody(tmp_path, caplog):
    folder = tmp_path / "folder"
    folder.mkdir()
    file = LivenessFile(str(folder / "alive"))
    with file.kept(by_heartbeat=True):
        (folder / "alive").unlink()
        folder.rmdir()
        telemetry.event("heartbeat", worker="w")
        telemetry.event("heartbeat", worker="w")
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def a_child(*, started_at, beat_at=None):
    return SimpleNamespace(started_at=started_at, beat_at=beat_at)


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ([a_child(started_at=0, beat_at=90), a_child(started_at=0, beat_at=95)], True),
        ([a_child(started_at=0, beat_at=90), a_child(started_at=80)], True),
        ([a_child(started_at=0, beat_at=90), a_child(started_at=30)], False),
        ([a_child(started_at=0, beat_at=90), a_child(started_at=0, beat_at=39)], False),
        ([a_child(started_at=0, beat_at=90)], True),
        ([a_child(started_at=95)], False),
        ([], False),
    ],
    ids=[
        *("all beat", "one is starting", "one never comes up", "one is silent"),
        *("one is being replaced", "each ends before it beats", "none"),
    ],
)
def test_health_is_told_while_no_worker_process_is_silent(children, expected):
    told = []
    health = Health(LEASE, tell=lambda: told.append(1))
    health._beat_at = 0.0
    health.look(children, now=100.0)
    health.look(children, now=101.0)
    assert len(told) == expected
    health.look(children, now=115.0)
    assert len(told) == 2 * expected


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["alone", "processes"])
def test_worker_touches_the_file_until_it_is_stopped(tmp_path, processes):
    path = tmp_path / "alive"
    settings = {"BACKGROUND_TASK_LEASE_SECONDS": 2}
    with worker_process("--liveness-file", str(path), *processes, settings=settings) as worker:
        worker.wait_for_line("finished tasks are kept")
        os.utime(path, (1, 1))
        wait_until(lambda: path.stat().st_mtime > 1)
        worker.terminate()
        assert worker.wait() == 0
    assert not path.exists()


# -- metrics ---------------------------------------------------------------------------------


def test_metrics_are_served_where_the_options_say(monkeypatch):
    served = []
    module = SimpleNamespace(serve=lambda port, *, address: served.append((port, address)))
    monkeypatch.setitem(sys.modules, metrics.MODULE, module)
    metrics.serve_metrics({})
    metrics.serve_metrics({"metrics_port": 9187})
    metrics.serve_metrics({"metrics_port": 9187, "metrics_address": "0.0.0.0"})
    assert served == [(9187, "127.0.0.1"), (9187, "0.0.0.0")]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(98, "Address already in use"), r"--metrics-port 9187: Address already .*; use an"),
        (ImportError("No module named 'p'"), r"needs the extra prometheus: .*\[prometheus\]"),
    ],
)
def test_metrics_that_cannot_be_served_end_the_command(monkeypatch, error, message):
    def serve(port, *, address):
        raise error

    monkeypatch.setitem(sys.modules, metrics.MODULE, SimpleNamespace(serve=serve))
    with pytest.raises(CommandError, match=message):
        metrics.serve_metrics({"metrics_port": 9187})


def test_metrics_port_that_somebody_has_ends_the_command():
    for module in ("prometheus_client", "background_task.contrib.prometheus"):
        pytest.importorskip(module)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=rf"--metrics-port {port}: .* at 127\.0\.0\.1; use"):
            metrics.serve_metrics({"metrics_port": port})


def test_metrics_address_without_a_port_is_refused():
    with pytest.raises(CommandError, match=r"--metrics-address ::1 .* give both"):
        metrics.serve_metrics({"metrics_address": "::1"})


@pytest.mark.parametrize("given", ["0", "65536", "http"])
def test_metrics_port_that_is_none_is_refused(given):
    with pytest.raises(CommandError, match=f"{given} is no port"):
        call_command("process_tasks", f"--metrics-port={given}")
