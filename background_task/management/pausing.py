"""What the commands that pause and resume have in common."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ..exceptions import InvalidOptionError, InvalidOptionTypeError
from ..pausing import paused
from ..recurrence.zone import instant, zone_called, zone_name
from ..store.pause import label

TIME = "%a %Y-%m-%d %H:%M:%S %Z"


class PausingCommand(BaseCommand):
    """Changes what is named, or lists what is paused."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--queue", action="append", default=[], metavar="NAME", help="a queue; may be repeated"
        )
        parser.add_argument(
            "--function",
            action="append",
            default=[],
            metavar="NAME",
            help="a task function, such as shop.tasks.send; may be repeated",
        )
        parser.add_argument("--unnamed", action="store_true", help="the queue without a name")

    def change(
        self, act: Callable[..., bool], options: dict[str, Any], *, done: str, else_: str
    ) -> bool:
        """Do it with each that is named; return whether anything was.

        Args:
            act: What to do.
            options: The command's options.
            done: What to say after a change.
            else_: What to say if there was nothing to change.
        """
        named = list(_named(options))
        for kind, name in named:
            try:
                is_changed = act(**{kind: name})
            except (InvalidOptionError, InvalidOptionTypeError) as error:
                raise CommandError(f"--{kind}: {error}") from error
            self.stdout.write(f"{label(kind, name)}: {done if is_changed else else_}")
        return bool(named)

    def list_paused(self) -> None:
        """Say what is paused since when, by the project's clock."""
        for each in paused():
            since = instant(each.paused_at).astimezone(zone_called(zone_name()))
            self.stdout.write(f"{each}: paused since {since:{TIME}}")
        if not paused():
            self.stdout.write("Nothing is paused")


def _named(options: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    for kind in ("queue", "function"):
        names = options[kind]
        for name in [names] if isinstance(names, str) else names:
            yield kind, name
    if options["unnamed"]:
        yield "queue", None
