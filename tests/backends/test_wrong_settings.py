"""A ``TASKS`` that cannot work is told of in words: by a check, and by a worker."""

import pytest
from django.core.management import CommandError, call_command

from background_task.checks import check_task_backends

pytestmark = pytest.mark.django_db

OURS = "background_task.backends.DatabaseBackend"

WRONG = {
    "misspelt class": ({"BACKEND": f"{OURS}s"}, "Could not find backend"),
    "misspelt module": ({"BACKEND": f"x{OURS}"}, "Could not find backend"),
    "value": ({"BACKEND": OURS, "OPTIONS": {"max_attempts": 0}}, "max_attempts 0 is out of range"),
    "option": ({"BACKEND": OURS, "OPTIONS": {"max_atempts": 1}}, "has no option max_atempts"),
    "queues": ({"BACKEND": OURS, "QUEUES": "mail"}, "use a list of names"),
}


@pytest.mark.parametrize(("backend", "message"), WRONG.values(), ids=WRONG)
def test_settings_that_cannot_work_are_told_of(settings, backend, message):
    settings.TASKS = {"default": backend}
    (found,) = check_task_backends()
    assert (found.id, found.is_serious()) == ("background_task.E006", True)
    assert message in found.msg
    with pytest.raises(CommandError, match=message):
        call_command("process_tasks")


def test_settings_that_work_are_no_reason_to_speak():
    assert check_task_backends() == []
