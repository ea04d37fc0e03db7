"""Where the names on the page lead to."""

from __future__ import annotations

from typing import Protocol


class Links(Protocol):
    """Addresses of other pages; None where there is no such page, or no right to see it."""

    def failed(self, function: str) -> str | None:
        """Return the list of the failed tasks of a function."""

    def waiting(self, queue: str | None) -> str | None:
        """Return the list of live tasks of a queue."""

    def task(self, pk: int) -> str | None:
        """Return the page of a live task."""

    def worker(self, pk: int) -> str | None:
        """Return the page of a worker."""

    def schedules(self) -> str | None:
        """Return the list of schedules."""

    def pauses(self) -> str | None:
        """Return the list of what is paused."""


class NoLinks:
    """For a page on which nothing leads anywhere."""

    def failed(self, function: str) -> None:
        """Return nothing."""

    def waiting(self, queue: str | None) -> None:
        """Return nothing."""

    def task(self, pk: int) -> None:
        """Return nothing."""

    def worker(self, pk: int) -> None:
        """Return nothing."""

    def schedules(self) -> None:
        """Return nothing."""

    def pauses(self) -> None:
        """Return nothing."""
