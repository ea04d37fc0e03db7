"""A file by which a container's probe sees that the worker is alive."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from .. import telemetry

logger = logging.getLogger(__name__)


class LivenessFile:
    """A file whose time of change is that of the last sign of life.

    Args:
        path: Where it is.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._has_complained = False

    @contextmanager
    def kept(self, *, by_heartbeat: bool) -> Iterator[None]:
        """Have the file while the worker works: from the start, and removed at the end.

        Args:
            by_heartbeat: Whether it is touched by each heartbeat of this process.

        Raises:
            CommandError: The file cannot be written.
        """
        if self._path.is_dir():
            raise CommandError(
                f"--liveness-file {self._path} is a directory; use the path of a file in it"
            )
        try:
            self._path.touch()
        except OSError as error:
            raise CommandError(
                f"--liveness-file {self._path}: {error.strerror or error}; use a path in a "
                "directory that is there and that this user may write to"
            ) from None
        try:
            if not by_heartbeat:
                yield
                return
            with telemetry.subscribed(self.on_event, to=("heartbeat",)):
                yield
        finally:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def on_event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Follow the worker's heartbeat, as a subscriber of the telemetry."""
        self.touch()

    def touch(self) -> None:
        """Give a sign of life; a disk that is full must not stop the worker's heart."""
        try:
            self._path.touch()
        except OSError as error:
            if not self._has_complained:
                self._has_complained = True
                logger.error("--liveness-file %s cannot be written: %s", self._path, error)
