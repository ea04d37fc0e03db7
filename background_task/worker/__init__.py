"""The runtime: takes due rows, runs them, records what became of them."""

from __future__ import annotations

from .control import Control
from .finish import End, record
from .loop import Loop
from .options import Options, Summary
from .run import run_claim

__all__ = ["Control", "End", "Loop", "Options", "Summary", "record", "run_claim"]
