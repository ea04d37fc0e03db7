"""``manage.py cancel_tasks``: cancel all tasks of a function, a queue or a backend."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ...api import cancel_tasks
from ..selecting import add_selection, is_narrow, selected, told


class Command(BaseCommand):
    """Does for many what ``background_task_cancel`` does for one."""

    help = "Cancel tasks: those that wait at once, those that run as soon as they leave off"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        add_selection(parser)
        parser.add_argument("--all", action="store_true", help="all that are in the queue")
        parser.add_argument("--dry-run", action="store_true", help="count them, cancel nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Count, or cancel."""
        if not (is_narrow(options) or options["all"]):
            raise CommandError(
                "Say which: --function, --queue, --backend, --no-backend, or --all; single ones "
                "by their uids are for background_task_cancel"
            )
        done = told(cancel_tasks, dry_run=options["dry_run"], **selected(options))
        if options["verbosity"] < 1:
            return
        if options["dry_run"]:
            self.stdout.write(
                f"Would cancel {done.found} tasks: {done.cancelled} that wait, and "
                f"{done.requested} that run"
            )
            return
        self.stdout.write(
            f"Found {done.found} tasks: {done.cancelled} cancelled, {done.requested} run and have "
            f"been asked to end, {done.late} had finished already"
        )
