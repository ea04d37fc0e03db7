"""``manage.py background_task_doctor``: what keeps tasks from being run, and what to do."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.utils import timezone

from ... import __version__
from ...doctor import PROBLEM, Finding, Report, diagnose


class Command(BaseCommand):
    """Exits with 0 if all is well, with 1 if something has to be mended."""

    help = "Examine workers, queue and database; say what is wrong and what to do about it"
    #: Errors of the checks are among the findings.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument(
            "--database", help="the alias of the database (default: the one tasks are written to)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Examine, show, and tell the shell."""
        alias = options["database"]
        if alias is not None and alias not in connections:
            known = ", ".join(connections)
            raise CommandError(f"--database {alias}: DATABASES has no such alias, but {known}")
        report = diagnose(alias)
        if options["json"]:
            self.stdout.write(as_json(report))
        else:
            self._show(report)
        if not report.is_healthy:
            sys.exit(1)

    def _show(self, report: Report) -> None:
        self.stdout.write(f"background_task {__version__}, {report.vendor} {report.database!r}")
        if report.facts:
            self.stdout.write(summary(report.facts))
        for finding in report.findings:
            self._show_one(finding)
        problems = sum(finding.level == PROBLEM for finding in report.findings)
        if problems:
            self.stdout.write(self.style.ERROR(f"\nTo be mended: {problems}"))
        else:
            self.stdout.write(self.style.SUCCESS("\nNothing has to be mended."))

    def _show_one(self, finding: Finding) -> None:
        style = self.style.ERROR if finding.level == PROBLEM else self.style.WARNING
        self.stdout.write(style(f"\n{finding.level.upper()} {finding.id}"))
        self.stdout.write(f"  {finding.what}")
        self.stdout.write(f"  Why it matters: {finding.why}")
        self.stdout.write(f"  Remedy: {finding.remedy}")


def summary(facts: dict[str, Any]) -> str:
    """Return the facts in one line."""
    number = f"{facts['due_rows']}" + ("" if facts["due_rows_are_all"] else " or more")
    oldest = facts["oldest_due_at"]
    since = "" if oldest is None else f", the oldest since {oldest:%Y-%m-%d %H:%M:%S}"
    return (
        f"{facts['workers_alive']} workers alive, {facts['held_rows']} tasks running or in hand, "
        f"{number} due{since}"
    )


def as_json(report: Report) -> str:
    """Return the report for programs; its keys are documented and stay."""
    facts = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in report.facts.items()
    }
    return json.dumps(
        {
            "version": __version__,
            "examined_at": timezone.now().isoformat(),
            "database": report.database,
            "vendor": report.vendor,
            "healthy": report.is_healthy,
            "facts": facts,
            "findings": [asdict(finding) for finding in report.findings],
        },
        indent=2,
    )
