"""``manage.py background_task_schedules``: when periodic tasks run; pause, resume, run now."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ...declaration import Declaration
from ...exceptions import BackgroundTaskError, InvalidOptionError, InvalidOptionTypeError
from ...recurrence.zone import instant, zone_called, zone_name
from ...store import get_store
from ...store.schedule import ScheduleRow, Schedules
from ...tasks import autodiscover, tasks
from ...worker.served import all_declared

TIME = "%a %Y-%m-%d %H:%M:%S %Z"


class Command(BaseCommand):
    """Lists the schedules of the functions that are installed here, and those of other code."""

    help = "List periodic tasks with their next five times; pause, resume or run one"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        one = parser.add_mutually_exclusive_group()
        one.add_argument("--pause", metavar="NAME", help="put none of its ticks into the queue")
        one.add_argument(
            "--resume", metavar="NAME", help="go on with its next tick; what was missed is dropped"
        )
        one.add_argument("--run", metavar="NAME", help="put a run that is due now into the queue")

    def handle(self, *args: Any, **options: Any) -> None:
        """List, or change one."""
        autodiscover()
        try:
            self.declarations = all_declared(tasks._tasks)
        except (InvalidOptionError, InvalidOptionTypeError) as error:
            raise CommandError(str(error)) from error
        store = get_store()
        self.now = instant(store.now())
        self.schedules = Schedules(store.using)
        self.rows = {row.name: row for row in self.schedules.read().values()}
        for act in (self.pause, self.resume, self.run):
            name = options[act.__name__]
            if name is not None:
                act(name)
                return
        self._list()

    def pause(self, name: str) -> None:
        """Put no tick into the queue until further notice."""
        if not self.schedules.pause(self._row(name).key):
            raise CommandError(f"--pause {name}: its row is gone; try again")
        self.stdout.write(f"Paused {name}")

    def resume(self, name: str) -> None:
        """Go on with the first tick from now on."""
        row = self._row(name)
        if not row.is_paused:
            self.stdout.write(f"{name} is not paused")
            return
        try:
            changed = self.schedules.resume(row, now=self.now)
        except InvalidOptionError as error:
            raise CommandError(f"--resume {name}: {error}") from error
        if changed is None:
            raise CommandError(f"--resume {name}: somebody has just changed it; try again")
        self.stdout.write(f"Resumed {name}; next {_shown(changed.next_tick_at)}")

    def run(self, name: str) -> None:
        """Put a run into the queue that is due now; the ticks go on as ever."""
        declaration = self.declarations.get(name)
        if declaration is None:
            raise CommandError(f"--run {name}: {self._unknown()}")
        try:
            task = declaration.call(timezone.now(), *declaration.arguments())
        except BackgroundTaskError as error:
            raise CommandError(f"--run {name}: {error}") from error
        if task is None:
            self.stdout.write(f"Not put into the queue: a run of {name} that waits there is kept")
            return
        self.stdout.write(f"Put {declaration.callee.name} into the queue")

    def _row(self, name: str) -> ScheduleRow:
        if name not in self.rows:
            if name in self.declarations:
                raise CommandError(f"{name} has not been seen by a worker yet; start one first")
            raise CommandError(f"{name}: {self._unknown()}")
        return self.rows[name]

    def _unknown(self) -> str:
        known = ", ".join(sorted(self.declarations)) or "none at all"
        return f"the code that is installed here declares no such schedule, but {known}"

    def _list(self) -> None:
        for name, declaration in sorted(self.declarations.items()):
            self._show(name, declaration, self.rows.pop(name, None))
        for row in sorted(self.rows.values(), key=lambda row: row.name):
            self.stdout.write(self.style.WARNING(f"{row.name} (not declared here)"))
            self.stdout.write(f"  calls {row.task_name}, last seen {_shown(row.seen_at)}")
        if not self.declarations and not self.rows:
            self.stdout.write("No schedules: put @periodic on a task function")

    def _show(self, name: str, declaration: Declaration, row: ScheduleRow | None) -> None:
        state = "not seen by a worker yet"
        if row is not None:
            is_same = row.digest == declaration.digest
            state = "" if is_same else "workers still have another version"
            state = "paused" if row.is_paused else state
        self.stdout.write(self.style.MIGRATE_HEADING(name) + (f" ({state})" if state else ""))
        self.stdout.write(f"  calls {declaration.callee.name} {declaration.rule.in_words()}")
        if row is not None and row.last_tick_at is not None:
            self.stdout.write(f"  last {_shown(row.last_tick_at)}")
        times = declaration.upcoming(self.now)
        for moment in times:
            self.stdout.write(f"  next {_shown(moment)}")
        if not times:
            self.stdout.write("  never again")


def _shown(moment: datetime | None) -> str:
    """Return a time by the project's clock."""
    return "never" if moment is None else f"{moment.astimezone(zone_called(zone_name())):{TIME}}"
