"""Telling receivers of ``django.tasks`` how a task stands: its own signals, sent by our rules."""

from __future__ import annotations

from typing import Any

from django.dispatch import Signal

from . import telemetry
from .attempt import Claim
from .models import CompletedTask
from .queued_task import find_queued
from .signals import announce
from .task_framework import TaskResult, task_finished
from .task_result import result_of


def tell(signal: Signal, result: TaskResult[..., Any]) -> None:
    """Send a signal of the framework, if the backend of the task has them sent; never raises."""
    found = find_queued(result.task.module_path, result.backend)
    backend = None if found is None else found.backend
    if backend is not None and backend.has_signals:
        announce(signal, sender=type(backend), task_result=result)


def tell_unrun(claim: Claim, completed: CompletedTask) -> None:
    """Send ``task_finished`` of a task that has ended without a run; never raises."""
    try:
        result = result_of(completed)
    except Exception as error:  # noqa: BLE001 - a path that leads nowhere, a broken payload
        telemetry.event("untold", claim=claim, exception=error)
    else:
        tell(task_finished, result)
