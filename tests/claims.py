"""Claims of rows that need not exist."""

from datetime import datetime, timezone
from uuid import uuid4

from background_task.attempt import Claim


def a_claim(**values):
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return Claim(
        **{
            "task_id": 1,
            "number": 1,
            "owner": "host:1:token",
            "uid": uuid4(),
            "task_name": "shop.tasks.slow",
            "task_params": "[[], {}]",
            "verbose_name": None,
            "queue": None,
            "priority": 0,
            "attempts": 0,
            "run_at": moment,
            **values,
        }
    )
