"""``manage.py background_task_import``: bring what waits in another system over to this one."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from ...exceptions import InvalidOptionError
from ...importing import BATCH_SIZE, SOURCES, Part, Report, Targets, as_settings, preview, take
from ...importing.writer import Group, Kind
from ...recurrence.zone import instant, zone_called, zone_name
from ...store import task_database
from ...tasks import autodiscover

TIME = "%Y-%m-%d %H:%M:%S %Z"
#: How many keys of rows that stay are named for each reason.
SHOWN_KEYS = 5
#: What the shell is told if rows stay because nothing here corresponds to them.
SOME_LEFT = 2


class Command(BaseCommand):
    """Takes tasks and schedules from the tables of another package, which need not be installed."""

    help = "Bring waiting tasks and schedules of another system into this queue"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("source", choices=SOURCES, help="the package whose tables are read")
        parser.add_argument(
            "--dry-run", action="store_true", help="tell what would come over, change nothing"
        )
        parser.add_argument(
            "--print-settings",
            action="store_true",
            help="print its schedules as BACKGROUND_TASK_PERIODIC, change nothing",
        )
        parser.add_argument(
            "--database", metavar="ALIAS", help="where its tables are (default: where ours are)"
        )
        parser.add_argument(
            "--queue",
            action="append",
            default=[],
            metavar="NAME",
            help="only what waits in this queue of theirs; may be repeated (default: all)",
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="OLD=NEW",
            help="a function that has another path here; may be repeated",
        )
        parser.add_argument(
            "--backend",
            metavar="ALIAS",
            help='the alias in TASKS for what is a @task (default: that of the row, or "default")',
        )
        parser.add_argument(
            "--keep", action="store_true", help="leave the rows as they are; they come only once"
        )
        parser.add_argument(
            "--batch-size",
            type=int,
            default=BATCH_SIZE,
            help=f"rows in one transaction (default and most {BATCH_SIZE})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Import, or tell what would come."""
        using = _database(options["database"])
        if not 1 <= options["batch_size"] <= BATCH_SIZE:
            raise CommandError(f"--batch-size {options['batch_size']}: use 1 to {BATCH_SIZE}")
        targets = Targets(_mapping(options["map"]), options["backend"])
        autodiscover()
        queues = [options["queue"]] if isinstance(options["queue"], str) else options["queue"]
        try:
            parts = [part(using) for part in SOURCES[options["source"]]]
        except InvalidOptionError as error:
            raise CommandError(f"{options['source']}: {error}") from error
        if options["print_settings"]:
            left = self._print_settings(parts, targets, queues)
        else:
            left = sum(self._import(part, targets, queues, options) for part in parts)
        if left:
            raise CommandError(
                f"Rows that stay because nothing here corresponds to them: {left}; see above",
                returncode=SOME_LEFT,
            )

    def _import(
        self, part: Part, targets: Targets, queues: list[str], options: dict[str, Any]
    ) -> int:
        """Import one table; return how many rows had to stay."""
        self.stdout.write(self.style.MIGRATE_HEADING(f"{part.table} in {part.using!r}"))
        keep = options["keep"]
        if options["dry_run"]:
            report = preview(part, targets, queues=queues)
            done = "Would take"
        else:
            report = take(part, targets, queues=queues, keep=keep, batch_size=options["batch_size"])
            done = "Took"
        self._show(report)
        gone = "left there" if keep else part.says_gone
        self.stdout.write(f"  {done} {report.count}, {gone}")
        return sum(map(len, report.left.values()))

    def _print_settings(self, parts: list[Part], targets: Targets, queues: list[str]) -> int:
        """Print settings to paste; what else is to be said goes where errors go."""
        schedules = [part for part in parts if part.is_schedule]
        if not schedules:
            raise CommandError("--print-settings: this source has no schedules; leave it out")
        left = 0
        for part in schedules:
            text, report = as_settings(part, targets, queues=queues)
            self.stdout.write(text)
            self._show_left(report)
            left += sum(map(len, report.left.values()))
        return left

    def _show(self, report: Report) -> None:
        for line in _table(report.taken.items()):
            self.stdout.write(f"  {line}")
        if report.known:
            self.stdout.write(f"  Came over before: {report.known}")
        for what, count in report.others.items():
            if count:
                self.stdout.write(f"  Not taken, {what}: {count}")
        if report.others.get("running"):
            self.stderr.write(
                self.style.WARNING("  Some are running: stop the old workers, then import again")
            )
        self._show_left(report)

    def _show_left(self, report: Report) -> None:
        for reason, keys in report.left.items():
            named = ", ".join(map(str, keys[:SHOWN_KEYS]))
            more = f" and {len(keys) - SHOWN_KEYS} others" if len(keys) > SHOWN_KEYS else ""
            self.stderr.write(self.style.WARNING(f"  Stays: {reason}"))
            self.stderr.write(f"    ids {named}{more}")


def _table(groups: Iterable[tuple[Kind, Group]]) -> list[str]:
    """Return what comes over as lines of equal columns."""
    rows = [("rows", "function", "becomes", "queue", "first due", "again")]
    rows += [
        (
            str(group.count),
            kind.path if kind.name is None else f"{kind.name}: {kind.path}",
            kind.task_name if kind.backend is None else f"{kind.task_name} ({kind.backend})",
            kind.queue or "-",
            _shown(group.first_at),
            ", ".join(filter(None, [kind.rule, *(f"without {name}" for name in kind.dropped)])),
        )
        for kind, group in groups
    ]
    if len(rows) == 1:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _shown(moment: datetime | None) -> str:
    """Return a time by the project's clock."""
    if moment is None:
        return "now"
    return f"{instant(moment).astimezone(zone_called(zone_name())):{TIME}}"


def _database(alias: str | None) -> str:
    if alias is None:
        return task_database()
    if alias not in connections:
        known = ", ".join(connections)
        raise CommandError(f"--database {alias}: DATABASES has no such alias, but {known}")
    return alias


def _mapping(given: str | list[str]) -> dict[str, str]:
    mapping = {}
    for text in [given] if isinstance(given, str) else given:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise CommandError(f"--map {text}: write it as old.path=new.path")
        mapping[old] = new
    return mapping
