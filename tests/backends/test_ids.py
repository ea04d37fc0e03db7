"""``OPTIONS["id_function"]``: what the ids of results are made by."""

from uuid import UUID, uuid4

import pytest
from django import VERSION
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, transaction

from background_task.models import Task as Row
from tests.backends import tasks
from tests.backends.running import finished

pytestmark = pytest.mark.django_db

KNOWN = UUID("12345678-1234-4234-8234-123456789abc")


def known():
    return KNOWN


def as_text():
    return KNOWN.hex


def expression():
    from django.contrib.postgres.functions import RandomUUID

    return RandomUUID()


@pytest.fixture
def make_ids_by(settings):
    def use(function):
        options = {"id_function": function}
        settings.TASKS = {"default": {"BACKEND": settings.BACKEND, "OPTIONS": options}}

    return use


def test_our_own_ids_grow_with_time():
    ids = [tasks.add.enqueue(number).id for number in range(3)]
    assert {UUID(each).version for each in ids} == {7}
    assert len(set(ids)) == 3


@pytest.mark.parametrize("function", [known, as_text, f"{__name__}.known", f"{__name__}.as_text"])
def test_a_function_of_the_project_may_make_them(make_ids_by, verbs, function):
    make_ids_by(function)
    result = verbs.enqueue(tasks.add, 1)
    assert result.id == str(KNOWN)
    assert finished(result).return_value == 2
    assert tasks.add.get_result(KNOWN.hex).id == result.id


def test_ids_of_version_4_are_fine(make_ids_by):
    make_ids_by("uuid.uuid4")
    assert UUID(tasks.add.enqueue(1).id).version == 4


def test_an_id_can_be_had_once(make_ids_by):
    make_ids_by(known)
    tasks.add.enqueue(1)
    with pytest.raises(IntegrityError), transaction.atomic():
        tasks.add.enqueue(2)
    assert Row.objects.count() == 1


@pytest.mark.parametrize("path", ["gone.function", f"{__name__}.gone", "nothing"])
def test_a_path_that_leads_nowhere_is_an_import_error_when_a_task_is_queued(make_ids_by, path):
    make_ids_by(path)
    with pytest.raises(ImportError):
        tasks.add.enqueue(1)


@pytest.mark.parametrize("value", [7, f"{__name__}.KNOWN", ["a"]])
def test_what_is_no_function_is_refused(make_ids_by, value):
    make_ids_by(value)
    with pytest.raises(ImproperlyConfigured, match=r"'id_function'\] is .*; use a function"):
        tasks.add.enqueue(1)


@pytest.mark.parametrize("value", [7, "mine", None, object()])
def test_what_is_no_id_is_refused(make_ids_by, value):
    make_ids_by(lambda: value)
    with pytest.raises(ImproperlyConfigured, match=r"returned .*; let it return a UUID"):
        tasks.add.enqueue(1)
    assert not Row.objects.exists()


def test_an_expression_is_taken_where_the_database_gives_back_what_it_made(make_ids_by, settings):
    pytest.importorskip("psycopg")
    make_ids_by(expression)
    if settings.DATABASE != "postgresql" or VERSION < (6, 0):
        with pytest.raises(ImproperlyConfigured, match=r"with Django 6\.0 on PostgreSQL"):
            tasks.add.enqueue(1)
        return
    first, second = tasks.add.enqueue(1), tasks.add.enqueue(2)
    assert UUID(first.id).version == 4
    assert first.id != second.id
    assert tasks.add.get_result(first.id) == first
    assert finished(first).return_value == 2


def test_a_new_function_needs_no_restart_of_others(make_ids_by):
    make_ids_by(uuid4)
    first = tasks.add.enqueue(1)
    make_ids_by(known)
    assert tasks.add.enqueue(1).id == str(KNOWN)
    assert tasks.add.get_result(first.id) == first
