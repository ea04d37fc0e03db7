"""How fast workers run what is pending."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..bench import Bench
from ..hosts import Host
from ..peers import Peer
from ..processes import FailedError, Project, Workers, cpu_seconds

START_SECONDS = 30.0
#: How often unfinished tasks are counted; less often where counting takes long.
COUNT_SECONDS = 0.04
#: A small backlog is gone soon.
SMALL_BACKLOG = 5000
SHORT_COUNT_SECONDS = 0.005
REPEATS = 3
#: Counting may take this share of the time.
COUNT_SHARE = 0.1
LEAST_BACKLOG = 200


class TooFewError(FailedError):
    """All was done between two counts."""


def drain(
    bench: Bench, peer: Peer, kind: str, config: str, *, workers: int, seconds: float
) -> dict[str, Any]:
    """Fill a queue with no-op tasks, start workers, and watch them for so long at most."""
    count = max(LEAST_BACKLOG, round(peer.pace * seconds * 1.5))
    with bench.project(peer, kind, config, pending=count) as project:
        return {"backlog": count, **run_down(bench.host(kind), project, workers, seconds)}


def drain_backlog(
    bench: Bench, peer: Peer, kind: str, *, pending: int, finished: int, seconds: float
) -> dict[str, Any]:
    """Watch one worker with a backlog of this size; several times what is soon gone."""
    times = REPEATS if pending < peer.pace else 1
    done = took = 0.0
    for _ in range(times):
        with bench.project(peer, kind, "best", pending=pending, finished=finished) as project:
            try:
                found = run_down(bench.host(kind), project, 1, seconds)
            except TooFewError:
                continue
        done += found["done"]
        took += found["done"] / found["rate"]
    if not done:
        raise TooFewError(f"{pending} tasks are done too soon to be watched")
    return {"rate": done / took, "done": int(done)}


def run_down(host: Host, project: Project, workers: int, seconds: float) -> dict[str, Any]:
    """Start workers on a full queue and measure their rate, processor time and memory."""
    with host.connect(project.place) as connection:
        before = project.peer.unfinished(connection)
        with project.workers(workers) as running:
            pause = COUNT_SECONDS if before >= SMALL_BACKLOG else SHORT_COUNT_SECONDS
            watch = Watch(lambda: project.peer.unfinished(connection), running, pause)
            watch.wait_for_progress(before)
            if not watch.left:
                raise TooFewError(f"{before} tasks are done too soon to be watched")
            costs = Costs(host, running)
            began, count = watch.at, watch.left
            while watch.left and watch.at - began < seconds:
                watch.look()
            done = count - watch.left
            found = costs.per_thousand(done)
            found |= {"rate": done / (watch.at - began), "done": done} | running.memory()
        check_none_failed(project, connection)
    return found


class Watch:
    """Counts what is left, as rarely as needed for the count not to matter."""

    def __init__(self, count: Callable[[], int], workers: Workers, pause: float) -> None:
        self._count = count
        self._workers = workers
        self._least_pause = self._pause = pause
        self.at = 0.0
        self.left = 0

    def look(self) -> None:
        """Wait a little, then count."""
        time.sleep(self._pause)
        self._workers.check()
        self.at = time.perf_counter()  # the count sees what was there when it began
        self.left = self._count()
        took = time.perf_counter() - self.at
        self._pause = max(self._least_pause, took / COUNT_SHARE)

    def wait_for_progress(self, before: int) -> None:
        """Return at the first count that shows progress."""
        end = time.perf_counter() + START_SECONDS
        self.look()
        while self.left >= before:
            if time.perf_counter() > end:
                raise FailedError(f"nothing was done in {START_SECONDS:.0f} s")
            self.look()


class Costs:
    """Processor time from now on."""

    def __init__(self, host: Host, workers: Workers) -> None:
        self._host = host
        self._workers = workers
        self._began = self._read()

    def _read(self) -> tuple[float, float]:
        server = cpu_seconds([self._host.pid]) if self._host.pid else 0.0
        return self._workers.cpu_seconds(), server

    def per_thousand(self, done: int) -> dict[str, float]:
        """Return CPU seconds for 1,000 tasks, of the workers and of the server."""
        worker, server = (
            (now - began) * 1000 / max(done, 1)
            for now, began in zip(self._read(), self._began, strict=True)
        )
        return {"cpu_per_1000": worker, "server_cpu_per_1000": server}


def check_none_failed(project: Project, connection: Any) -> None:
    """A rate of tasks that failed would be no rate."""
    table = project.peer.table
    if table is None or table.failed is None:
        return
    if failed := connection.execute(table.failed).fetchone()[0]:
        raise FailedError(f"{failed} tasks failed")
