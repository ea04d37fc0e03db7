"""The stored form of a call: its bytes, its hash, and text that every database can hold."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .exceptions import InvalidOptionTypeError, InvalidPayloadError

#: Longer errors keep their head and their tail; the middle says how much was left out.
MAX_ERROR_CHARS = 100_000

#: ``json.dumps`` with options would make an encoder for each call.
_encode = json.JSONEncoder(sort_keys=True).encode


def encode(args: Any, kwargs: Any) -> str:
    """Return the ``task_params`` text of a call.

    The bytes are those that django-background-tasks has always written, because ``task_hash``
    is made of them: default separators, sorted keys, ASCII escapes, NaN allowed. Falsy ``args``
    mean no positional arguments.

    Raises:
        InvalidOptionTypeError: A value has no JSON form (it is also a ``TypeError``).
    """
    try:
        return _encode((args or (), kwargs or {}))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidOptionTypeError(
            f"the arguments {_brief((args, kwargs))} cannot be stored: {error}; "
            "a task takes what JSON can hold (pass a primary key instead of an object, "
            "str(value) instead of a UUID or a datetime)"
        ) from error


def decode(task_params: str) -> tuple[list[Any], dict[str, Any]]:
    """Return ``(args, kwargs)`` of a stored call.

    Raises:
        InvalidPayloadError: The text is not a JSON array of an array and an object.
    """
    try:
        stored = json.loads(task_params)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidPayloadError(
            f"task_params {_brief(task_params)} is not JSON ({error}); "
            "correct the row, or delete it and schedule the task again"
        ) from error
    match stored:
        case [list(args), dict(kwargs)]:
            return args, kwargs
    raise InvalidPayloadError(
        f"task_params {_brief(task_params)} is not of the form [[args], {{kwargs}}]; "
        "correct the row, or delete it and schedule the task again"
    )


def task_hash(task_name: str, task_params: str) -> str:
    """Return the SHA-1 that identifies "the same task with the same arguments"."""
    text = (task_name + task_params).encode()
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def unique_key(hash_: str, queue: str | None) -> str:
    """Return the key that lets at most one *waiting* row of this call and queue exist."""
    text = f"{hash_}:{'' if queue is None else queue}".encode()
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def is_storable(text: str) -> bool:
    """Tell whether every supported database stores ``text`` as it is."""
    if text.isascii():
        return "\x00" not in text
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def storable(text: str) -> str:
    """Return ``text`` as every database can hold it.

    PostgreSQL refuses NUL, no database takes a lone surrogate, and nobody reads megabytes.
    """
    if len(text) > MAX_ERROR_CHARS:
        half = MAX_ERROR_CHARS // 2
        left_out = len(text) - 2 * half
        text = f"{text[:half]}\n[... {left_out} characters left out ...]\n{text[-half:]}"
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def ascii_only(text: str) -> str:
    """Return ``text`` in ASCII, for a table whose character set cannot hold the rest."""
    return storable(text).encode("ascii", "backslashreplace").decode("ascii")


def _brief(value: Any, limit: int = 200) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a broken __repr__ must not hide the real message
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}..."
