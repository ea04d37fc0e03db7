"""Reading the signed packages of django-q2 without letting them do anything.

They are pickles, which may call whatever they name. These are signed with the project's key, and
its own workers would load them; still, nothing is imported or called here but a few plain types.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django.core import signing

from ..exceptions import InvalidOptionError

#: Types of plain values. Whatever else a package names is not looked up.
PLAIN: dict[str, tuple[str, ...]] = {
    "collections": ("OrderedDict",),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "uuid": ("UUID",),
    "zoneinfo": ("ZoneInfo", "ZoneInfo._unpickle"),
}


@dataclass(frozen=True, slots=True)
class Named:
    """What a package names and this does not look up: a function, most of the time."""

    path: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse to be called.

        Raises:
            InvalidOptionError: Always.
        """
        raise InvalidOptionError(
            f"its package holds a {self.path}, which cannot be read safely; wait until its own "
            "worker has run it, or queue it again with plain arguments"
        )


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in PLAIN.get(module, ()):
            return super().find_class(module, name)
        return Named(f"{module}.{name}")


class _Serializer:
    """What ``signing.loads`` calls once the signature has been found right."""

    loads: ClassVar[Callable[[bytes], Any]] = staticmethod(
        lambda data: _Reader(io.BytesIO(data)).load()
    )


def read_package(text: str, *, salt: str) -> dict[str, Any]:
    """Return what a package of django-q2 says.

    Args:
        text: The signed text.
        salt: The ``name`` of ``Q_CLUSTER``.

    Raises:
        InvalidOptionError: The signature is not right, or the package holds what is not plain.
    """
    serializer: Any = _Serializer
    try:
        package = signing.loads(text, salt=salt, serializer=serializer)
    except signing.BadSignature:
        raise InvalidOptionError(
            f"its signature is not that of this project; use the SECRET_KEY, and the name in "
            f"Q_CLUSTER (now {salt!r}), with which it was queued"
        ) from None
    except InvalidOptionError:
        raise
    except Exception as error:  # bytes that are no pickle fail in any way at all
        raise InvalidOptionError(f"its package cannot be read: {error!r}") from error
    if not isinstance(package, dict):
        raise InvalidOptionError("its package holds no task")
    return package
