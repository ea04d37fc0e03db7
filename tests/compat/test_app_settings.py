"""Section 11: names, defaults and aliases; changes take effect at once."""

import multiprocessing

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from background_task.models import Task
from background_task.settings import app_settings, cpu_count

DEFAULTS = {
    "MAX_ATTEMPTS": 25,
    "BACKGROUND_TASK_MAX_ATTEMPTS": 25,
    "MAX_RUN_TIME": 3600,
    "BACKGROUND_TASK_MAX_RUN_TIME": 3600,
    "BACKGROUND_TASK_RUN_ASYNC": False,
    "BACKGROUND_TASK_PRIORITY_ORDERING": "-",
}


@pytest.fixture(autouse=True)
def unset():
    """No setting of this library is configured, whatever the settings of the tests say."""
    with override_settings():
        for name in (*DEFAULTS, "BACKGROUND_TASK_ASYNC_THREADS"):
            if hasattr(django_settings, name):
                delattr(django_settings, name)
        yield


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_read_setting_that_is_not_set_gives_the_old_default(name, value):
    assert getattr(app_settings, name) == value


def test_read_async_threads_that_is_not_set_gives_the_number_of_processors():
    assert multiprocessing.cpu_count() == app_settings.BACKGROUND_TASK_ASYNC_THREADS


def test_count_processors_where_it_cannot_be_known_gives_one(monkeypatch):
    def unknown():
        raise NotImplementedError

    monkeypatch.setattr(multiprocessing, "cpu_count", unknown)
    assert app_settings.BACKGROUND_TASK_ASYNC_THREADS == 1
    assert callable(cpu_count)


@pytest.mark.parametrize("name", ["MAX_ATTEMPTS", "MAX_RUN_TIME"])
def test_read_unprefixed_setting_is_read_by_both_names(name):
    with override_settings(**{name: 7}):
        assert getattr(app_settings, name) == 7
        assert getattr(app_settings, f"BACKGROUND_TASK_{name}") == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [("BACKGROUND_TASK_RUN_ASYNC", True), ("BACKGROUND_TASK_ASYNC_THREADS", 3)],
)
def test_read_prefixed_setting_takes_effect_at_once_and_ends_at_once(name, value):
    before = getattr(app_settings, name)
    with override_settings(**{name: value}):
        assert getattr(app_settings, name) == value
    assert getattr(app_settings, name) == before != value


@pytest.mark.parametrize(
    ("value", "prefix"), [("ASC", ""), ("DESC", "-"), ("anything else", "-"), (None, "-")]
)
def test_read_priority_ordering_gives_the_prefix_for_order_by(value, prefix):
    with override_settings(BACKGROUND_TASK_PRIORITY_ORDERING=value):
        assert prefix == app_settings.BACKGROUND_TASK_PRIORITY_ORDERING


@pytest.mark.django_db
def test_override_max_attempts_changes_the_next_answer():
    task = Task(attempts=2)
    with override_settings(MAX_ATTEMPTS=2):
        assert task.has_reached_max_attempts()
    with override_settings(MAX_ATTEMPTS=3):
        assert not task.has_reached_max_attempts()
