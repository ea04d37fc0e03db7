"""What of a log is kept, and in which form; no database."""

import logging

import pytest

from background_task.log_capture import Capture, CaptureHandler, _current
from background_task.settings import SETTINGS, app_settings

LOGGER = logging.getLogger("tests.logs")


def record(text="x", *args, name="tests.logs"):
    return logging.LogRecord(name, logging.INFO, __file__, 1, text, args, None)


def captured(*texts, most=1000):
    capture = Capture(most)
    for text in texts:
        capture.add(record(), text)
    return capture.close()


@pytest.fixture
def capture():
    capture = Capture(1000)
    token = _current.set(capture)
    yield capture
    _current.reset(token)


def test_short_log_is_kept_as_it_is():
    assert captured("one", "two\nthree") == "one\ntwo\nthree"
    assert captured() == ""


def test_long_log_keeps_its_beginning_and_its_end():
    lines = captured(*(f"line {n:05}" for n in range(10_000)), most=1000).splitlines()
    assert lines[0] == "line 00000"
    assert lines[-1] == "line 09999"
    (gap,) = [line for line in lines if line.startswith("[...")]
    kept = len(lines) - 1
    assert gap == f"[... {10_000 - kept} records, {11 * (10_000 - kept)} bytes, left out ...]"
    assert 11 * kept <= 1000


def test_log_that_just_fits_is_whole():
    lines = ["x" * 99] * 10
    assert captured(*lines, most=1000) == "\n".join(lines)


@pytest.mark.parametrize("text", ["x" * 5000, "ä" * 5000, "🦆" * 5000])
def test_long_record_is_kept_without_its_middle(text):
    kept = captured(text, most=1000)
    assert kept.startswith(text[:10])
    assert kept.endswith(text[-10:])
    assert "bytes left out" in kept
    assert len(kept.encode()) <= 1000


@pytest.mark.parametrize("text", ["nul \x00", "half \ud800 of a pair"])
def test_text_that_no_database_stores_is_made_storable(text):
    kept = captured(text)
    assert "\x00" not in kept
    kept.encode()


def test_record_that_comes_by_two_handlers_is_kept_once():
    capture, same = Capture(1000), record()
    capture.add(same, "one")
    capture.add(same, "one")
    assert capture.close() == "one"


def test_record_that_comes_after_the_end_is_dropped():
    capture = Capture(1000)
    capture.close()
    capture.add(record(), "late")
    assert not capture.has_text()


def test_handler_writes_time_level_and_logger(capture):
    CaptureHandler().handle(record("hello %s", "you"))
    assert capture.close().endswith("INFO tests.logs: hello you")


def test_handler_leaves_out_what_this_library_says(capture):
    for name in ("background_task", "background_task.tasks"):
        CaptureHandler().handle(record(name=name))
    assert not capture.has_text()
    CaptureHandler().handle(record(name="background_tasks_of_mine"))
    assert capture.has_text()


def test_handler_outside_of_a_run_does_nothing():
    CaptureHandler().handle(record("%d", "of a wrong type"))


def test_handler_of_a_record_that_cannot_be_formatted_says_so(capture):
    CaptureHandler().handle(record("%d things", "many"))
    assert capture.close() == "INFO tests.logs: TypeError in '%d things'"


def test_handler_of_a_message_that_has_no_text_raises_nothing(capture):
    class Hostile:
        def __str__(self):
            raise ValueError

        __repr__ = __str__

    CaptureHandler().handle(record(Hostile()))
    assert capture.close() == "INFO tests.logs: ValueError in Hostile"


@pytest.mark.parametrize("value", [20, {}, ["INFO"], "LOUD"])
def test_level_that_is_none_is_read_as_info(settings, value):
    settings.BACKGROUND_TASK_LOG_LEVEL = value
    assert app_settings.BACKGROUND_TASK_LOG_LEVEL == logging.INFO


@pytest.mark.parametrize("value", [20, "LOUD", "", ["INFO"], True])
def test_level_that_is_none_breaks_the_rule(value):
    assert SETTINGS["LOG_LEVEL"].rule(value)


@pytest.mark.parametrize("value", [None, "INFO", "DEBUG", "ERROR"])
def test_level_keeps_the_rule(value):
    assert SETTINGS["LOG_LEVEL"].rule(value) is None


@pytest.mark.parametrize("value", [0, 255, 1_048_577, "many", 1e4, True])
def test_size_out_of_range_breaks_the_rule(value):
    assert SETTINGS["MAX_LOG_BYTES"].rule(value)
