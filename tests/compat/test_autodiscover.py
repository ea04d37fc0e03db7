"""Section 12: which task modules are imported, and when."""

import pytest
from django.core.management import call_command

from background_task.tasks import autodiscover, tasks

TASKS = """
from background_task import background

@background(name="{name}")
def discovered():
    pass
"""


def test_autodiscover_imports_tasks_of_installed_apps(make_app):
    make_app("compat_plain", tasks=TASKS.format(name="plain"))
    assert "plain" not in tasks._tasks
    autodiscover()
    assert "plain" in tasks._tasks


def test_autodiscover_passes_over_apps_without_tasks(make_app):
    make_app("compat_without")
    make_app("compat_with", tasks=TASKS.format(name="after"))
    autodiscover()
    assert "after" in tasks._tasks


def test_autodiscover_twice_registers_once(make_app):
    make_app("compat_twice", tasks=TASKS.format(name="twice"))
    autodiscover()
    first = tasks._tasks["twice"]
    autodiscover()
    assert tasks._tasks["twice"] is first


@pytest.mark.django_db(transaction=True)
def test_start_process_tasks_discovers_tasks(make_app, os_signals):
    make_app("compat_command", tasks=TASKS.format(name="by the command"))
    call_command("process_tasks", duration=1, sleep=0.05, verbosity=0)
    assert "by the command" in tasks._tasks
