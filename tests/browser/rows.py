"""A row of each kind, in which every text is what somebody might try to run."""

import json
from datetime import timedelta

from background_task.models import AttemptLog, Pause, Schedule, Worker
from background_task.payload import encode
from background_task.store import get_store
from tests.api.conftest import add, archive

NASTY = "<script>alert('run')</script><img src=x onerror=alert('run')>\"'&"
SHORT = "<script>alert(1)</script>"


def one_of_each():
    """Return a row of each model whose rows have pages in the admin, by the name of the model."""
    now = get_store().now()
    worker = Worker.objects.create(
        name=SHORT,
        host=NASTY,
        pid=1,
        queues=NASTY,
        started_at=now,
        heartbeat_at=now,
        expires_at=now + timedelta(minutes=5),
    )
    schedule = Schedule.objects.create(
        key="key",
        name=NASTY,
        task_name=NASTY,
        rule=NASTY,
        digest="digest",
        next_tick_at=now,
        declared_at=now,
        seen_at=now,
    )
    rows = [nasty(add), nasty(archive, status="failed"), worker, schedule]
    rows.append(Pause.objects.create(key="key", kind="queue", name=NASTY, paused_at=now))
    return {row._meta.model_name: row for row in rows}


def nasty(make, **values):
    """Insert a task with an error and a log."""
    error = {
        "attempt": 1,
        "exception_class_path": NASTY,
        "traceback": f'  File "{NASTY}", line 1, in {NASTY}\n{NASTY}',
        "worker": SHORT,
    }
    row = make(
        NASTY,
        verbose_name=NASTY,
        queue=NASTY,
        last_error=NASTY,
        errors=json.dumps([error]),
        attempts=1,
        progress_json=json.dumps({"done": 1, "total": 2, "message": NASTY, "at": None}),
        **values,
    )
    row.task_params = encode((NASTY,), {NASTY: NASTY})
    row.save()
    if row.uid:
        AttemptLog.objects.create(uid=row.uid, attempt=1, worker=SHORT, at=row.run_at, text=NASTY)
    return row
