"""Whatever stands in a row, it is shown, and nothing of it is taken for HTML."""

import json
import re

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from background_task.models import AttemptLog, CompletedTask, Task, Worker
from background_task.payload import encode
from tests.admin.pages import list_of, page_of
from tests.admin.test_worker_list import living
from tests.api.conftest import add, archive

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
#: What no text of a row may become.
LIVE = re.compile(r"<script>alert|<img src=x")
SHORT = "<script>alert(1)</script>"


def assert_harmless(page, *, shows=True):
    assert not LIVE.search(page)
    assert not shows or "&lt;script&gt;alert" in page


def hostile_row(make, **values):
    error = {
        "attempt": 1,
        "exception_class_path": HOSTILE,
        "traceback": f'  File "{HOSTILE}", line 1, in {HOSTILE}\n{HOSTILE}',
        "worker": SHORT,
    }
    row = make(
        f"a.{HOSTILE}",
        verbose_name=HOSTILE,
        queue=HOSTILE,
        last_error=HOSTILE,
        errors=json.dumps([error]),
        locked_by=SHORT,
        locked_at=timezone.now(),
        progress_json=json.dumps({"done": 1, "total": 2, "message": HOSTILE, "at": None}),
        backend=SHORT,
        **values,
    )
    row.creator = Group.objects.create(name=HOSTILE)
    row.task_params = encode((HOSTILE,), {HOSTILE: HOSTILE})
    row.save()
    AttemptLog.objects.create(uid=row.uid, attempt=1, worker=SHORT, at=timezone.now(), text=HOSTILE)
    return row


@pytest.mark.parametrize("make", [add, archive])
def test_texts_of_a_row_are_never_html(admin_client, make):
    from background_task.identity import new_uid

    values = {"uid": new_uid()} if make is add else {"return_value": json.dumps(HOSTILE)}
    row = hostile_row(make, **values)
    page = page_of(admin_client, row)
    assert_harmless(page)
    for part in ("Log of attempt 1", "Progress", "Traceback of attempt 1", "Creator", "Arguments"):
        assert part in page
    assert_harmless(page_of(admin_client, make(row.task_name)))  # it names the other one
    model = type(row)
    for query in ({}, {"q": HOSTILE}, {"queue": HOSTILE}, {"task_name": HOSTILE}, {"p": HOSTILE}):
        assert_harmless(list_of(admin_client, model, **query).content.decode())


def test_texts_of_a_worker_are_never_html(admin_client):
    worker = living(SHORT, host=HOSTILE, queues=HOSTILE)
    add(f"a.{HOSTILE}", locked_by=SHORT)
    assert_harmless(list_of(admin_client, Worker).content.decode())
    assert_harmless(page_of(admin_client, worker))


COLUMNS = ["task_params", "errors", "progress_json", "options"]


@pytest.mark.parametrize(
    ("broken", "mask"),
    [
        *((text, ["password"]) for text in ("", "{", "[]", "7", "null", '["\\ud800"]')),
        *((text, []) for text in ("{", '["\\ud800"]', "[" * 100_000)),
    ],
    ids=lambda value: str(value)[:8],
)
def test_broken_columns_still_make_a_page(admin_client, settings, broken, mask):
    settings.BACKGROUND_TASK_MASK = mask
    for make, columns in ((add, COLUMNS), (archive, [*COLUMNS, "return_value"])):
        rows = [make() for _ in columns]
        for row, column in zip(rows, columns, strict=True):
            type(row).objects.filter(pk=row.pk).update(**{column: broken})
            page_of(admin_client, row)
        list_of(admin_client, type(rows[0]), q="arg:x")
        assert len(list_of(admin_client, type(rows[0])).context["cl"].result_list) == len(rows)


def test_creator_that_cannot_be_shown_still_makes_a_page(admin_client, monkeypatch):
    def refuse(self):
        raise RuntimeError("no name")

    row = add(creator=Group.objects.create(name="editors"))
    monkeypatch.setattr(Group, "__str__", refuse)
    assert f"auth.group:{row.creator_object_id}" in page_of(admin_client, row)


@pytest.mark.parametrize("key", ["no number", "", "99999999999999999999999"])
def test_creator_that_is_gone_still_makes_a_page(admin_client, key):
    row = archive(creator=Group.objects.create(name="editors"))
    CompletedTask.objects.update(creator_object_id=key)
    assert f"auth.group:{key}" in page_of(admin_client, row)


def test_function_that_is_gone_still_makes_a_page(admin_client):
    row = add("gone.module.function", backend="gone")
    assert "gone.module.function" in page_of(admin_client, row)
    assert Task.objects.filter(pk=row.pk).exists()
