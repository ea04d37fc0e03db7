"""Names that must be unique: of rows, and of workers."""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
import uuid

from .exceptions import InvalidOptionError, InvalidOptionTypeError, brief

#: The width of the ``locked_by`` column.
MAX_OWNER_CHARS = 64


#: The token behind a label, and what leaves room for it and for the number of a worker process.
LABEL_TOKEN_BYTES, MAX_LABEL_CHARS = 4, 50


def label_of(worker_id: str) -> str:
    """Return what the names of a worker with this id begin with."""
    return worker_id[:MAX_LABEL_CHARS]


def is_name_with(label: str, name: str) -> bool:
    """Tell whether a worker's name was made of a label, or one of its worker processes has it."""
    pattern = rf"{re.escape(label)}(:\d+)?:[0-9a-f]{{{2 * LABEL_TOKEN_BYTES}}}"
    return re.fullmatch(pattern, name) is not None


def new_uid() -> uuid.UUID:
    """Return a time-ordered UUID (version 7 of RFC 9562): 48 bits of milliseconds, then chance."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return uuid.UUID(int=value)


def new_uids(count: int) -> list[uuid.UUID]:
    """Return many of them at once, in growing order, so that an index takes them side by side."""
    start = (time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | 0x2 << 62
    noise = secrets.token_bytes(10 * count)
    chances = sorted(
        int.from_bytes(noise[at : at + 10], "big") >> 6 for at in range(0, len(noise), 10)
    )
    return [
        uuid.UUID(int=start | chance >> 62 << 64 | chance & (1 << 62) - 1) for chance in chances
    ]


def uid_of(value: object) -> uuid.UUID:
    """Return a ``uid`` given as such or as text.

    Raises:
        InvalidOptionTypeError: It is neither.
        InvalidOptionError: The text is no ``uid``.
    """
    if isinstance(value, uuid.UUID):
        return value
    if not isinstance(value, str):
        raise InvalidOptionTypeError(
            f"{brief(value)} is of type {type(value).__name__}; use a task, its uid, or that as "
            "text"
        )
    try:
        return uuid.UUID(value)
    except ValueError:
        raise InvalidOptionError(
            f"{brief(value)} is no uid; use what str(task.uid) gives, 32 hexadecimal digits"
        ) from None


def new_worker_name(label: str | None = None) -> str:
    """Return ``host:pid:token``, or ``label:token``: 64 characters at most, a new one at each call.

    The token is what makes it unique: two containers may well share host name and pid. A label is
    given to one process after the other; the writes of each have to be told apart.
    """
    if label is not None:
        return f"{label}:{secrets.token_hex(LABEL_TOKEN_BYTES)}"
    tail = f":{os.getpid()}:{secrets.token_hex(8)}"
    return _ascii(socket.gethostname())[: MAX_OWNER_CHARS - len(tail)] + tail


def is_pid_running(pid: int) -> bool:
    """Tell whether a process of this number runs on this machine.

    On Windows there is no harmless way to ask (signal 0 would send Ctrl-C), so it is False.
    """
    if os.name == "nt" or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # it runs, as another user
        return True
    except (OSError, OverflowError):
        return False
    return True


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")
