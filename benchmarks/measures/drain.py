"""How fast workers run what is pending."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from .. import floor
from ..bench import Bench
from ..environments import ROOT
from ..hosts import Host
from ..peers import Peer
from ..processes import FailedError, Project, Workers, cpu_seconds

START_SECONDS = 30.0
#: How often unfinished tasks are counted; less often where counting takes long.
COUNT_SECONDS = 0.04
#: Counting may take this share of the time.
COUNT_SHARE = 0.1
LEAST_BACKLOG = 200


def drain(
    bench: Bench, peer: Peer, kind: str, config: str, *, workers: int, seconds: float
) -> dict[str, Any]:
    """Fill a queue with no-op tasks, start workers, and watch them for so long at most."""
    count = max(LEAST_BACKLOG, round(peer.pace * seconds * 1.5))
    with bench.project(peer, kind, config) as project:
        bench.fill(project, count)
        return {"backlog": count, **run_down(bench.host(kind), project, workers, seconds)}


def run_down(host: Host, project: Project, workers: int, seconds: float) -> dict[str, Any]:
    """Start workers on a full queue and measure their rate, processor time and memory."""
    with host.connect(project.place) as connection:
        before = project.peer.unfinished(connection)
        with project.workers(workers) as running:
            watch = Watch(lambda: project.peer.unfinished(connection), running)
            watch.wait_for_progress(before)
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

    def __init__(self, count: Callable[[], int], workers: Workers) -> None:
        self._count = count
        self._workers = workers
        self._pause = 0.0
        self.at = 0.0
        self.left = 0

    def look(self) -> None:
        """Wait a little, then count."""
        time.sleep(self._pause)
        self._workers.check()
        self.at = time.perf_counter()  # the count sees what was there when it began
        self.left = self._count()
        took = time.perf_counter() - self.at
        self._pause = max(COUNT_SECONDS, took / COUNT_SHARE)

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
    sql = f"SELECT count(*) FROM {table.name} WHERE {table.failed}"
    if failed := connection.execute(sql).fetchone()[0]:
        raise FailedError(f"{failed} tasks failed")


def drain_floor(
    bench: Bench, kind: str, variant: str, *, rows: int, seconds: float
) -> dict[str, Any]:
    """Drain a bare table with bare statements, in a process of its own."""
    host = bench.host(kind)
    place = host.create(bench.new_name("floor"))
    try:
        with host.connect(place) as connection:
            floor.make(connection, kind, host.numbers(rows))
        host.settle(place)
        address = place.name if kind == "sqlite" else place.url()
        batch = floor.BATCHES[variant]
        command = [
            sys.executable,
            "-m",
            "benchmarks.floor",
            kind,
            address,
            str(batch),
            str(seconds),
        ]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode != 0:
            raise FailedError(done.stderr.strip().splitlines()[-1])
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    finally:
        host.drop(place)
