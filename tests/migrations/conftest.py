"""A database of its own, with the tables as 1.x made them."""

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections

from tests.migrations.old import ALIAS, LAST_OF_1X, create_database, drop_database


@pytest.fixture
def scratch(django_db_blocker, tmp_path):
    """A connection to an empty database on the server of this run.

    Not through Django's TestCase, which allows no database that it did not set up.
    """
    with django_db_blocker.unblock():
        create_database(tmp_path)
        try:
            yield connections[ALIAS]
        finally:
            drop_database()
            connections["default"].close()
            ContentType.objects.clear_cache()


@pytest.fixture
def old(scratch):
    """The same with the tables of 1.x, and no rows."""
    call_command("migrate", "auth", database=ALIAS, verbosity=0)
    call_command("migrate", "background_task", LAST_OF_1X, database=ALIAS, verbosity=0)
    return scratch


@pytest.fixture
def upgrade():
    """Call it to migrate to the newest schema."""

    def migrate(target=None):
        arguments = ["background_task", target] if target else ["background_task"]
        call_command("migrate", *arguments, database=ALIAS, verbosity=0)

    return migrate
