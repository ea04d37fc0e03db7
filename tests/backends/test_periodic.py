"""``OPTIONS["periodic"]``: workers put tasks of a backend into the queue at their times."""

from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured

from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.models import Task
from background_task.store import get_store
from background_task.task_backend import Periodic
from background_task.task_framework import task_backends
from background_task.worker.periodic import Ticker
from background_task.worker.pruner import keeping_in
from background_task.worker.served import all_declared
from tests.app.tasks import record
from tests.periodic.conftest import HOUR, LEASE, NOON, due, read_and_tick

DAY = timedelta(days=1)
ADD, CONTEXT = "tests.backends.tasks.add", "tests.backends.tasks.context"


@pytest.fixture
def configured(settings):
    """Let a backend have these options."""

    def configure(alias="default", **options):
        backend = {**settings.TASKS[alias], "OPTIONS": options}
        settings.TASKS = {**settings.TASKS, alias: backend}

    return configure


@pytest.mark.django_db
def test_tick_is_a_task_of_the_backend(configured):
    hourly = Periodic("1h", args=[1], kwargs=lambda: {"second": 2})
    configured(periodic={ADD: hourly, CONTEXT: "2h"}, max_attempts=3)
    ticker = Ticker(get_store(), registry={}, lease=LEASE)
    read_and_tick(ticker, NOON + timedelta(minutes=1))
    assert due() == []
    read_and_tick(ticker, NOON + HOUR)
    task = Task.objects.get()
    assert (task.task_name, task.backend, due()) == (ADD, "default", [NOON + HOUR])
    assert (task.params(), task.queue) == (([1], {"second": 2}), "default")
    read_and_tick(ticker, NOON + 2 * HOUR)
    assert sorted(Task.objects.values_list("task_name", flat=True)) == [ADD, ADD, CONTEXT]


@pytest.mark.parametrize("spec", ["90m", 5400, timedelta(minutes=90), Periodic("1h30m")])
def test_spec_is_a_length_of_time(configured, spec):
    configured(periodic={CONTEXT: spec})
    assert all_declared({})[CONTEXT].rule.in_words() == "every 90 minutes"


def test_schedule_of_another_alias_has_it_in_its_name(configured):
    configured(periodic={CONTEXT: "@daily"})
    configured("any", periodic={CONTEXT: "0 12 * * *"})
    assert set(all_declared({})) == {CONTEXT, f"{CONTEXT} (any)"}


@pytest.mark.parametrize(
    ("error", "periodic"),
    [
        (InvalidOptionError, {"tests.backends.tasks.nothing": "1h"}),
        (InvalidOptionError, {"tests.backends.tasks.not_a_task": "1h"}),
        (InvalidOptionTypeError, {ADD: "1h"}),
        (InvalidOptionError, {CONTEXT: "every day"}),
    ],
    ids=["no such path", "no task", "arguments missing", "no schedule"],
)
def test_declaration_that_cannot_work_is_refused_and_named(configured, error, periodic):
    configured(periodic=periodic)
    with pytest.raises(error) as refused:
        all_declared({})
    (path,) = periodic
    assert f"TASKS['default']['OPTIONS']['periodic'][{path!r}]" in str(refused.value)


def test_immediate_backend_has_no_periodic_tasks(configured):
    configured("immediate", immediate=True, periodic={CONTEXT: "1h"})
    with pytest.raises(InvalidOptionError, match="immediate"):
        all_declared({})


def test_name_that_the_setting_has_too_is_refused(configured, settings):
    configured(periodic={CONTEXT: "1h"})
    entry = {"task": record.name, "schedule": 3600, "args": ["a"]}
    settings.BACKGROUND_TASK_PERIODIC = {CONTEXT: entry}
    with pytest.raises(InvalidOptionError, match="declared twice"):
        all_declared({record.name: record})


@pytest.mark.parametrize("periodic", [["1h"], {CONTEXT: Periodic("1h", retain="long")}])
def test_option_of_a_wrong_form_is_refused(configured, periodic):
    configured(periodic=periodic)
    with pytest.raises(ImproperlyConfigured, match="periodic"):
        _ = task_backends["default"]


@pytest.mark.django_db
def test_finished_ticks_are_kept_as_the_schedule_says(configured):
    configured(retain="1d", periodic={ADD: Periodic("@daily", retain="2d")})
    keeping = keeping_in(get_store().using)
    assert [keeping.of(path, "default") for path in (ADD, CONTEXT)] == [2 * DAY, DAY]
    assert keeping.of(ADD, "any") != 2 * DAY


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"tests.backends.tasks.gone": "@daily"}, "give the path of a task"),
        ({ADD: "61 * * * *"}, "61"),
        ({ADD: Periodic("@daily", args=[1, 2, 3])}, "cannot be called so"),
    ],
    ids=["path", "schedule", "arguments"],
)
def test_check_reports_what_workers_would_refuse(configured, entry, text):
    configured(periodic=entry)
    (message,) = task_backends["default"].check()
    assert message.id == "background_task.E007"
    assert text in message.msg
