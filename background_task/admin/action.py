"""The actions of the two lists of tasks, as Django's admin wants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from . import deed as deeds
from .confirmation import carry_out
from .deed import Deed

Action: TypeAlias = Callable[[Any, Any, "QuerySet[Any]"], "HttpResponse | None"]


def as_action(deed: Deed) -> Action:
    """Return what can stand in ``actions`` of a ``ModelAdmin``, or be called by code."""

    @admin.action(description=deed.title, permissions=[deed.right])
    def act(
        modeladmin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        return carry_out(deed, modeladmin, request, queryset)

    act.__name__ = act.__qualname__ = deed.name
    act.__doc__ = deed.consequence or deed.title
    return act


run_now = as_action(deeds.RUN_NOW)
reschedule_tasks = as_action(deeds.RESCHEDULE)
change_priority = as_action(deeds.SET_PRIORITY)
change_queue = as_action(deeds.SET_QUEUE)
inc_priority = as_action(deeds.RAISE)
dec_priority = as_action(deeds.LOWER)
take_back = as_action(deeds.TAKE_BACK)
discard_tasks = as_action(deeds.DISCARD)
cancel_tasks = as_action(deeds.CANCEL)
try_anew = as_action(deeds.TRY_ANEW)
run_again = as_action(deeds.RUN_AGAIN)

#: For ``actions`` of the two lists.
TASK_ACTIONS = (
    *(run_now, reschedule_tasks, change_priority, change_queue, inc_priority, dec_priority),
    *(take_back, discard_tasks, cancel_tasks),
)
COMPLETED_ACTIONS = (try_anew, run_again)
