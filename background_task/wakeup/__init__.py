"""How an idle worker waits."""

from __future__ import annotations

from .polling import Polling

__all__ = ["Polling"]
