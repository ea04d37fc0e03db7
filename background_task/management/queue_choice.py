"""Which queues a worker is told to serve."""

from __future__ import annotations

from argparse import Action
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError

from ..option import check_queue

#: Stands for all queues.
ALL = "*"
#: The most that a queue may weigh.
LARGEST_WEIGHT = 1000

#: What an option that may be repeated gives.
Given = str | Sequence[str] | None


class Queues(Action):
    """Keeps a single queue as a text, as it has always been, and several as a list."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        """Add one."""
        before = getattr(namespace, self.dest, None)
        several = [before] if isinstance(before, str) else before or []
        setattr(namespace, self.dest, [*several, values] if several else values)


@dataclass(frozen=True, slots=True)
class Choice:
    """The queues of a worker.

    Attributes:
        queues: Those it serves; none means all.
        weights: How its slots are divided among them; None if priorities alone decide.
        excluded: Those it leaves to others if it serves all; empty is the unnamed one.
    """

    queues: tuple[str, ...] = ()
    weights: Mapping[str, int] | None = None
    excluded: tuple[str, ...] = ()


def check_choice(queue: Given, exclude: Given, *, known: Collection[str | None] = ()) -> Choice:
    """Return what ``--queue`` and ``--exclude-queue`` make of a worker.

    Args:
        queue: The texts of the first.
        exclude: The texts of the second.
        known: The queues that task functions name. One with a comma in its name is one queue; any
            other text with commas is a list.

    Raises:
        CommandError: A name or a weight that cannot be, or both options at once.
    """
    texts = _names(queue, known, "--queue")
    if ALL in texts:
        if len(texts) > 1:
            raise CommandError(f"--queue {ALL!r} is all queues; name no other one beside it")
        texts = []
    queues, weights = check_queues(texts)
    excluded = tuple(
        dict.fromkeys(_checked(_names(exclude, known, "--exclude-queue"), "--exclude-queue"))
    )
    if excluded and queues:
        raise CommandError(
            f"--exclude-queue {excluded[0]!r} beside --queue {queues[0]!r}: a worker of named "
            "queues leaves all others out; use one of the two options"
        )
    return Choice(queues, weights, excluded)


def check_queues(texts: Sequence[str]) -> tuple[tuple[str, ...], dict[str, int] | None]:
    """Return the queues to serve, and their weights if there are any.

    A single one is a name and nothing else, as it has always been: a weight would have no meaning.
    Of several, what follows the last colon is a weight.

    Raises:
        CommandError: A name or a weight that cannot be.
    """
    pairs = [(text, None) for text in texts] if len(texts) < 2 else list(map(_weighted, texts))
    names = _checked([name for name, _ in pairs], "--queue")
    if len(names) < 2:
        return tuple(filter(None, names)), None
    for name in names:
        if not name or names.count(name) > 1:
            why = "is named twice" if name else "is no name"
            raise CommandError(f"--queue {name!r} {why}; name each queue once")
    if all(weight is None for _, weight in pairs):
        return names, None
    return names, {name: weight or 1 for name, weight in pairs}


def _names(given: Given, known: Collection[str | None], flag: str) -> list[str]:
    """Take lists apart at their commas."""
    names: list[str] = []
    for text in [given] if isinstance(given, str) else given or ():
        is_one = "," not in text or text in known or text.rpartition(":")[0] in known
        pieces = [text] if is_one else [piece.strip() for piece in text.split(",")]
        if not is_one and "" in pieces:
            raise CommandError(f"{flag} {text!r}: a name is missing beside a comma")
        names += pieces
    return names


def _checked(names: Sequence[str], flag: str) -> tuple[str, ...]:
    try:
        return tuple(check_queue(name) or "" for name in names)
    except ValueError as error:
        raise CommandError(f"{flag}: {error}") from None


def _weighted(text: str) -> tuple[str, int | None]:
    name, colon, weight = text.rpartition(":")
    if not colon:
        return text, None
    is_number = weight.isascii() and weight.isdigit()
    if not is_number or not 1 <= int(weight) <= LARGEST_WEIGHT:
        raise CommandError(
            f"--queue {text}: {weight!r} is no weight; use a whole number from 1 to "
            f"{LARGEST_WEIGHT}, also behind a name that has a colon itself: --queue {text}:1"
        )
    return name, int(weight)
