"""What the commands that see to many tasks have in common."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from django.core.management.base import CommandError

from ..exceptions import BackgroundTaskError
from ..store.selection import NO_BACKEND

P = ParamSpec("P")
R = TypeVar("R")


def add_selection(parser: ArgumentParser, *, has_functions: bool = True) -> None:
    """Declare the options that say which tasks are meant."""
    if has_functions:
        parser.add_argument(
            "--function",
            action="append",
            default=[],
            metavar="NAME",
            help="only tasks of this function, such as shop.tasks.send; may be repeated",
        )
    parser.add_argument("--queue", metavar="NAME", help="only tasks of this queue")
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--backend", metavar="ALIAS", help="only tasks of this backend of TASKS")
    one.add_argument(
        "--no-backend", action="store_true", help="only tasks of @background, of no backend"
    )


def selected(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the functions of ``background_task.api`` take for these options."""
    backend = NO_BACKEND if options["no_backend"] else options["backend"]
    chosen = {"queue": options["queue"], "backend": backend}
    if "function" in options:
        chosen["names"] = listed(options["function"])
    return chosen


def is_narrow(options: dict[str, Any]) -> bool:
    """Tell whether any option says which tasks are meant."""
    return any(options.get(name) for name in ("function", "queue", "backend", "no_backend"))


def listed(given: str | Sequence[str]) -> list[str]:
    """Return the values of a repeatable option; code may give a single one as it is."""
    return [given] if isinstance(given, str) else list(given)


def told(act: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function; what it raises of this library ends the command with its message.

    Raises:
        CommandError: It raised.
    """
    try:
        return act(*args, **kwargs)
    except BackgroundTaskError as error:
        raise CommandError(str(error)) from error
