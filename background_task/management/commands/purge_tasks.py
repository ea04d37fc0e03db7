"""``manage.py purge_tasks``: delete old finished tasks."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ...store import task_database
from ...store.archive import Archive
from ...store.clock import read_clock


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
            choices=("all", "succeeded", "failed"),
            default="all",
            help="which ones (default all)",
        )
        parser.add_argument("--queue", help="only those of this queue (default all queues)")
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
        using = task_database()
        archive = Archive(using)
        failed = {"all": None, "succeeded": False, "failed": True}[options["status"]]
        rows = archive.older_than(read_clock(using) - age, failed=failed, queue=options["queue"])
        if options["dry_run"]:
            self.stdout.write(f"Would delete {rows.count()} finished tasks")
            return
        deleted = 0
        for count in archive.purge(rows, batch_size=batch_size):
            deleted += count
            if options["verbosity"] > 1:
                self.stdout.write(f"{deleted} deleted")
        if options["verbosity"] > 0:
            self.stdout.write(f"Deleted {deleted} finished tasks")
