"""Where ``CompletedTask`` lived up to version 1.2.4; for code that old."""

from __future__ import annotations

from .models import CompletedTask, CompletedTaskQuerySet

__all__ = ["CompletedTask", "CompletedTaskQuerySet"]
