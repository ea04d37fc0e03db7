"""``manage.py queue_depth``: what is in each queue, for people and for monitoring."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand

from ...api import QueueDepth, get_queue_depths
from ...recurrence.zone import instant
from ...store import get_store
from ..selecting import add_selection, selected, told

COLUMNS = ("pending", "at_limit", "running", "scheduled", "failed")
HEAD = ("queue", "pending", "at limit", "running", "scheduled", "failed", "oldest waiting")


class Command(BaseCommand):
    """Only reads; its exit status says nothing of the queues."""

    help = "Say how many tasks are in each queue, and since when the oldest due one waits"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        add_selection(parser, has_functions=False)
        parser.add_argument(
            "--format", choices=("text", "json"), default="text", help="default text"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Count and show."""
        now = get_store().now()
        depths = told(get_queue_depths, now=now, **selected(options))
        if options["format"] == "json":
            self.stdout.write(json.dumps({"queues": [_as_json(each, now) for each in depths]}))
            return
        lines = [HEAD, *(_as_line(depth, now) for depth in depths)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for name, *rest in lines if depths else ():
            cells = [f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True)]
            self.stdout.write(f"{name:<{widths[0]}}  {'  '.join(cells)}")
        if not depths:
            self.stdout.write("No tasks")


def _seconds(depth: QueueDepth, now: datetime) -> float | None:
    if depth.oldest_waiting_since is None:
        return None
    return max(0.0, (now - depth.oldest_waiting_since).total_seconds())


def _as_line(depth: QueueDepth, now: datetime) -> tuple[str, ...]:
    name = "(unnamed)" if depth.queue is None else depth.queue
    seconds = _seconds(depth, now)
    waiting = "" if seconds is None else f"{seconds:.0f} s"
    return (name, *(str(getattr(depth, column)) for column in COLUMNS), waiting)


def _as_json(depth: QueueDepth, now: datetime) -> dict[str, Any]:
    values = asdict(depth)
    for name in ("oldest_waiting_since", "newest_waiting_since"):
        values[name] = None if values[name] is None else instant(values[name]).isoformat()
    return {**values, "oldest_waiting_seconds": _seconds(depth, now)}
