"""What a row keeps of where its call came from; no database, and no OpenTelemetry."""

import pytest

from background_task.trace_context import MOST_CHARS, handed_on, packed, unpacked

HEADERS = {"traceparent": "00-1-2-01", "tracestate": "a=b", "baggage": "c=d"}


def test_headers_come_back():
    assert unpacked(packed(HEADERS)) == (HEADERS, False)


def test_no_headers_are_no_text():
    assert packed({}) is None
    assert handed_on(None) is None


def test_headers_that_are_too_long_leave_what_is_not_needed():
    text = packed({**HEADERS, "baggage": "x" * MOST_CHARS})
    assert unpacked(text) == ({"traceparent": "00-1-2-01", "tracestate": "a=b"}, False)
    assert packed({"traceparent": "x" * MOST_CHARS}) is None
    assert packed({"baggage": "x" * MOST_CHARS}) is None


def test_what_is_handed_on_is_a_link():
    text = handed_on(packed(HEADERS))
    assert unpacked(text) == (HEADERS, True)
    assert handed_on(text) == text


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "[" * 5000, '{"traceparent": 7}'])
def test_text_that_cannot_be_read_is_none(text):
    assert unpacked(text) == ({}, False)
    assert handed_on(text) is None
