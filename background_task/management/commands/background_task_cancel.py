"""``manage.py background_task_cancel``: cancel tasks by their ids."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ...cancellation import cancel
from ...exceptions import InvalidOptionError

#: What is said of each.
SAID = {
    "cancelled": "cancelled",
    "requested": "it runs, and has been asked to end",
    "finished": "it has finished already",
    "gone": "there is no such task",
}


class Command(BaseCommand):
    """Says of each what has become of it; fails if there is one that does not exist."""

    help = "Cancel tasks: those that wait at once, those that run as soon as they leave off"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("uids", nargs="+", metavar="UID", help="the uid of a task")

    def handle(self, *args: Any, **options: Any) -> None:
        """Cancel one after the other."""
        unknown = []
        for uid in options["uids"]:
            try:
                result = cancel(uid)
            except InvalidOptionError as error:
                raise CommandError(str(error)) from error
            self.stdout.write(f"{uid}: {SAID[result]}")
            if result == "gone":
                unknown.append(uid)
        if unknown:
            raise CommandError(f"There is no such task: {', '.join(unknown)}")
