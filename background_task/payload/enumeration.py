"""Enum members as arguments: by module, class and name.

Whoever can write into the table must not be able to have any module imported or any callable
called. So a module that is not loaded yet is imported only if it is part of an installed app, and a
class is looked up in dictionaries only, because asking for attributes could run code.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import Enum, EnumMeta, Flag
from importlib import import_module
from typing import Any

from django.apps import apps


def write(member: Enum) -> list[Any]:
    """Return module, class and name of a member; of flags the value, as not all have names.

    Raises:
        TypeError: No other process could find the class.
    """
    cls = type(member)
    module = cls.__module__
    if module == "__main__" or _look_up(sys.modules.get(module), cls.__qualname__) is not cls:
        raise TypeError(
            f"a worker could not import the class of {member!r}, {module}.{cls.__qualname__}; "
            "define it at the top level of a module"
        )
    which = member._value_ if isinstance(member, Flag) else member._name_
    return [module, cls.__qualname__, which]


def read(module: str, qualname: str, which: str | int) -> Enum:
    """Return a member.

    Raises:
        LookupError: The module may not be imported, or has no such class, or that no such member.
        TypeError: A part of the address is of a wrong type.
        ValueError: A flag has no such value.
    """
    cls = _look_up(_module(module), qualname)
    if not isinstance(cls, EnumMeta):
        raise LookupError(f"{module}.{qualname} is not an Enum class")
    members: Mapping[Any, Any] = cls.__members__
    member: Enum = cls(which) if issubclass(cls, Flag) else members[which]
    return member


def _module(name: str) -> Any:
    if name in sys.modules:
        return sys.modules[name]
    if not any(f"{name}.".startswith(f"{app.name}.") for app in apps.get_app_configs()):
        raise LookupError(
            f"the module {name!r} is neither imported nor part of an installed app; "
            "import it where the task function is defined"
        )
    try:
        return import_module(name)
    except ImportError as error:
        raise LookupError(f"the module {name!r} cannot be imported: {error}") from error


def _look_up(module: Any, qualname: str) -> Any:
    found = module
    for name in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found
