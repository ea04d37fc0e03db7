"""What PostgreSQL knows of idle workers."""

from django.db import connection


def query(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def idle_workers():
    return query(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' "
        "AND classid = 1650941812 AND objid = 1"
    )


def drop_connections():
    query(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name = 'background_task wake-up'"
    )
