"""Rows whose options are broken, strange, or of another version: they run all the same."""

import json
import logging

import pytest

from background_task.models import CompletedTask, Task
from tests.policies.running import completed
from tests.worker.running import work_off

pytestmark = pytest.mark.django_db(transaction=True)

UNREADABLE = ["{", "[]", '"text"', "7", "NaN", "[" * 5000, '{"max": 3', "Büro 🦆"]
WRONG = [
    ({"max": 0}, "max_attempts is ignored: max_attempts 0 is out of range"),
    ({"max": "3"}, "max_attempts is ignored: max_attempts '3'"),
    ({"backoff": {"quadratic": [1]}}, "backoff is ignored: backoff {'quadratic': [1]}"),
    ({"retry": "builtins.OSError"}, "retry_on is ignored: 'builtins.OSError' is no list"),
    ({"timeout": -1}, "timeout is ignored: timeout -1 is out of range"),
    ({"expires": "soon"}, "expires is ignored: "),
    ({"go_on": "yes"}, "repeat_on_failure is ignored: "),
]


def with_options(job, text):
    """Store a row as another version, or a person, may have left it."""
    task = job()
    Task.objects.filter(pk=task.pk).update(options=text)
    return task


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("text", UNREADABLE, ids=lambda text: text[:10])
def test_options_that_cannot_be_read_are_told_and_the_task_runs(any_bench, caplog, text):
    with_options(any_bench.task(lambda: None), text)
    any_bench.work()
    assert completed().failed_at is None
    (told,) = warnings(caplog)
    assert "After job: the options " in told
    assert "cannot be read" in told
    assert len(told) < 500


@pytest.mark.parametrize(("options", "says"), WRONG, ids=lambda value: str(value)[:30])
def test_option_that_cannot_be_read_is_told_and_the_others_count(any_bench, caplog, options, says):
    job = any_bench.raising(KeyError("x"), max_attempts=1, repeat_on_failure=False)
    with_options(job, json.dumps({"discard": ["builtins.KeyError"], **options}))
    any_bench.work()
    assert completed().discarded_at is not None
    (told,) = warnings(caplog)
    assert f"After job: {says}" in told


def test_options_of_a_later_version_are_passed_over_in_silence(any_bench, caplog):
    text = json.dumps({"of_3_0": {"a": [1]}, "discard": ["builtins.KeyError"]})
    with_options(any_bench.raising(KeyError("x")), text)
    any_bench.work()
    assert completed().discarded_at is not None
    assert completed().options == text
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    "name", ["shop.errors.Gone", "KeyError", "", "builtins.", "os.system", "not a name", "\x00"]
)
def test_names_of_exceptions_that_there_are_not_match_nothing(any_bench, name):
    text = json.dumps({"discard": [name, "builtins.LookupError"], "max": 1})
    job = any_bench.raising(ValueError("x"), KeyError("x"))
    with_options(job, text)
    with_options(job, text)
    any_bench.work(2)
    assert CompletedTask.objects.filter(discarded_at__isnull=False).count() == 1
    assert CompletedTask.objects.failed().count() == 1


def test_exceptions_of_a_row_are_never_imported(bench, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a row must not decide what is imported")

    job = bench.raising(ValueError("x"))
    with_options(job, '{"discard":["some_module.SomeError","builtins.ValueError"]}')
    monkeypatch.setattr("importlib.import_module", refuse)
    bench.work()
    assert completed().discarded_at is not None


def test_broken_options_do_not_hold_up_others(registry, bench):
    job = bench.task(lambda: None)
    for text in [*UNREADABLE, None, '{"max":1}', *(json.dumps(options) for options, _ in WRONG)]:
        with_options(job, text)
    assert work_off().summary.succeeded == len(UNREADABLE) + len(WRONG) + 2
    assert not Task.objects.exists()


def test_broken_options_are_kept_for_the_repetition(bench):
    job = bench.task(lambda: None)
    task = job(repeat=3600)
    Task.objects.filter(pk=task.pk).update(options="{")
    bench.work()
    assert Task.objects.get().options == "{"
