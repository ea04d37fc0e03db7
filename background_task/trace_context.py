"""Where a call came from, as its row keeps it for distributed tracing: headers in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

#: Says that a run does not belong to the trace of the call, only comes from it.
LINK = "link"
#: What others have put into their headers is not to fill the table.
MOST_CHARS = 4000
#: The headers without which there is no trace; the others are kept if there is room.
NEEDED = ("traceparent", "tracestate")


def packed(headers: Mapping[str, str]) -> str | None:
    """Return what is stored of headers; None of none."""
    for kept in (dict(headers), {key: headers[key] for key in NEEDED if key in headers}):
        text = json.dumps(kept, separators=(",", ":"))
        if len(text) <= MOST_CHARS:
            return text if kept else None
    return None


def unpacked(stored: str | None) -> tuple[dict[str, str], bool]:
    """Return headers, and whether they are only to be linked; never raises."""
    if not stored:
        return {}, False
    try:
        values = json.loads(stored)
    except (ValueError, RecursionError):
        return {}, False
    if not isinstance(values, dict):
        return {}, False
    headers = {key: value for key, value in values.items() if isinstance(value, str)}
    return headers, values.get(LINK) is True


def handed_on(stored: str | None) -> str | None:
    """Return what the next run of a chain keeps: it is no part of the trace of the first call.

    Chains go on for months, and a trace is one thing that happens.
    """
    headers, _ = unpacked(stored)
    return json.dumps({**headers, LINK: True}, separators=(",", ":")) if headers else None
