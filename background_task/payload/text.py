"""Text that every database can hold, and that somebody can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Longer errors keep their head and their tail; the middle says how much was left out.
MAX_ERROR_CHARS = 100_000


def is_storable(text: str) -> bool:
    """Tell whether every supported database stores ``text`` as it is."""
    if text.isascii():
        return "\x00" not in text
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def storable(text: str) -> str:
    """Return ``text`` as every database can hold it.

    PostgreSQL refuses NUL, no database takes a lone surrogate, and nobody reads megabytes.
    """
    text = shortened(text, MAX_ERROR_CHARS)
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def shortened(text: str, length: int) -> str:
    """Return a text with no more than so many characters of it: without its middle."""
    if len(text) <= length:
        return text
    half = length // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[... {left_out} characters left out ...]\n{text[-half:]}"


def ascii_only(text: str) -> str:
    """Return ``text`` in ASCII, for a table whose character set cannot hold the rest."""
    return storable(text).encode("ascii", "backslashreplace").decode("ascii")


def shape(args: Any, kwargs: Any) -> str:
    """Return what a call looks like without its values, which a message must not spread."""
    placed = args if isinstance(args, list | tuple) else [args]
    named = kwargs if isinstance(kwargs, Mapping) else {"**": kwargs}
    parts = [type(each).__name__ for each in placed]
    parts += [f"{name}: {type(each).__name__}" for name, each in named.items()]
    return f"({', '.join(parts)})"


def brief(value: Any, limit: int = 200) -> str:
    """Return the beginning of a value's ``repr``, whatever that does."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a broken __repr__ must not hide the real message
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]}..."
