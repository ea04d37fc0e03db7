"""Settings that a project may have had since 1.x keep their meaning, and are warned of."""

import pytest

from background_task.checks import check_settings
from background_task.settings import app_settings


@pytest.mark.parametrize(
    ("name", "value", "attribute", "meaning"),
    [
        ("MAX_ATTEMPTS", 0, "MAX_ATTEMPTS", 0),
        ("BACKGROUND_TASK_RUN_ASYNC", 1, "BACKGROUND_TASK_RUN_ASYNC", True),
        ("BACKGROUND_TASK_RUN_ASYNC", "", "BACKGROUND_TASK_RUN_ASYNC", False),
        ("BACKGROUND_TASK_PRIORITY_ORDERING", "asc", "BACKGROUND_TASK_PRIORITY_ORDERING", "-"),
    ],
)
def test_check_value_that_1x_had_a_meaning_for_warns(settings, name, value, attribute, meaning):
    setattr(settings, name, value)
    assert [message.id for message in check_settings()] == ["background_task.W005"]
    assert getattr(app_settings, attribute) == meaning


@pytest.mark.parametrize("value", ["ten", None, 2.5, True, float("nan")])
def test_check_value_that_cannot_work_is_an_error(settings, value):
    settings.MAX_ATTEMPTS = value
    (message,) = check_settings()
    assert message.id == "background_task.E001"
    assert repr(value) in message.msg
