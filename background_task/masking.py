"""What of a task is not shown to people: arguments by name, or all that a sensitive task has.

The columns of the row hold everything: who may read the database may read it all.
"""

from __future__ import annotations

from typing import Any, Protocol

from . import payload
from .exceptions import InvalidOptionError, InvalidOptionTypeError, InvalidPayloadError
from .mask import MASK, masked_all, masked_arguments
from .policy_option import OPTIONS, parse_overrides
from .registry import find
from .settings import app_settings
from .tasks import tasks

__all__ = ["MASK", "hides", "is_sensitive", "masked_call", "masked_params"]

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
        return masked_all(args, kwargs)
    if not (names := app_settings.BACKGROUND_TASK_MASK):
        return args, kwargs
    parameters = getattr(find(tasks._tasks, row), "parameters", None)
    return masked_arguments(args, kwargs, parameters, names)


def masked_params(row: Call) -> str:
    """Return the arguments of a call as they may be shown, in JSON; never raises.

    Where nothing is masked, that is the very text of the row.
    """
    if not _may_hide(row):
        return row.task_params
    try:
        args, kwargs = masked_call(row)
        if (args, kwargs) == payload.decode(row.task_params, load=False):
            return row.task_params
        return payload.encode(args, kwargs)
    except (InvalidPayloadError, InvalidOptionError, InvalidOptionTypeError):
        return f'"{MASK}"'


def hides(row: Call) -> bool:
    """Tell whether anything of the task is masked."""
    return is_sensitive(row) or masked_params(row) != row.task_params


def _may_hide(row: Call) -> bool:
    return bool(app_settings.BACKGROUND_TASK_MASK) or is_sensitive(row)
