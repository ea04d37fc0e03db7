"""``manage.py background_task_resume``: let workers go on with what was paused."""

from __future__ import annotations

from typing import Any

from ...pausing import resume
from ..pausing import PausingCommand


class Command(PausingCommand):
    """Resumes what is named; without a name it lists what is paused."""

    help = "Resume paused queues and functions; without a name, list what is paused"

    def handle(self, *args: Any, **options: Any) -> None:
        """Resume, or list."""
        if not self.change(resume, options, done="resumed", else_="is not paused"):
            self.list_paused()
