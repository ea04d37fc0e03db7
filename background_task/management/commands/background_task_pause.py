"""``manage.py background_task_pause``: let no worker begin tasks of a queue or a function."""

from __future__ import annotations

from typing import Any

from ...pausing import pause
from ..pausing import PausingCommand


class Command(PausingCommand):
    """Pauses what is named; without a name it lists what is paused."""

    help = "Pause queues and functions while workers run; without a name, list what is paused"

    def handle(self, *args: Any, **options: Any) -> None:
        """Pause, or list."""
        if not self.change(pause, options, done="paused", else_="is paused already"):
            self.list_paused()
