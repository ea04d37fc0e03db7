"""``manage.py requeue_stale_tasks``: take back what dead owners hold."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from ...api import requeue_stale_tasks
from ..selecting import add_selection, selected, told


class Command(BaseCommand):
    """Leaves to the living what is theirs, unless it is told otherwise."""

    help = "Take back tasks that were claimed long ago and whose worker is gone"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--older-than",
            required=True,
            metavar="TIME",
            help="claimed longer ago than this, such as 10m or 1h30m",
        )
        add_selection(parser, has_functions=False)
        parser.add_argument(
            "--max-attempts",
            type=int,
            help="after so many attempts they have failed; 0: never (default: as each says)",
        )
        parser.add_argument(
            "--mark-failed", action="store_true", help="record them as failed, run none again"
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="take them even from workers that are alive: they may run twice at the same time",
        )
        parser.add_argument(
            "--batch-size", type=int, default=1000, help="rows read at once (default 1000)"
        )
        parser.add_argument("--dry-run", action="store_true", help="count them, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Count, or take back."""
        dry_run = options["dry_run"]
        done = told(
            requeue_stale_tasks,
            options["older_than"],
            max_attempts=options["max_attempts"],
            mark_failed=options["mark_failed"],
            force=options["force"],
            batch_size=options["batch_size"],
            dry_run=dry_run,
            **selected(options),
        )
        if options["verbosity"] < 1:
            return
        if dry_run:
            self.stdout.write(f"Would take back {done.requeued} of {done.found} tasks")
        else:
            self.stdout.write(
                f"Found {done.found} tasks: {done.requeued} requeued, {done.failed} failed, "
                f"{done.cancelled} cancelled"
            )
        if done.forced:
            self.stdout.write(f"{done.forced} of them from workers that are alive")
        if done.spared:
            self.stdout.write(
                f"{done.spared} left to workers that are alive; one that was killed counts as "
                "alive until its lease is over"
            )
