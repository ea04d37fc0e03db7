"""Arguments that JSON does not know: as what they stand in a row, and how they come back.

Each stands as an object with one key, which is no name that anybody else would choose:
``{"__background_task__": ["date", "2026-01-31"]}``. Only what JSON refuses is written so; and an
object of somebody else with this one key, which stands as
``{"__background_task__": ["dict", <its value>]}``.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Model
from django.utils.functional import Promise

from ..exceptions import InvalidPayloadError
from . import enumeration
from .reference import InstanceReference
from .text import brief

TAG = "__background_task__"
#: Inside a JSON text this stands only for a key or a text of its own.
QUOTED_TAG = f'"{TAG}"'

STORED_TYPES = (
    "None, booleans, numbers, text, lists, tuples and dictionaries, dates and times, timedelta, "
    "Decimal, UUID, bytes, members of enums, and saved model instances"
)

_MICROSECOND = timedelta(microseconds=1)
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Form:
    """How values of a type stand in a row.

    Attributes:
        name: What the tagged list begins with.
        types: Values of these, and of their subclasses.
        write: Returns the rest of the list: JSON, or values that have a form themselves.
        read: Takes the rest of the list and returns the value.
    """

    name: str
    types: tuple[type, ...]
    write: Callable[[Any], list[Any]]
    read: Callable[..., Any]


def write(value: Any) -> Any:
    """Return what stands for a value that JSON refuses.

    Raises:
        TypeError: It has no stored form.
        ValueError: It is of the right type, but this one would not come back.
    """
    if isinstance(value, Promise):  # translated when the task is scheduled, for who schedules it
        return str(value)
    for form in _FORMS:
        if isinstance(value, form.types):
            return {TAG: [form.name, *form.write(value)]}
    raise TypeError(f"a value of type {type(value).__name__} has no stored form")


def read(stored: dict[str, Any]) -> Any:
    """Return the value of a JSON object: itself, or what it stands for.

    Raises:
        InvalidPayloadError: It is tagged, but nothing that is written here.
    """
    if len(stored) != 1 or TAG not in stored:
        return stored
    try:
        match stored[TAG]:
            case ["dict", value]:
                return {TAG: value}
            case [str(name), *parts]:
                return _READERS[name](*parts)
        raise TypeError("it is not a list that begins with the name of a kind")
    except _UNREADABLE as error:
        tagged = stored[TAG]
        kind = tagged[0] if isinstance(tagged, list) and tagged else None
        raise InvalidPayloadError(
            f"the stored argument {TAG}: [{brief(kind)}, ...] cannot be read ({error!r}); "
            "correct the row, or delete it and schedule the task again"
        ) from error


def has_own_tags(*arguments: Any) -> bool:
    """Tell whether arguments have a dictionary that would be taken for something else."""
    waiting = list(arguments)
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if len(value) == 1 and TAG in value:
                return True
            waiting += value.values()
        elif isinstance(value, (list, tuple)):
            waiting += value
    return False


def escaped(value: Any) -> Any:
    """Return arguments with such dictionaries in a form that brings them back."""
    if isinstance(value, dict):
        copy = {key: escaped(item) for key, item in value.items()}
        return {TAG: ["dict", copy[TAG]]} if len(copy) == 1 and TAG in copy else copy
    if isinstance(value, (list, tuple)):
        return [escaped(item) for item in value]
    return value


def _write_datetime(value: datetime) -> list[Any]:
    # Not value.isoformat(): those of subclasses may write what the base class cannot read.
    return [datetime.isoformat(value), *_zone(value)]


def _write_time(value: time) -> list[Any]:
    return [time.isoformat(value), *_zone(value)]


def _zone(value: datetime | time) -> list[str]:
    """Return what the offset, which is part of the text, leaves open."""
    zone = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
    if zone is None and value.tzinfo is not None and value.utcoffset() is None:
        raise ValueError(
            f"the time zone of {value!r} has neither a fixed offset nor a name; "
            "use zoneinfo.ZoneInfo, or none"
        )
    return [] if zone is None or zone == "UTC" else [zone]


def _read_datetime(text: str, zone: str | None = None) -> datetime:
    value = datetime.fromisoformat(text)
    if zone is None:
        return value
    tzinfo = ZoneInfo(zone)
    for fold in (0, 1):  # of an hour that comes twice, the offset says which
        local = value.replace(tzinfo=tzinfo, fold=fold)
        if value.utcoffset() in (None, local.utcoffset()):
            return local
    return value.astimezone(tzinfo)  # the zone's rules have changed since; the moment has not


def _read_time(text: str, zone: str | None = None) -> time:
    value = time.fromisoformat(text)
    return value if zone is None else value.replace(tzinfo=ZoneInfo(zone))


def _write_decimal(value: Decimal) -> list[Any]:
    return [Decimal.__str__(value).replace("e", "E")]  # a decimal context may want it small


def _write_instance(value: Model | InstanceReference) -> list[Any]:
    reference = value if isinstance(value, InstanceReference) else InstanceReference.of(value)
    return [reference.label, reference.key, reference.using]


_FORMS = (
    Form("enum", (Enum,), enumeration.write, enumeration.read),  # some are also one of the rest
    Form("datetime", (datetime,), _write_datetime, _read_datetime),
    Form("date", (date,), lambda value: [date.isoformat(value)], date.fromisoformat),
    Form("time", (time,), _write_time, _read_time),
    Form(
        "timedelta",
        (timedelta,),
        lambda value: [timedelta.__floordiv__(value, _MICROSECOND)],
        lambda microseconds: timedelta(microseconds=microseconds),
    ),
    Form("decimal", (Decimal,), _write_decimal, Decimal),
    Form("uuid", (UUID,), lambda value: [str(value)], UUID),
    Form(
        "bytes",
        (bytes,),
        lambda value: [b64encode(value).decode("ascii")],
        lambda text: b64decode(text, validate=True),
    ),
    Form("instance", (Model, InstanceReference), _write_instance, InstanceReference),
)
_READERS = {form.name: form.read for form in _FORMS}
