"""The floor: the same work in bare SQL."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from .. import floor
from ..bench import Bench
from ..environments import ROOT
from ..processes import FailedError

LIMIT_SECONDS = 120


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
        return work(kind, address, str(floor.BATCHES[variant]), str(seconds))
    finally:
        host.drop(place)


def work(*arguments: str) -> dict[str, Any]:
    """Run the client and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.floor", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    if done.returncode != 0:
        raise FailedError(done.stderr.strip().splitlines()[-1])
    found: dict[str, Any] = json.loads(done.stdout)
    return found
