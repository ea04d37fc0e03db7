"""What a type checker knows of tasks; mypy reads this file, nobody runs it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from background_task.backends import task
from background_task.task_framework import TaskContext

if TYPE_CHECKING:
    from typing_extensions import assert_type


@task
def add(first: int, second: int = 1) -> int:
    """Without parentheses."""
    return first + second


@task(max_attempts=3, unique="text", repeat=60)
def shout(text: str) -> str:
    """With options."""
    return text.upper()


@task(takes_context=True, priority=3)
def attempt(context: TaskContext[..., Any], factor: float) -> float:
    """With the context, which no call gives."""
    return context.attempt * factor


def known(at: datetime) -> None:
    """Say what is known."""
    assert_type(add.enqueue(1).return_value, int)
    assert_type(shout.using(run_after=at, timeout=3).enqueue("a").return_value, str)
    assert_type(attempt.enqueue(0.5).return_value, float)
    assert_type(shout.call("a"), str)
    shout.enqueue(1)  # type: ignore[arg-type]
    attempt.enqueue()  # type: ignore[call-arg]


@task(max_attempts="3")  # type: ignore[call-overload,untyped-decorator]
def refused() -> None:
    """An option of a wrong type."""
