"""The measurements. Each is a function that returns what it found as one row of numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.servers import UnavailableError

from ..bench import Bench
from ..peers import Peer, load
from ..plan import BESIDE, FLOOR, SAVE, Scale
from ..processes import FailedError
from ..results import Cell
from .bare import drain_floor
from .drain import drain, drain_backlog
from .looking import look
from .resting import idle, latency, memory
from .storing import store

Answer = dict[str, Any]

#: What may run beside others of its kind, because it hardly uses the machine.
SIDE_BY_SIDE = {"latency": 4, "idle": 8}


def measure_drain(bench: Bench, cell: Cell, scale: Scale) -> Answer:
    seconds = scale.drain_seconds
    if cell.peer == FLOOR:
        rows = scale.floor_rows
        return drain_floor(bench, cell.database, cell.config, rows=rows, seconds=seconds)
    return drain(
        bench,
        load(cell.peer),
        cell.database,
        cell.config,
        workers=cell.workers,
        seconds=seconds,
    )


def measure_storing(bench: Bench, cell: Cell, scale: Scale) -> Answer:
    if cell.what == "bulk":
        return store(bench, load(cell.peer), cell.database, "bulk", scale.bulk)
    verb = "save" if cell.peer == SAVE else "enqueue"
    return store(bench, adapter(cell), cell.database, verb, scale.enqueues)


def measure_latency(bench: Bench, cell: Cell, scale: Scale) -> Answer:
    return latency(bench, load(cell.peer), cell.database, cell.config, samples=scale.samples)


def measure_backlog(bench: Bench, cell: Cell, scale: Scale) -> Answer:
    pending, _, beside = cell.detail.partition(BESIDE)
    return drain_backlog(
        bench,
        load(cell.peer),
        cell.database,
        pending=int(pending),
        finished=int(beside or 0),
        seconds=scale.drain_seconds,
    )


def measure_memory(bench: Bench, cell: Cell, scale: Scale) -> Answer:
    tasks, seconds = scale.memory_tasks, scale.memory_seconds
    return memory(bench, load(cell.peer), cell.database, tasks=tasks, seconds=seconds)


def measure_idle(bench: Bench, cell: Cell, scale: Scale) -> Answer:
    return idle(bench, load(cell.peer), cell.database, seconds=scale.idle_seconds)


def measure_pages(bench: Bench, cell: Cell, scale: Scale) -> Answer:
    return look(bench, load(cell.peer), cell.database, rows=int(cell.detail))


MEASURES: dict[str, Callable[[Bench, Cell, Scale], Answer]] = {
    "drain": measure_drain,
    "enqueue": measure_storing,
    "bulk": measure_storing,
    "latency": measure_latency,
    "backlog": measure_backlog,
    "memory": measure_memory,
    "idle": measure_idle,
    "pages": measure_pages,
}


def adapter(cell: Cell) -> Peer:
    """Return the cell's peer; bare rows are saved in a project of ours."""
    return load("ours" if cell.peer == SAVE else cell.peer)


def measure_group(
    bench: Bench, cells: list[Cell], scale: Scale
) -> Iterator[tuple[Cell, Answer | str]]:
    """Measure cells side by side; yield each with what was found, or why nothing was."""
    for cell in cells:
        prepare(bench, cell)
    with ThreadPoolExecutor(max_workers=len(cells)) as pool:
        answers = pool.map(lambda cell: measured(bench, cell, scale), cells)
        yield from zip(cells, answers, strict=True)


def prepare(bench: Bench, cell: Cell) -> None:
    """Do before the measurement, and one after another, what is done once for many of them."""
    if cell.peer != FLOOR and cell.database != "mariadb":
        try:
            bench.template(adapter(cell), cell.database)
        except (FailedError, UnavailableError):
            return  # the measurement will say it


def measured(bench: Bench, cell: Cell, scale: Scale) -> Answer | str:
    """Measure one cell; also say how long that took as a whole."""
    began = time.monotonic()
    try:
        found = MEASURES[cell.what](bench, cell, scale)
        return {**found, "took": time.monotonic() - began}
    except (FailedError, UnavailableError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a peer that breaks must not end the run
        return f"{type(error).__name__}: {error}"
