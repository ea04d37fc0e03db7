"""What ``TASKS`` may say about a backend, and what is refused how."""

import subprocess
import sys
from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from background_task.backends import DatabaseBackend
from tests.backends import tasks


def backend(options):
    return DatabaseBackend("mail", {"OPTIONS": options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retries": 3}, "has no option retries; it takes max_attempts, backoff"),
        ({1: 3}, "has no option 1"),
        ({"max_attempts": 0}, r"max_attempts 0 .* use 1 \(never retry\)"),
        ({"max_attempts": "3"}, "max_attempts '3'"),
        ({"max_attempts": True}, "max_attempts True"),
        ({"backoff": -1}, "backoff"),
        ({"backoff": "often"}, "backoff"),
        ({"retry_on": ValueError("x")}, "retry_on .* use one such as ConnectionError"),
        ({"discard_on": [1]}, "discard_on"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": "long"}, "timeout"),
        ({"expires": 0}, "expires 0 leaves no time to start; use above 0 seconds"),
        ({"keep_result": 1}, "keep_result 1 .* use True or False"),
        ({"atomic": "yes"}, "atomic 'yes' .* use True or False"),
        ({"immediate": 1}, r"\['immediate'\] is 1; use True or False"),
        ({"immediate": None}, r"\['immediate'\] is None; use True or False"),
        ({"signals": "no"}, r"\['signals'\] is 'no'; use True or False"),
        ({"lease": 0.5}, r"\['lease'\] is 0\.5; use from 1 to 86400 seconds"),
        ({"lease": timedelta(days=2)}, "use from 1 to 86400 seconds"),
        ({"lease": "a minute"}, "lease"),
    ],
)
def test_what_cannot_work_is_refused_with_its_name_and_what_to_use(options, message):
    with pytest.raises(ImproperlyConfigured, match=message) as raised:
        backend(options)
    assert str(raised.value).startswith("TASKS['mail']['OPTIONS']")


def test_an_alias_has_to_fit_into_its_column():
    assert DatabaseBackend("a" * 64, {}).alias == "a" * 64
    with pytest.raises(ImproperlyConfigured, match="of 65 characters; use at most 64"):
        DatabaseBackend("a" * 65, {})


@pytest.mark.parametrize("options", [[], "max_attempts", 7, None])
def test_options_are_a_dictionary(options):
    with pytest.raises(ImproperlyConfigured, match=r"\['OPTIONS'\] is .*; use a dictionary"):
        backend(options)


@pytest.mark.parametrize("queues", ["default", 7, None])
def test_queues_are_a_list(queues):
    with pytest.raises(ImproperlyConfigured, match=r"\['QUEUES'\] is .*; use a list of names"):
        DatabaseBackend("mail", {"QUEUES": queues})


def test_without_options_a_task_is_tried_once():
    policy = backend({}).policy_of(tasks.add)
    assert policy.max_attempts == 1
    assert backend({"max_attempts": 3}).policy_of(tasks.add).max_attempts == 3
    assert backend({"max_attempts": None}).policy_of(tasks.add).max_attempts == 1


def test_other_keys_of_the_alias_are_left_alone():
    assert DatabaseBackend("mail", {"QUEUES": [], "OPTIONS": {}, "MINE": 1}).queues == set()


def test_nothing_is_wrong_with_the_tests_own_settings():
    assert list(backend({}).check()) == []
    assert run_checks() == []


BARE = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django_tasks"] if django.VERSION < (6, 0) else [],
    TASKS={"default": {"BACKEND": "background_task.backends.DatabaseBackend"}},
)
from background_task.task_framework import task, task_backends

def function():
    pass

function = task(function)  # before the apps are loaded
django.setup()
from django.core.checks import run_checks
for message in run_checks():
    print(message.id, message.hint)
"""


def test_an_app_that_is_not_installed_is_reported_and_nothing_else_breaks(tmp_path):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", BARE], capture_output=True, text=True, timeout=100
    )
    assert run.stderr == ""
    assert run.stdout == "background_task.E005 Add 'background_task' to INSTALLED_APPS.\n"
