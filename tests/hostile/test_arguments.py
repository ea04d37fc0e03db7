"""Arguments, names and queues at the edge of what can be stored."""

import datetime
import math
import uuid

import pytest
from django.db import transaction

from background_task.models import CompletedTask, Task
from background_task.tasks import Tasks
from tests.app.models import Ledger
from tests.app.tasks import record
from tests.hostile import tasks as hostile
from tests.worker.running import work_off

pytestmark = pytest.mark.django_db(transaction=True)

STORABLE = {
    "nan": float("nan"),
    "infinity": -math.inf,
    "nul": "a\x00b",
    "lone surrogate": "a\udcffb",
    "high surrogate": "\ud800",
    "emoji": "\U0001f418",
    "backslash and quotes": "\\u0000 ' \" % %s {} \n",
    "huge number": 10**400,
    "deep": [[[[[[[[1]]]]]]]],
    "nothing": None,
    "bytes": b"\x00\xff",
    "uuid": uuid.UUID(int=7),
    "datetime": datetime.datetime(2024, 1, 1),
}


@pytest.mark.parametrize("name", STORABLE)
def test_argument_arrives_as_it_was(name, folder):
    value = STORABLE[name]
    task = hostile.echo(value, key=[value])
    stored = Task.objects.get(pk=task.pk)
    assert stored.task_params.isascii()
    assert stored.task_hash == task.task_hash
    work_off()
    assert (folder / "echo").read_text() == ascii(((value,), {"key": [value]}))


def test_argument_of_ten_megabytes_arrives_as_it_was(registry):
    arrived = []

    @registry.background(name="large")
    def large(value):
        arrived.append(value)

    value = "x" * (10 * 1024 * 1024)
    large(value)
    work_off()
    assert arrived == [value]


UNSERIALISABLE = {
    "object": object(),
    "bytearray": bytearray(b"abc"),
    "set": {1, 2},
    "broken object": hostile.Broken(),
    "tuple key": {(1, 2): 3},
    "mixed keys": {1: 2, "a": 3},
}
CYCLE = []
CYCLE.append(CYCLE)
UNSERIALISABLE["cycle"] = CYCLE


@pytest.mark.parametrize("name", UNSERIALISABLE)
def test_argument_without_json_form_is_refused_before_the_transaction_is_harmed(name):
    with transaction.atomic():
        Ledger.objects.create(key="before")
        with pytest.raises(TypeError, match="cannot be stored"):
            record(UNSERIALISABLE[name])
        Ledger.objects.create(key="after")
    assert Ledger.objects.count() == 2
    assert not Task.objects.exists()


#: Values that some database would refuse in the middle of the caller's transaction.
REFUSED = {
    "queue too long": {"queue": "q" * 191},
    "queue with nul": {"queue": "a\x00b"},
    "queue with surrogate": {"queue": "a\udcffb"},
    "queue of another type": {"queue": 7},
    "verbose name too long": {"verbose_name": "v" * 256},
    "verbose name with nul": {"verbose_name": "\x00"},
    "verbose name with surrogate": {"verbose_name": "\udcff"},
    "priority too large": {"priority": 2**31},
    "priority too small": {"priority": -(2**31) - 1},
    "priority nan": {"priority": float("nan")},
    "repeat too large": {"repeat": 2**63},
    "schedule nan": {"schedule": float("nan")},
    "schedule infinite": {"schedule": math.inf},
    "schedule beyond all years": {"schedule": datetime.timedelta.max},
}


@pytest.mark.parametrize("name", REFUSED)
def test_option_at_fault_is_refused_before_the_transaction_is_harmed(name):
    with transaction.atomic():
        Ledger.objects.create(key="before")
        with pytest.raises((ValueError, TypeError)) as caught:
            record("a", **REFUSED[name])
        Ledger.objects.create(key="after")
    assert caught.value.__class__.__module__ == "background_task.exceptions"
    assert Ledger.objects.count() == 2
    assert not Task.objects.exists()


@pytest.mark.parametrize("char", ["n", "\u00e9", "\u0416", "\U0001f418"])
def test_names_at_their_full_length_are_stored_found_and_run(char, registry):
    runs = []
    task = registry.background(name=char * 190, queue=char * 190)(lambda: runs.append(1))
    task(verbose_name=char * 255)
    work_off(queues=(char * 190,))
    assert runs == [1]
    done = CompletedTask.objects.get()
    assert (done.task_name, done.queue, done.verbose_name) == (char * 190, char * 190, char * 255)


@pytest.mark.parametrize("name", ["", "n" * 191, "a\x00b", "a\udcffb"])
def test_name_that_cannot_be_stored_is_refused_when_decorating(name):
    with pytest.raises(ValueError, match="task name"):
        Tasks().background(name=name or "\x00")(lambda: None)


QUEUES = ["a,b", "it's", '"double"', "100%", "%s", "back\\slash", "\U0001f418", " ", "a b", ""]


@pytest.mark.parametrize("queue", QUEUES)
def test_queue_with_any_characters_is_served_and_no_other(queue, registry):
    runs = []
    task = registry.background(name="queued")(runs.append)
    task("mine", queue=queue)
    for other in ("a", "b", "other", None):
        task("other", queue=other)
    work_off(queues=(queue,))
    assert runs == ["mine"]
    assert Task.objects.count() == 4
