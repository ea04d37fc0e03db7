"""A database of its own to make ill, and what the doctor says of one."""

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections

from background_task.doctor import Limits, diagnose
from tests.migrations.old import ALIAS, create_database, drop_database


@pytest.fixture
def examine():
    """Call it to examine a database; its findings by id."""

    def run(using="default", **limits):
        report = diagnose(using, limits=Limits(**limits))
        return {finding.id: finding for finding in report.findings}

    return run


@pytest.fixture
def empty(django_db_blocker, tmp_path):
    """A connection to an empty database on the server of this run."""
    with django_db_blocker.unblock():
        create_database(tmp_path)
        try:
            yield connections[ALIAS]
        finally:
            drop_database()
            ContentType.objects.clear_cache()


@pytest.fixture
def scratch(empty):
    """The same with the tables."""
    call_command("migrate", "background_task", database=ALIAS, verbosity=0)
    return empty
