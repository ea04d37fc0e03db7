"""``manage.py background_task_top``: the queues, live in the terminal."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from ...terminal.snapshot import look
from ...terminal.text import as_text
from ...worker.outage import remedy_for
from .. import value
from ..argument import checked


class Command(BaseCommand):
    """Reads as long as nobody presses a key that acts."""

    help = "Show queues, workers and running tasks, and act on them; for people at a terminal"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--once", action="store_true", help="print it once as plain text, and end"
        )
        parser.add_argument(
            "--interval",
            type=value.interval,
            default=2.0,
            metavar="SECONDS",
            help="the time between two looks (default 2)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it, or show it until somebody leaves."""
        interval = checked("--interval", value.interval, options["interval"])
        if options["once"] or not (self.stdout.isatty() and sys.stdin.isatty()):
            self._print()
            return
        try:
            from ...terminal.view import Top
        except ImportError as error:
            if (error.name or "").partition(".")[0] not in ("textual", "rich"):
                raise
            raise CommandError(
                "background_task_top needs the extra top: pip install "
                '"django-background-tasks[top]"; without it there is --once'
            ) from None
        Top(interval=interval).run()

    def _print(self) -> None:
        try:
            text = as_text(look())
        except Error as error:
            raise CommandError(
                f"The database cannot be used ({str(error).strip()}); {remedy_for(error)}"
            ) from error
        self.stdout.write(text)
