"""What somebody may do beside looking and changing; see the table in ``docs/admin.md``."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

#: What a user needs for actions that begin runs, and for those that end or prevent them.
RUN, CANCEL = "background_task.run_task", "background_task.cancel_task"


class RightsMixin:
    """Lets actions name ``run`` and ``cancel`` as the right that they need."""

    def has_run_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether the user may have tasks run now, tried anew, and taken back."""
        return request.user.has_perm(RUN)

    def has_cancel_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether the user may cancel and discard tasks."""
        return request.user.has_perm(CANCEL)
