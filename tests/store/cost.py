"""What a block costs the database: rows touched, counted by the database itself."""

import json
from contextlib import contextmanager

from django.db import connection, transaction

from background_task.models import CompletedTask, Task

TABLES = {model._meta.db_table for model in (Task, CompletedTask)}
#: How our indexes' names begin.
NAMES = ("bgtask_", "background_task_")
#: How SQLite says that it reads a whole table; an alias stands for the table of live tasks.
SCANS = {f"{scan} {table}" for scan in ("SCAN", "SCAN TABLE") for table in {*TABLES, "t"}}


class Cost:
    """Rows touched, or steps of SQLite's machine; and what is known of the plans.

    Attributes:
        rows: Rows of both task tables that were read. On SQLite, which does not count rows, steps
            of its virtual machine divided by 100: reading one row takes ten to a hundred.
        sorted: Rows that were sorted; on SQLite, how often rows were, and ``rows`` bounds them.
        pages: Pages that were touched, on PostgreSQL.
        indexes: Names of the indexes that were used, where the database tells.
        scans: Plans that read a whole task table.
        plans: All plans, to show when a test fails.
    """

    def __init__(self):
        self.rows = 0
        self.sorted = 0
        self.pages = 0
        self.indexes = set()
        self.scans = []
        self.plans = []


@contextmanager
def measured():
    """Measure a block; the answer is complete when the block has ended."""
    cost = Cost()
    measure = {"postgresql": explained, "sqlite": stepped, "mysql": counted}[connection.vendor]
    with measure(cost):
        yield cost


# -- PostgreSQL: every statement is explained (and undone) before it runs --------------------------


@contextmanager
def explained(cost):
    def explain(execute, sql, params, many, context):
        if sql.lstrip().upper().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
            with transaction.atomic():
                command = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"
                execute(command, params, many, context)
                (plan,) = context["cursor"].fetchone()
                transaction.set_rollback(True)
            plan = json.loads(plan) if isinstance(plan, str) else plan
            cost.plans.append((sql, plan))
            top = plan[0]["Plan"]
            cost.pages += top["Shared Hit Blocks"] + top["Shared Read Blocks"]
            walk(top, cost)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield


def walk(node, cost):
    if "Index Name" in node:
        cost.indexes.add(node["Index Name"])
    if node["Node Type"] in ("Sort", "Incremental Sort"):
        cost.sorted += node["Actual Rows"] * node["Actual Loops"]
    if node.get("Relation Name") in TABLES and "Scan" in node["Node Type"]:
        seen = node["Actual Rows"]
        seen += sum(value for key, value in node.items() if key.startswith("Rows Removed by"))
        cost.rows += seen * node["Actual Loops"]
        if node["Node Type"] == "Seq Scan":
            cost.scans.append(node)
    for child in node.get("Plans", ()):
        walk(child, cost)


# -- SQLite: its machine calls back every hundred steps --------------------------------------------


@contextmanager
def stepped(cost):
    def tick():
        cost.rows += 1
        return 0

    def explain(execute, sql, params, many, context):
        if sql.lstrip().upper().startswith(("SELECT", "WITH", "UPDATE", "DELETE")):
            database.set_progress_handler(None, 0)
            execute(f"EXPLAIN QUERY PLAN {sql}", params, many, context)
            for *_, detail in context["cursor"].fetchall():
                cost.plans.append((sql, detail))
                cost.indexes |= {name for name in detail.split() if name.startswith(NAMES)}
                cost.sorted += detail.startswith("USE TEMP B-TREE FOR ORDER BY")
                if detail in SCANS:
                    cost.scans.append(detail)
            database.set_progress_handler(tick, 100)
        return execute(sql, params, many, context)

    connection.ensure_connection()
    database = connection.connection
    database.set_progress_handler(tick, 100)
    try:
        with connection.execute_wrapper(explain):
            yield
    finally:
        database.set_progress_handler(None, 0)


# -- MariaDB and MySQL: counters of the session ----------------------------------------------------


@contextmanager
def counted(cost):
    def read():
        with connection.cursor() as cursor:
            cursor.execute(
                "SHOW SESSION STATUS"
                " WHERE variable_name LIKE 'Handler_read%' OR variable_name = 'Sort_rows'"
            )
            return {name: int(value) for name, value in cursor.fetchall()}

    def explain(execute, sql, params, many, context):
        if not sql.lstrip().upper().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
            return execute(sql, params, many, context)
        if not sql.startswith("INSERT"):
            execute(f"EXPLAIN {sql}", params, many, context)
            names = [column[0] for column in context["cursor"].description]
            for step in context["cursor"].fetchall():
                step = dict(zip(names, step, strict=True))
                cost.plans.append((sql, step))
                cost.indexes |= set((step["key"] or "").split(","))
                if step["table"] in TABLES and step["type"] == "ALL":
                    cost.scans.append(step)
        before = read()
        result = execute(sql, params, many, context)
        after = read()
        spent = {name: after[name] - before[name] for name in after}
        cost.sorted += spent.pop("Sort_rows")
        cost.rows += sum(spent.values())
        return result

    with connection.execute_wrapper(explain):
        yield
