"""``manage.py background_task_health``: are tasks being run as they should? For monitoring."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error, connections

from ...exceptions import BackgroundTaskError
from ...health import Health, Thresholds, check_health
from ...recurrence.zone import instant

HEALTHY, UNHEALTHY, UNKNOWN = 0, 1, 2
USUAL = Thresholds()


class Command(BaseCommand):
    """Exits with 0 if all is healthy, with 1 if not, and with 2 if it cannot tell."""

    help = "Say whether tasks are being run as they should: 0 healthy, 1 unhealthy, 2 cannot tell"
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--max-wait",
            type=float,
            metavar="SECONDS",
            help=f"how long the oldest due task may have waited; default {USUAL.max_wait:g}",
            default=USUAL.max_wait,
        )
        parser.add_argument(
            "--max-failed-share",
            type=float,
            metavar="SHARE",
            help="which part of the tasks that ended may have failed, from 0 to 1",
        )
        parser.add_argument(
            "--window",
            type=float,
            metavar="SECONDS",
            default=USUAL.window,
            help=f"within how long they ended, and workers died; default {USUAL.window:g}",
        )
        parser.add_argument(
            "--least-ended",
            type=int,
            metavar="N",
            default=USUAL.least_ended,
            help=f"how many tasks have to have ended to judge by; default {USUAL.least_ended}",
        )
        parser.add_argument(
            "--max-dead", type=int, metavar="N", help="how many workers may have died"
        )
        parser.add_argument(
            "--min-workers",
            type=int,
            metavar="N",
            default=USUAL.min_workers,
            help=f"how many workers have to be alive; default {USUAL.min_workers}",
        )
        parser.add_argument(
            "--queue", metavar="NAME", help='only this queue and its workers; "" is the unnamed one'
        )
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument(
            "--database", help="the alias of the database (default: the one tasks are written to)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, show, and tell the shell."""
        alias = options["database"]
        if alias is not None and alias not in connections:
            known = ", ".join(connections)
            raise CommandError(
                f"--database {alias}: DATABASES has no such alias, but {known}", returncode=UNKNOWN
            )
        try:
            thresholds = Thresholds(**{name: options[name] for name in Thresholds.__slots__})
        except BackgroundTaskError as error:
            raise CommandError(f"--{_as_option(str(error))}", returncode=UNKNOWN) from error
        try:
            health = check_health(thresholds, using=alias)
        except Error as error:
            self._show_unknown(error, as_json=options["json"])
            sys.exit(UNKNOWN)
        self.stdout.write(as_json(health) if options["json"] else self._as_text(health))
        if not health.is_healthy:
            sys.exit(UNHEALTHY)

    def _as_text(self, health: Health) -> str:
        lines = [
            self.style.SUCCESS(f"ok   {check.text}")
            if check.is_healthy
            else self.style.ERROR(f"BAD  {check.text}")
            for check in health.checks
        ]
        return "\n".join(lines) or "nothing was asked"

    def _show_unknown(self, error: Error, *, as_json: bool) -> None:
        text = " ".join(str(error).split())
        if as_json:
            self.stdout.write(json.dumps({"status": "unknown", "error": text}))
        else:
            self.stdout.write(self.style.ERROR(f"cannot tell: {text}"))


def _as_option(message: str) -> str:
    """Return a message about an argument of Python as one about an option."""
    name, rest = message.split(" ", 1)
    return f"{name.replace('_', '-')} {rest}"


def as_json(health: Health) -> str:
    """Return the answers for programs; its keys are documented and stay."""
    return json.dumps(
        {
            "status": "healthy" if health.is_healthy else "unhealthy",
            "at": instant(health.at).isoformat(),
            "checks": [asdict(check) for check in health.checks],
        }
    )
