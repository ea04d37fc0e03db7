"""Keeps what tasks write to the log, for people who look at a task.

While a worker runs and ``BACKGROUND_TASK_LOG_LEVEL`` is set, a handler at the root logger takes
what is logged in the context of a run. It goes wherever the context goes: into coroutines and
``asyncio.to_thread``, but not into a thread that the function starts itself.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

from django.utils import timezone

from . import payload, telemetry
from .attempt import Claim, Outcome, Settled
from .attendant import factories
from .settings import app_settings
from .store import Store
from .store.attempt_log import AttemptLogs

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
#: What this library itself logs of a run; the errors of an attempt are kept elsewhere.
OWN = "background_task"


class Capture:
    """What one run has logged: the beginning and the end of it, if it is long.

    May be written to by several threads.

    Args:
        most: How many bytes of it are kept.
    """

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._head: list[str] = []
        self._tail: deque[tuple[str, int]] = deque()
        self._head_bytes = self._tail_bytes = 0
        self._lost_lines = self._lost_bytes = 0
        self._last: logging.LogRecord | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def add(self, record: logging.LogRecord, text: str) -> None:
        """Keep a record; one that comes a second time, by way of another handler, only once."""
        text = payload.storable(text)
        with self._lock:
            if self._is_closed or record is self._last:
                return
            self._last = record
            text = self._clipped(text)
            size = len(text.encode()) + 1
            if not self._tail and self._head_bytes + size <= self._half:
                self._head.append(text)
                self._head_bytes += size
                return
            self._tail.append((text, size))
            self._tail_bytes += size
            while self._tail_bytes > self._half and len(self._tail) > 1:
                _, size = self._tail.popleft()
                self._tail_bytes -= size
                self._lost_lines += 1
                self._lost_bytes += size

    def has_text(self) -> bool:
        """Tell whether anything was logged."""
        return bool(self._head or self._tail)

    def close(self) -> str:
        """Take nothing more, and return what is kept."""
        with self._lock:
            self._is_closed, self._last = True, None
            lines = list(self._head)
            if self._lost_lines:
                lines.append(
                    f"[... {self._lost_lines} records, {self._lost_bytes} bytes, left out ...]"
                )
            return "\n".join([*lines, *(text for text, _ in self._tail)])

    def _clipped(self, text: str) -> str:
        """Return a record without its middle, if it takes more than half of the room."""
        stored = text.encode()
        if len(stored) <= self._half:
            return text
        quarter = self._half // 2
        head = stored[:quarter].decode("utf-8", "ignore")
        tail = stored[-quarter:].decode("utf-8", "ignore") if quarter else ""
        return f"{head}\n[... {len(stored) - 2 * quarter} bytes left out ...]\n{tail}"


_current: ContextVar[Capture | None] = ContextVar("background_task_log", default=None)


class CaptureHandler(logging.Handler):
    """Gives what is logged in a run to that run; elsewhere it does nothing.

    A worker puts one at the root logger. Give a logger one of its own that does not propagate.
    """

    def __init__(self, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self.setFormatter(logging.Formatter(FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, if a run goes on and it is not this library that tells of it."""
        capture = _current.get()
        if capture is None or record.name.partition(".")[0] == OWN:
            return
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - the arguments of the record may be anything
            # So may the message itself be: not even its repr is safe.
            what = repr(record.msg) if type(record.msg) is str else type(record.msg).__name__
            text = f"{record.levelname} {record.name}: {type(error).__name__} in {what}"
        capture.add(record, text)


class Recorder:
    """Keeps the log of one run; see ``attendant``.

    Args:
        claim: The run.
        store: The store of the row.
    """

    __slots__ = ("_capture", "_claim", "_store", "_token")

    def __init__(self, claim: Claim, store: Store) -> None:
        self._claim, self._store = claim, store
        self._capture = Capture(app_settings.BACKGROUND_TASK_MAX_LOG_BYTES)
        self._token: Token[Capture | None] | None = None

    def begin(self) -> None:
        """Take what is logged from now on in this context."""
        self._token = _current.set(self._capture)

    def is_slow(self) -> bool:
        """Tell whether there is anything to write to the database."""
        return self._capture.has_text()

    def end(self, outcome: Outcome | Settled | None) -> None:
        """Write what was logged. The outcome comes first: nothing here may harm it."""
        if self._token is not None:
            _current.reset(self._token)
        text = self._capture.close()
        if not text:
            return
        try:
            AttemptLogs(self._store.using).add(self._claim, text, at=timezone.now())
        except Exception as error:  # noqa: BLE001 - whatever the database does about it
            telemetry.event("unlogged", claim=self._claim, exception=error)


_lock = threading.Lock()
_handler: list[CaptureHandler] = []
_users = 0


@contextmanager
def capturing() -> Iterator[None]:
    """Keep what tasks log, if the settings say so, as long as the block runs.

    Several workers of a process share one handler: each record is to be taken once.
    """
    level = app_settings.BACKGROUND_TASK_LOG_LEVEL
    if level is None:
        yield
        return
    _begin(level)
    try:
        yield
    finally:
        _end()


def _begin(level: int) -> None:
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _handler.append(CaptureHandler(level))
            logging.getLogger().addHandler(_handler[0])
            factories.append(Recorder)


def _end() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0:
            factories.remove(Recorder)
            logging.getLogger().removeHandler(_handler.pop())
