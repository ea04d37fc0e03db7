"""What a worker with nothing to do costs, and how soon it begins when there is something."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from ..bench import Bench
from ..hosts import Host
from ..peers import Peer
from ..processes import FailedError, Project, Workers
from ..results import percentile
from ..servers import PostgreSQLHost

#: A worker that has just worked is quicker than one that has long been idle.
REST_SECONDS = 3.0
EMPTY_SECONDS = 60.0
#: The slowest peers look every five seconds.
SECONDS_FOR_A_SAMPLE = 6.0


@contextlib.contextmanager
def resting(host: Host, project: Project) -> Iterator[Workers]:
    """Yield a worker that has done something and has had nothing to do since."""
    with host.connect(project.place) as connection:
        if not project.peer.unfinished(connection):
            project.client("enqueue", 1)
        with project.workers(1) as running:
            wait_until_empty(project, connection, running, EMPTY_SECONDS)
            time.sleep(REST_SECONDS)
            yield running


def wait_until_empty(project: Project, connection: Any, running: Workers, seconds: float) -> None:
    end = time.monotonic() + seconds
    while left := project.peer.unfinished(connection):
        running.check()
        if time.monotonic() > end:
            raise FailedError(f"{left} tasks are unfinished after {seconds:.0f} s")
        time.sleep(0.1)


def latency(bench: Bench, peer: Peer, kind: str, config: str, *, samples: int) -> dict[str, Any]:
    """Measure from just before the call is stored to the first line of the task."""
    host = bench.host(kind)
    with bench.project(peer, kind, config) as project:
        project.stamps.unlink(missing_ok=True)
        with resting(host, project) as running:
            project.client("stamps", samples)
            waits = collect(project, running, samples)
    return {
        "p50": percentile(waits, 50),
        "p95": percentile(waits, 95),
        "max": max(waits),
        "waits": waits,
    }


def collect(project: Project, running: Workers, samples: int) -> list[float]:
    """Wait for the tasks' notes; return seconds."""
    end = time.monotonic() + samples * SECONDS_FOR_A_SAMPLE
    while True:
        lines = project.stamps.read_text().splitlines() if project.stamps.exists() else []
        if len(lines) >= samples:
            return [float(line) for line in lines]
        running.check()
        if time.monotonic() > end:
            raise FailedError(f"{len(lines)} of {samples} tasks ran")
        time.sleep(0.1)


def idle(bench: Bench, peer: Peer, kind: str, *, seconds: float) -> dict[str, Any]:
    """Measure processor time, and statements where they are counted."""
    host = bench.host(kind)
    with bench.project(peer, kind, "default") as project:
        counts = isinstance(host, PostgreSQLHost)
        if counts:
            host.count_statements(project.place)
        with resting(host, project) as running:
            time.sleep(REST_SECONDS)
            cpu, began = running.cpu_seconds(), time.perf_counter()
            statements = host.statements(project.place) if counts else 0
            time.sleep(seconds)
            running.check()
            took = time.perf_counter() - began
            found = {"cpu_share": (running.cpu_seconds() - cpu) / took}
            if counts:
                found["statements"] = (host.statements(project.place) - statements) / took
    return found


def memory(bench: Bench, peer: Peer, kind: str, *, tasks: int, seconds: float) -> dict[str, Any]:
    """Measure one worker: at rest, and after many tasks, beside the bare project."""
    host = bench.host(kind)
    count = min(tasks, max(100, round(peer.pace * seconds)))
    with bench.project(peer, kind, "best") as project:
        base = project.client("baseline") if peer.table is not None else {}
        with resting(host, project) as running:
            before = running.memory()
    with (
        bench.project(peer, kind, "best", pending=count) as project,
        host.connect(project.place) as connection,
        project.workers(1) as running,
    ):
        wait_until_empty(project, connection, running, EMPTY_SECONDS)
        after = running.memory()
    found = {f"base_{name}": size for name, size in base.items()}
    found |= {f"rest_{name}": size for name, size in before.items()}
    return found | {f"after_{name}": size for name, size in after.items()} | {"tasks": count}
