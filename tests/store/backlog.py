"""Very many rows, made by the database itself: scheduled, in other queues, and finished."""

from contextlib import contextmanager
from datetime import timedelta

from django.contrib.contenttypes.models import ContentType
from django.db import connection

from background_task.models import CompletedTask, Task, Worker
from background_task.payload import encode, task_hash
from background_task.store import get_store
from tests.store.rows import add, worker

#: How many rows are made one by one; the others are copies of them.
BASE = 1000
#: How many workers hold a row each.
HOLDERS = 20


@contextmanager
def backlog(*, live, finished):
    """Commit so many rows of each table, in thousands; they are gone when the block ends."""
    store = get_store()
    try:
        Task.objects.bulk_create(waiting(store.now()))
        multiply(Task, copies=live - 1)
        CompletedTask.objects.bulk_create(done(store.now()))
        multiply(CompletedTask, copies=finished - 1)
        for number in range(HOLDERS):
            worker(f"alive {number}", now=store.now(), lease=timedelta(days=1))
            add(store, locked_by=f"alive {number}", locked_at=store.now())
        gather_statistics()
        yield store
    finally:
        for model in (Task, CompletedTask, Worker):
            empty(model)
        connection.close()


def waiting(now):
    """Scheduled rows of three queues at seven levels, and due ones of another queue."""
    for number in range(BASE):
        params = encode((number,), {})
        due = timedelta(seconds=-number) if number % 5 < 2 else timedelta(hours=1 + number)
        yield Task(
            task_name="known",
            task_params=params,
            task_hash=task_hash("known", params),
            priority=number % 7 - 3,
            queue="other" if number % 5 < 2 else ("idle", "mine", None)[number % 3],
            run_at=now + due,
        )


def done(now):
    """Finished within the last thousand hours; few failed, few have a creator."""
    users = ContentType.objects.get(app_label="auth", model="user")
    for number in range(BASE):
        moment = now - timedelta(hours=number)
        yield CompletedTask(
            task_name=f"known {number % 10}",
            task_params="[[], {}]",
            task_hash=task_hash("known", str(number)),
            queue=("other", "idle", None)[number % 3],
            run_at=moment,
            failed_at=moment if number % 100 == 99 else None,
            creator_content_type=users if number % 10 == 0 else None,
            creator_object_id=number if number % 10 == 0 else None,
        )


def multiply(model, *, copies):
    """Clone every row of a table by one statement."""
    quote = connection.ops.quote_name
    names = [f.column for f in model._meta.local_fields if f.column not in ("id", "uid")]
    columns = ", ".join(quote(name) for name in names)
    table = quote(model._meta.db_table)
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {copies})"
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({columns}) {numbers} SELECT {columns} FROM {table}, n"
        )


def empty(model):
    """Delete all rows; on a server at once, however many they are."""
    if connection.vendor == "sqlite":
        model.objects.all()._raw_delete("default")
        return
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE TABLE {connection.ops.quote_name(model._meta.db_table)}")


def gather_statistics():
    """Let the planner know what is in the tables, as it does in a database that has lived."""
    tables = ", ".join(model._meta.db_table for model in (Task, CompletedTask, Worker))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"VACUUM ANALYZE {tables}")
        elif connection.vendor == "mysql":
            cursor.execute(f"ANALYZE TABLE {tables}")
            cursor.fetchall()
