"""Rows that wait in the tables of other systems come into our queue, each of them once.

A `Part` reads one table and knows nothing of our queue; `Targets` finds what is to be run here; the
writer is the only one that changes anything.
"""

from __future__ import annotations

from .part import Part
from .settings_text import as_settings
from .source import SOURCES
from .target import Targets
from .writer import BATCH_SIZE, Report, preview, take

__all__ = ["BATCH_SIZE", "SOURCES", "Part", "Report", "Targets", "as_settings", "preview", "take"]
