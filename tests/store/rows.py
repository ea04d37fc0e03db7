"""Rows to begin with, and whole rows to compare."""

from contextlib import contextmanager
from datetime import timedelta

from django.db import OperationalError, connection

from background_task.models import CompletedTask, Task, Worker
from background_task.payload import encode, task_hash
from background_task.store import Fleet

NAMES = ("known", "also_known")
LEASE = timedelta(seconds=60)


def add(store, *, due_in=-60.0, now=None, **values):
    """Insert a row that has been due for a minute."""
    name = values.pop("task_name", "known")
    params = values.pop("task_params", encode((), {}))
    now = store.now() if now is None else now
    return store.add(
        Task(
            task_name=name,
            task_params=params,
            task_hash=values.pop("task_hash", task_hash(name, params)),
            run_at=values.pop("run_at", now + timedelta(seconds=due_in)),
            **values,
        )
    )


def add_as_1x(store, *, due_in=-60.0, **values):
    """Insert a row as version 1.x does, which knows nothing of the later columns."""
    row = {
        "task_name": "known",
        "task_params": "[[], {}]",
        "task_hash": task_hash("known", "[[], {}]"),
        "verbose_name": None,
        "priority": 0,
        "run_at": store.now() + timedelta(seconds=due_in),
        "repeat": 0,
        "repeat_until": None,
        "queue": None,
        "attempts": 0,
        "failed_at": None,
        "last_error": "",
        "locked_by": None,
        "locked_at": None,
        "creator_content_type_id": None,
        "creator_object_id": None,
        **values,
    }
    quote = connection.ops.quote_name
    columns = ", ".join(quote(name) for name in row)
    places = ", ".join(["%s"] * len(row))
    fields = {field.column: field for field in Task._meta.local_fields}
    prepared = [
        fields[name].get_db_prep_save(value, connection=connection) for name, value in row.items()
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(Task._meta.db_table)} ({columns}) VALUES ({places})", prepared
        )
    return Task.objects.latest("pk")


def everything():
    """Every column of every row of the three tables."""
    return [list(model.objects.order_by("pk").values()) for model in (Task, CompletedTask, Worker)]


def row(pk):
    """Every column of one live row."""
    return Task.objects.filter(pk=pk).values().get()


def worker(name, *, now, lease=LEASE):
    """Enter a worker whose lease runs out at ``now + lease``."""
    Fleet("default").register(name, queues="", capacity=1, lease=lease, now=now)
    return name


class Statements:
    """An ``execute_wrapper`` that keeps the statements that touch tables."""

    CONTROL = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK", "COMMIT", "SET ", "PRAGMA")

    def __init__(self):
        self.all = []

    def __call__(self, execute, sql, params, many, context):
        if not sql.lstrip().upper().startswith(self.CONTROL):
            self.all.append(sql)
        return execute(sql, params, many, context)


class FailAt(Statements):
    """Lets the statement of this number fail, before or after the database has done it."""

    def __init__(self, number, *, late):
        super().__init__()
        self.number = number
        self.late = late

    def __call__(self, execute, sql, params, many, context):
        before = len(self.all)
        failing = False

        def run(*arguments):
            nonlocal failing
            failing = len(self.all) == self.number and len(self.all) > before
            if failing and not self.late:
                raise OperationalError("interrupted before")
            return execute(*arguments)

        result = super().__call__(run, sql, params, many, context)
        if failing:
            raise OperationalError("interrupted after")
        return result


@contextmanager
def statements():
    """Collect the statements of a block: ``statements.all``."""
    keeper = Statements()
    with connection.execute_wrapper(keeper):
        yield keeper


def add_behind_a_backlog(store, *, backlog, queues):
    """A row in each of these queues, and 4000 more urgent ones in another; the planner knows."""
    params = encode((), {})
    row = {"task_name": "known", "task_params": params, "task_hash": task_hash("known", params)}
    row |= {"queue": backlog, "priority": 5, "run_at": store.now() - timedelta(hours=1)}
    store.add_many([Task(**row) for _ in range(4000)])
    for queue in queues:
        add(store, queue=queue)
    with connection.cursor() as cursor:
        if connection.vendor != "mysql":  # there it would commit
            cursor.execute("ANALYZE background_task")
