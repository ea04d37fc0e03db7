"""The measurements. Each is a function that returns what it found as one row of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.servers import UnavailableError

from ..bench import Bench
from ..peers import load
from ..plan import FLOOR, Scale
from ..processes import FailedError
from ..results import Cell
from .drain import drain, drain_floor

Answer = dict[str, Any]

#: What may run beside others of its kind, because it hardly uses the machine.
SIDE_BY_SIDE = {"latency": 4, "idle": 8}


def measure_drain(bench: Bench, cell: Cell, scale: Scale) -> Answer:
    if cell.peer == FLOOR:
        rows = scale.floor_rows
        return drain_floor(
            bench, cell.database, cell.config, rows=rows, seconds=scale.drain_seconds
        )
    return drain(
        bench,
        load(cell.peer),
        cell.database,
        cell.config,
        workers=cell.workers,
        seconds=scale.drain_seconds,
    )


MEASURES: dict[str, Callable[[Bench, Cell, Scale], Answer]] = {"drain": measure_drain}


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
            bench.template(load("ours" if cell.peer == "save" else cell.peer), cell.database)
        except (FailedError, UnavailableError):
            return  # the measurement will say it


def measured(bench: Bench, cell: Cell, scale: Scale) -> Answer | str:
    try:
        return MEASURES[cell.what](bench, cell, scale)
    except (FailedError, UnavailableError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a peer that breaks must not end the run
        return f"{type(error).__name__}: {error}"
