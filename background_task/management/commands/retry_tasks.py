"""``manage.py retry_tasks``: try failed tasks anew."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ...api import retry_tasks
from ..selecting import add_selection, is_narrow, selected, told


class Command(BaseCommand):
    """Adds new rows; what has failed stays in the archive."""

    help = "Put failed tasks into the queue anew, with the same arguments and options"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("uids", nargs="*", metavar="UID", help="the uid of a failed task")
        add_selection(parser)
        parser.add_argument(
            "--newer-than", metavar="TIME", help="only what failed within this time, such as 2h"
        )
        parser.add_argument(
            "--older-than", metavar="TIME", help="only what failed longer ago, such as 30m"
        )
        parser.add_argument("--all", action="store_true", help="all that have failed")
        parser.add_argument(
            "--repeat", action="store_true", help="let the chains of repeating tasks go on"
        )
        parser.add_argument(
            "--again", action="store_true", help="also what has been tried anew before"
        )
        parser.add_argument("--dry-run", action="store_true", help="count them, add nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Count, or try anew."""
        ages = {name: options[name] for name in ("newer_than", "older_than")}
        if not (options["uids"] or is_narrow(options) or any(ages.values()) or options["all"]):
            raise CommandError("Say which: uids, --function, --queue, --newer-than ..., or --all")
        done = told(
            retry_tasks,
            uids=options["uids"],
            repeats=options["repeat"],
            again=options["again"],
            dry_run=options["dry_run"],
            **ages,
            **selected(options),
        )
        if options["verbosity"] > 0:
            if options["dry_run"]:
                self.stdout.write(f"Would try {done.found} failed tasks anew")
            else:
                self.stdout.write(f"Found {done.found} failed tasks: {done.retried} tried anew")
            if done.held_back:
                self.stdout.write(f"{done.held_back} not: the same is in the queue already")
        for uid, why in done.refused:
            self.stderr.write(f"{uid}: {why}")
        if done.refused:
            raise CommandError(f"{len(done.refused)} failed tasks cannot be tried anew")
