"""Tables of other systems beside ours, and the command."""

import io

import pytest
from django.core.management import CommandError, call_command

from background_task.tasks import tasks
from tests.importing import functions, tables


@pytest.fixture(scope="package")
def _tables(django_db_setup, django_db_blocker):
    """Made once: MySQL ends a transaction before it makes a table."""
    with django_db_blocker.unblock():
        tables.create_all()
    yield
    with django_db_blocker.unblock():
        tables.drop_all()


@pytest.fixture(autouse=True)
def _registered(_tables, db, settings):
    """The functions of the tests, and a backend that is ours."""
    settings.TASKS = {"default": {"BACKEND": "background_task.backends.DatabaseBackend"}}
    before = dict(tasks._tasks)
    tasks._tasks.update(functions.own._tasks)
    yield
    tasks._tasks.clear()
    tasks._tasks.update(before)


class Result:
    """What the command printed, and what it told the shell."""

    def __init__(self, source, **options):
        out, err = io.StringIO(), io.StringIO()
        self.code, self.problem = 0, ""
        try:
            call_command(
                "background_task_import", source, stdout=out, stderr=err, no_color=True, **options
            )
        except CommandError as error:
            self.code, self.problem = error.returncode, str(error)
        self.out, self.err = out.getvalue(), err.getvalue()


@pytest.fixture
def run():
    return Result
