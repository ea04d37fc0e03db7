"""The progress bar of one task, for templates: ``{% load background_task %}``."""

from __future__ import annotations

from typing import Any

from django import template
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse

from ..status.standing import standing_of
from ..status.token import make_token, uid_of_task

register = template.Library()

#: Where a page remembers that it has the script already.
HAS_ASSETS = "background_task_has_assets"


@register.inclusion_tag("background_task/task_progress.html", takes_context=True)
def task_progress(
    context: template.Context,
    task: Any,
    max_age: Any = None,
    label: str = "",
    result: bool = False,
) -> dict[str, Any]:
    """Show how a task stands, and go on showing it where the browser runs scripts.

    Args:
        context: The page's.
        task: What ``make_token`` takes.
        max_age: For how long the page may ask, in seconds; None is for a day.
        label: What the bar is called for those who do not see it.
        result: Whether the event at the end has what the task returned.

    Raises:
        ImproperlyConfigured: The project's addresses do not have that of the view.
    """
    token = make_token(task, max_age, result=result)
    try:
        url = reverse("background_task_status:status", args=[token])
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            "task_progress needs the status view; add "
            "path('task-status/', include('background_task.status.urls')) to the urlpatterns"
        ) from error
    has_assets = HAS_ASSETS in context.render_context
    context.render_context[HAS_ASSETS] = True
    standing = standing_of(uid_of_task(task))
    return {
        "standing": standing,
        "percent": None if standing.fraction is None else round(100 * standing.fraction),
        "url": url,
        "label": label,
        "has_assets": has_assets,
    }
