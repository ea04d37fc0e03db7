"""``manage.py purge_tasks``: delete old finished tasks."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ...api.tidying import purging
from ...models.completed import STATUSES
from ..bar import ProgressBar
from ..selecting import add_selection, listed, selected, told


class Command(BaseCommand):
    """Deletes from the archive; tasks that wait or run are never touched."""

    help = "Delete finished tasks that are older than a number of days"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--days", type=float, required=True, help="delete what was finished before that"
        )
        parser.add_argument(
            "--status",
            action="append",
            choices=("all", *STATUSES),
            help="how they have ended; may be repeated (default all)",
        )
        add_selection(parser)
        parser.add_argument(
            "--batch-size", type=int, default=1000, help="rows in one transaction (default 1000)"
        )
        parser.add_argument("--dry-run", action="store_true", help="count them, delete nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Count or delete."""
        days, batch_size = options["days"], options["batch_size"]
        try:
            age = timedelta(days=days)
        except (OverflowError, ValueError):
            age = None
        if age is None or age < timedelta(0):
            raise CommandError(f"--days {days} is not an age; use 0 or more days")
        if batch_size < 1:
            raise CommandError(f"--batch-size {batch_size} would delete nothing; use 1 or more")
        statuses = listed(options["status"] or ())
        rows, batches = told(
            purging,
            older_than=age,
            statuses=() if "all" in statuses else statuses,
            batch_size=batch_size,
            **selected(options),
        )
        if options["dry_run"]:
            self.stdout.write(f"Would delete {rows.count()} finished tasks")
            return
        has_bar = options["verbosity"] > 0 and self.stdout.isatty()
        bar = ProgressBar(self.stdout, total=rows.count() if has_bar else 0)
        deleted = 0
        for count in batches:
            deleted += count
            bar.show(deleted)
            if options["verbosity"] > 1:
                self.stdout.write(f"{deleted} deleted")
        if options["verbosity"] > 0:
            bar.end()
            self.stdout.write(f"Deleted {deleted} finished tasks")
