"""What a task function returned: its stored form, and back."""

from __future__ import annotations

import json
from typing import Any

from . import payload
from .exceptions import InvalidPayloadError, ResultNotKeptError
from .payload import argument
from .payload.reference import load_references

#: What the first item of a tagged list says where a value could not be kept; the reason follows.
NOT_KEPT = "not kept"

#: Unlike arguments, of which a hash is made, a result keeps the order of its keys. Text is escaped
#: to ASCII, so that every database stores it.
_encode = json.JSONEncoder(default=argument.write).encode


def pack(value: Any, *, most: int) -> str | None:
    """Return the text that stands for a value; None for None.

    What JSON does not know is written as an argument of a task is.

    Args:
        value: What the function returned.
        most: The largest size in bytes.

    Raises:
        ResultNotKeptError: The value has no stored form, or a larger one.
    """
    if value is None:
        return None
    try:
        text = _encode(value)
        if argument.QUOTED_TAG in text and argument.has_own_tags(value):
            text = _encode(argument.escaped(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise ResultNotKeptError(
            f"a value of type {type(value).__name__} cannot be stored: {error}; return "
            f"{argument.STORED_TYPES}, or nothing, or set keep_result=False"
        ) from error
    if len(text) > most:
        raise ResultNotKeptError(
            f"a value of type {type(value).__name__} takes {len(text)} bytes, and "
            f"BACKGROUND_TASK_MAX_RESULT_BYTES allows {most}; return less (the key of what holds "
            "the rest), or set keep_result=False"
        )
    return text


def not_kept(reason: str) -> str:
    """Return the text that stands where a value could not be kept."""
    return _encode({argument.TAG: [NOT_KEPT, reason]})


def unpack(text: str | None) -> Any:
    """Return the value; model instances are read from their databases, with one query each.

    Raises:
        ResultNotKeptError: The value was not kept; the error says why.
        InvalidPayloadError: The text cannot be read.
        VanishedInstanceError: A model instance is no longer there.
    """
    if text is None:
        return None
    try:
        value = json.loads(text)
        if argument.QUOTED_TAG not in text:
            return value
        match value:
            case {argument.TAG: [str(kind), reason]} if kind == NOT_KEPT and len(value) == 1:
                raise ResultNotKeptError(f"the task returned a value that was not kept: {reason}")
        holder = [json.loads(text, object_hook=argument.read)]
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidPayloadError(
            f"return_value of {len(text)} characters cannot be read: {error}"
        ) from error
    load_references(holder)
    return holder[0]


def why_not_kept(error: BaseException) -> str:
    """Return, for people, why ``pack`` failed, whatever failed in it."""
    if issubclass(type(error), ResultNotKeptError):
        return payload.storable(str(error))
    return f"{type(error).__name__} was raised while it was being stored"
