"""The stored form of a call: its bytes, its hash, and text that every database can hold."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from asgiref.sync import sync_to_async

from ..exceptions import InvalidOptionError, InvalidOptionTypeError, InvalidPayloadError
from . import argument
from .reference import (
    InstanceReference,
    VanishedInstanceError,
    has_references,
    load_references,
)
from .text import MAX_ERROR_CHARS, ascii_only, is_storable, shape, storable

__all__ = [
    "MAX_ERROR_CHARS",
    "InstanceReference",
    "VanishedInstanceError",
    "adecode",
    "ascii_only",
    "decode",
    "encode",
    "is_storable",
    "storable",
    "task_hash",
    "unique_key",
]

#: ``json.dumps`` with options would make an encoder for each call.
_encode = json.JSONEncoder(sort_keys=True, default=argument.write).encode
_scan = json.JSONDecoder().raw_decode


def encode(args: Any, kwargs: Any) -> str:
    """Return the ``task_params`` text of a call.

    Of what JSON can hold, the bytes are those that django-background-tasks has always written,
    because ``task_hash`` is made of them: default separators, sorted keys, ASCII escapes, NaN
    allowed. Falsy ``args`` mean no positional arguments. What JSON cannot hold is written by the
    forms of ``payload.argument``.

    Raises:
        InvalidOptionError: A model instance has not been saved (it is also a ``ValueError``).
        InvalidOptionTypeError: A value has no stored form (it is also a ``TypeError``).
    """
    stored = (args or (), kwargs or {})
    try:
        text = _encode(stored)
        if argument.QUOTED_TAG in text and argument.has_own_tags(stored):
            text = _encode([argument.escaped(part) for part in stored])
    except InvalidOptionError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidOptionTypeError(
            f"the arguments {shape(args or (), kwargs or {})} cannot be stored: {error}; "
            f"a task takes {argument.STORED_TYPES} (pass a list instead of a set, "
            "and of any other object what the task needs of it)"
        ) from error
    return text


def decode(task_params: str, *, load: bool = True) -> tuple[list[Any], dict[str, Any]]:
    """Return ``(args, kwargs)`` of a stored call.

    Args:
        task_params: What ``encode`` returned, now or in an earlier version.
        load: Whether to read model instances from their databases, with one query each; if not,
            an ``InstanceReference`` stands in the place of each.

    Raises:
        InvalidPayloadError: The text is not a JSON array of an array and an object, or has an
            argument that cannot be read.
        VanishedInstanceError: A model instance is no longer there.
    """
    is_plain = True
    try:
        is_plain = argument.QUOTED_TAG not in task_params
        stored = (
            _loads(task_params) if is_plain else json.loads(task_params, object_hook=argument.read)
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidPayloadError(
            f"task_params of {len(task_params)} characters is not JSON ({error}); "
            "correct the row, or delete it and schedule the task again"
        ) from error
    match stored:
        case [list(args), dict(kwargs)]:
            if load and not is_plain:
                load_references(args, kwargs)
            return args, kwargs
    raise InvalidPayloadError(
        f"task_params of {len(task_params)} characters is not of the form [[args], {{kwargs}}]; "
        "correct the row, or delete it and schedule the task again"
    )


def _loads(text: str) -> Any:
    """Do what ``json.loads`` does, without looking for the space that ``encode`` never writes."""
    try:
        stored, end = _scan(text)
    except ValueError:
        return json.loads(text)
    return stored if end == len(text) else json.loads(text)


async def adecode(task_params: str) -> tuple[list[Any], dict[str, Any]]:
    """Do the same where an event loop runs: the queries, if there are any, on another thread."""
    args, kwargs = decode(task_params, load=False)
    if has_references(args, kwargs):
        await sync_to_async(load_references)(args, kwargs)
    return args, kwargs


def task_hash(task_name: str, task_params: str) -> str:
    """Return the SHA-1 that identifies "the same task with the same arguments"."""
    text = (task_name + task_params).encode()
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def unique_key(hash_: str, queue: str | None) -> str:
    """Return the key that lets at most one *waiting* row of this call and queue exist."""
    text = f"{hash_}:{'' if queue is None else queue}".encode()
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()
