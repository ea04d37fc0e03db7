"""The tables and plots, from the result lines."""

from __future__ import annotations

from pathlib import Path

from .results import Results


def write_report(path: Path, into: Path) -> None:
    results = Results.read(path)
    for cell in results.cells("drain"):
        spread = results.spread(cell)
        print(f"{cell}: {spread and round(spread.median)}")
