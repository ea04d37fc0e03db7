"""Which tasks a visitor has started: the session keeps their ids, which stay the same for life."""

from background_task.models import CompletedTask, Task
from django.http import HttpRequest

SHOWN = 10


def remember(request: HttpRequest, *tasks: Task | None) -> None:
    """Put tasks in front of those that the visitor has started before; None is a task not added."""
    uids = [str(task.uid) for task in tasks if task is not None]
    request.session["tasks"] = (uids + request.session.get("tasks", []))[:SHOWN]


def started(request: HttpRequest) -> list[Task | CompletedTask]:
    """Return the visitor's tasks, the last ones first.

    A task that has ended moves from one table to the other. Live rows are read first: one that
    moves between the two queries is then found twice, and the finished row counts. The other order
    could miss it.
    """
    uids = request.session.get("tasks", [])
    rows: dict[str, Task | CompletedTask] = {}
    for table in (Task, CompletedTask):
        rows.update({str(row.uid): row for row in table.objects.filter(uid__in=uids)})
    return [rows[uid] for uid in uids if uid in rows]
