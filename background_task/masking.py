"""What of a task is not shown to people: arguments by name, or all that a sensitive task has.

The columns of the row hold everything: who may read the database may read it all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from . import payload
from .exceptions import InvalidOptionError, InvalidOptionTypeError, InvalidPayloadError
from .policy_option import OPTIONS, parse_overrides
from .registry import find
from .settings import app_settings
from .tasks import tasks

#: Stands in the place of what is not shown.
MASK = "********"
#: The key under which a row says whether it is sensitive.
KEY = OPTIONS["sensitive"].key


class Call(Protocol):
    """A stored call: a row, live or archived, or a claim."""

    @property
    def task_name(self) -> str:
        """The name of its function."""
        ...

    @property
    def task_params(self) -> str:
        """Its arguments."""
        ...

    @property
    def options(self) -> str | None:
        """What it says of its own options."""
        ...

    @property
    def backend(self) -> str | None:
        """The alias of the backend that queued it."""
        ...


def is_sensitive(row: Call) -> bool:
    """Tell whether nothing that the task was given or has returned is to be shown.

    The row itself says it, so that it also counts where the function is unknown. What cannot be
    read counts as a yes.
    """
    said: Any = None
    if row.options:
        try:
            said = parse_overrides(row.options).get(KEY)
        except (TypeError, ValueError, RecursionError):
            return True
    if said is not None:
        return said is not False
    policy = getattr(find(tasks._tasks, row), "policy", None)
    return bool(getattr(policy, "sensitive", False))


def masked_call(row: Call) -> tuple[list[Any], dict[str, Any]]:
    """Return the ``(args, kwargs)`` of a call as they may be shown.

    As with ``Task.params``, an ``InstanceReference`` stands in the place of a model instance.

    Raises:
        InvalidPayloadError: They cannot be read.
    """
    args, kwargs = payload.decode(row.task_params, load=False)
    if is_sensitive(row):
        return [MASK] * len(args), dict.fromkeys(kwargs, MASK)
    if not (names := app_settings.BACKGROUND_TASK_MASK):
        return args, kwargs
    parameters = getattr(find(tasks._tasks, row), "parameters", None)
    positions = [None] * len(args) if parameters is None else parameters.positions(len(args))
    # Of an argument whose name nobody knows here, nobody knows that it may be shown.
    shown = [
        MASK if name is None or is_masked(name, names) else masked(value, names)
        for name, value in zip(positions, args, strict=True)
    ]
    if parameters and parameters.rest and is_masked(parameters.rest, names):
        unnamed = set(kwargs) - set(parameters.names)
        kwargs.update(dict.fromkeys(unnamed, MASK))
    return shown, masked(kwargs, names)


def masked_params(row: Call) -> str:
    """Return the arguments of a call as they may be shown, in JSON; never raises.

    Where nothing is masked, that is the very text of the row.
    """
    try:
        args, kwargs = masked_call(row)
        if (args, kwargs) == payload.decode(row.task_params, load=False):
            return row.task_params
        return payload.encode(args, kwargs)
    except (InvalidPayloadError, InvalidOptionError, InvalidOptionTypeError):
        return f'"{MASK}"' if _may_hide(row) else row.task_params


def hides(row: Call) -> bool:
    """Tell whether anything of the task is masked."""
    return is_sensitive(row) or masked_params(row) != row.task_params


def masked(value: Any, names: Collection[str]) -> Any:
    """Return a value with what stands under a masked name, at any depth, left out.

    Args:
        value: What was stored.
        names: As ``app_settings.BACKGROUND_TASK_MASK`` has them.
    """
    if isinstance(value, Mapping):
        return {
            key: MASK if is_masked(key, names) else masked(item, names)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [masked(item, names) for item in value]
    return value


def is_masked(name: str, names: Collection[str]) -> bool:
    """Tell whether what has this name is masked."""
    text = name.casefold()
    return any(part in text for part in names)


def _may_hide(row: Call) -> bool:
    return bool(app_settings.BACKGROUND_TASK_MASK) or is_sensitive(row)
