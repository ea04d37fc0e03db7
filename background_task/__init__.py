"""Background tasks for Django, kept in your own database."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "2.0.0"

#: Only Django before 3.2 reads this; kept because old code looks it up.
default_app_config = "background_task.apps.BackgroundTasksAppConfig"

__all__ = ["__version__", "background"]

if TYPE_CHECKING:
    from .tasks import background
else:

    def background(*args, **kwargs):
        """Decorate a function so that calling it stores a task instead of running it.

        The real decorator is ``background_task.tasks.tasks.background``; it is looked up on the
        first call because models may not be imported before Django's apps are loaded.
        """
        from .tasks import background as decorate

        return decorate(*args, **kwargs)
