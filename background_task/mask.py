"""Stars in the place of values that nobody is to be shown; ``masking`` does so with rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .call import Parameters

#: Stands in the place of what is not shown.
MASK = "********"


def masked_all(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a call of which none is shown."""
    return [MASK] * len(args), dict.fromkeys(kwargs, MASK)


def masked_arguments(
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    parameters: Parameters | None,
    names: Collection[str],
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a call as they may be shown.

    Of an argument whose name nobody knows, nobody knows that it may be shown.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.
        parameters: What the function takes; None if that is not known.
        names: As ``app_settings.BACKGROUND_TASK_MASK`` has them.
    """
    if not names:
        return list(args), dict(kwargs)
    positions = [None] * len(args) if parameters is None else parameters.positions(len(args))
    shown = [
        MASK if name is None or is_masked(name, names) else masked(value, names)
        for name, value in zip(positions, args, strict=True)
    ]
    by_name = masked(kwargs, names)
    if parameters and parameters.rest and is_masked(parameters.rest, names):
        by_name.update(dict.fromkeys(set(kwargs) - set(parameters.names or ()), MASK))
    return shown, by_name


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


def is_masked(name: object, names: Collection[str]) -> bool:
    """Tell whether what has this name is masked."""
    text = str(name).casefold()
    return any(part in text for part in names)
