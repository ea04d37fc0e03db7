"""Empties the tables after a test whose transactions were real, in a tenth of Django's time.

Django's ``flush`` empties the content types and permissions as well and then makes them again,
which takes longer than most tests here.
"""

from functools import cache

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from django.test import TransactionTestCase

#: They are the same before and after each test.
KEPT = {model._meta.db_table for model in (ContentType, Permission)}
#: On PostgreSQL a table of this size is truncated: deleted rows would stay in it for a while.
LARGE_BYTES = 262_144

SIZES = """
SELECT relname, pg_relation_size(oid) FROM pg_class
WHERE relkind = 'r' AND relname = ANY(%s) AND pg_relation_size(oid) > 0
"""


def install():
    """Let all tests use this."""
    TransactionTestCase._fixture_teardown = _empty_all


def _empty_all(case):
    for alias in case._databases_names(include_mirrors=False):
        empty(alias)


def empty(alias):
    """Delete all rows of a database but those that all tests share."""
    connection = connections[alias]
    tables, quote = _tables(alias), connection.ops.quote_name
    with transaction.atomic(using=alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(SIZES, [list(tables)])
            sizes = dict(cursor.fetchall())
            large = [quote(table) for table, size in sizes.items() if size > LARGE_BYTES]
            tables = [table for table, size in sizes.items() if size <= LARGE_BYTES]
            if large:
                cursor.execute(f"TRUNCATE {', '.join(large)} CASCADE")
        with connection.constraint_checks_disabled():
            for table in tables:
                cursor.execute(f"DELETE FROM {quote(table)}")


@cache
def _tables(alias):
    names = connections[alias].introspection.django_table_names(
        only_existing=True, include_views=False
    )
    return tuple(name for name in names if name not in KEPT)
