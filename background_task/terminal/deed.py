"""What a person at the terminal does to queues and tasks, and what is said of it."""

from __future__ import annotations

from uuid import UUID

from ..api import retry_tasks
from ..cancellation import cancel
from ..pausing import pause, resume
from .table import queue_name

#: What is said of a task that somebody cancels.
CANCELLED_AS = {
    "cancelled": "cancelled",
    "requested": "asked to end",
    "finished": "it has finished already",
    "gone": "it is gone",
}


def pause_queue(name: str | None, *, is_paused: bool) -> str:
    """Pause a queue, or let it go on; return what to say.

    Args:
        name: The queue; None is the unnamed one.
        is_paused: How the person has seen it. Who pauses what somebody else has just paused does
            not want it to go on.
    """
    is_changed = resume(queue=name) if is_paused else pause(queue=name)
    done = "goes on" if is_paused else "paused"
    return f"{queue_name(name)}: {done if is_changed else f'{done} already'}"


def cancel_task(uid: UUID | None, label: str) -> str:
    """Cancel a task; return what to say."""
    if uid is None:
        return f"{label}: a row of version 1.x has no id to cancel it by"
    return f"{label}: {CANCELLED_AS[cancel(uid)]}"


def retry_task(uid: UUID | None, label: str) -> str:
    """Try a failed task anew; return what to say."""
    if uid is None:
        return f"{label}: a row of version 1.x has no id to try it anew by"
    done = retry_tasks(uids=[uid])
    if done.refused:
        return f"{label}: {done.refused[0][1]}"
    if done.retried:
        return f"{label}: tried anew as {done.uids[0]}"
    return f"{label}: {'the same is in the queue' if done.held_back else 'tried anew'} already"
