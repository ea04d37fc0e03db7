"""The result lines: one JSON object for each measurement, so that parts can be run again."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cell:
    """What one figure is about."""

    what: str  # drain, enqueue, ...
    peer: str
    database: str
    config: str = "best"
    workers: int = 1
    #: What else tells it apart: the size of a backlog, for example.
    detail: str = ""

    def __str__(self) -> str:
        words = [self.what, self.peer, self.database, self.config, self.detail]
        words += [f"{self.workers} workers"] if self.workers > 1 else []
        return " ".join(filter(None, words))


@dataclass(frozen=True)
class Spread:
    """The rounds of one figure."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        found = sorted(values)
        return cls(statistics.median(found), found[0], found[-1], len(found))


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that so many percent of them do not exceed."""
    found = sorted(values)
    return found[max(0, math.ceil(len(found) * percent / 100) - 1)]


class Results:
    """Of every cell, the rows of the latest run that measured it."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self._rows: dict[Cell, list[dict[str, Any]]] = {}
        for line in lines:
            row = json.loads(line)
            if "cell" in row:
                self._add(row)
            else:
                self.runs[row["run"]] = row

    @classmethod
    def read(cls, path: Path) -> Results:
        return cls(path.read_text().splitlines() if path.exists() else [])

    def _add(self, row: dict[str, Any]) -> None:
        rows = self._rows.setdefault(Cell(**row["cell"]), [])
        if rows and rows[0]["run"] != row["run"]:
            rows.clear()
        rows.append(row)

    def latest_run(self) -> dict[str, Any] | None:
        return next(reversed(self.runs.values()), None)

    def versions(self) -> dict[str, dict[str, str]]:
        """Return what was installed for each peer, when it was last measured."""
        found: dict[str, dict[str, str]] = {}
        for run in self.runs.values():
            found |= run["versions"]
        return found

    def servers(self) -> list[str]:
        """Return the servers by kind, as they were last."""
        found: dict[str, str] = {}
        for run in self.runs.values():
            found |= run["servers"]
        return list(found.values())

    def cells(self, what: str) -> Iterator[Cell]:
        return (cell for cell in self._rows if cell.what == what)

    def rows(self, cell: Cell) -> list[dict[str, Any]]:
        return self._rows.get(cell, [])

    def spread(self, cell: Cell, name: str = "rate") -> Spread | None:
        """Return a figure's rounds, or None where it was not measured."""
        values = [row["found"][name] for row in self.rows(cell) if name in row.get("found", {})]
        return Spread.of(values) if values else None

    def median(self, cell: Cell, name: str = "rate") -> float | None:
        spread = self.spread(cell, name)
        return spread.median if spread else None

    def errors(self) -> Iterator[tuple[Cell, str]]:
        """Yield what could not be measured, and why."""
        for cell, rows in self._rows.items():
            reasons = {row["error"] for row in rows if "error" in row}
            yield from ((cell, reason) for reason in sorted(reasons))
