"""The page that shows what queues and workers do now, and did lately: its numbers and charts.

Everything is read from what workers write anyway, and costs the same however many tasks there are.
"""

from __future__ import annotations

from .choice import Choice
from .link import Links, NoLinks
from .page import Page, State, assemble, read

__all__ = ["Choice", "Links", "NoLinks", "Page", "State", "assemble", "read"]
