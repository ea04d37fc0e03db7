"""Arguments that JSON does not know, on their way through a row and a worker."""

import datetime as dt
import enum
import uuid
from decimal import Decimal

import pytest
from asgiref.sync import async_to_sync
from django.db import models, transaction
from django.utils.functional import SimpleLazyObject

from background_task import payload
from background_task.exceptions import InvalidOptionError, InvalidPayloadError
from background_task.models import CompletedTask, Task
from tests.app.models import Ledger, TextOwner, UUIDOwner
from tests.worker.conftest import registry  # noqa: F401 - a fixture
from tests.worker.running import work_off
from tests.worker.running_async import work_off as work_off_async

pytestmark = pytest.mark.django_db(transaction=True)


class Colour(enum.Enum):
    RED = 1


class HiddenManager(models.Manager):
    def get_queryset(self):
        return super().get_queryset().none()


class HiddenLedger(Ledger):
    """A proxy whose rows its own manager does not show."""

    objects = HiddenManager()

    class Meta:
        app_label = "testapp"
        proxy = True


class Parcel(UUIDOwner):
    """A model with a parent, whose key is its own."""

    weight = models.IntegerField(default=1)

    class Meta:
        app_label = "testapp"


if hasattr(models, "CompositePrimaryKey"):

    class Seat(models.Model):
        pk = models.CompositePrimaryKey("hall", "day")
        hall = models.UUIDField()
        day = models.DateField()

        class Meta:
            app_label = "testapp"

        def __str__(self):
            return f"{self.hall} {self.day}"


ARGUMENTS = [
    dt.datetime(2026, 1, 31, 8, 30, tzinfo=dt.timezone.utc),
    dt.datetime(2026, 1, 31, 8, 30),
    dt.date(2026, 1, 31),
    dt.time(8, 30),
    dt.timedelta(days=1, microseconds=1),
    Decimal("1.50"),
    uuid.UUID(int=7),
    b"\x00\xff",
    Colour.RED,
]


@pytest.fixture
def noted(registry):  # noqa: F811 - the fixture
    """A task that keeps what it was given: ``noted.calls``."""
    calls = []

    def note(*args, **kwargs):
        calls.append((args, kwargs))

    proxy = registry.background(name="noted")(note)
    proxy.calls = calls
    return proxy


def test_call_runs_with_what_it_was_given(noted):
    noted(*ARGUMENTS, nested={"in": [ARGUMENTS]})
    work_off()
    assert noted.calls == [(tuple(ARGUMENTS), {"nested": {"in": [ARGUMENTS]}})]


def test_calls_in_bulk_run_with_what_they_were_given(noted):
    ledger = Ledger.objects.create(key="a")
    noted.bulk([((value,), {"ledger": ledger}) for value in ARGUMENTS])
    work_off()
    arrived = sorted(repr(args[0]) for args, _ in noted.calls)
    assert arrived == sorted(repr(value) for value in ARGUMENTS)
    assert [kwargs for _, kwargs in noted.calls] == [{"ledger": ledger}] * len(ARGUMENTS)


def test_instance_is_read_when_the_task_is_run(noted):
    ledger = Ledger.objects.create(key="when it was scheduled")
    noted(ledger, others=[ledger])
    Ledger.objects.update(key="when it is run")
    work_off()
    (((arrived,), kwargs),) = noted.calls
    assert type(arrived) is Ledger
    assert (arrived.pk, arrived.key) == (ledger.pk, "when it is run")
    assert kwargs == {"others": [ledger]}


def test_task_of_a_vanished_instance_fails_at_once_and_says_which(noted):
    ledger = Ledger.objects.create(key="a")
    noted(ledger)
    Ledger.objects.all().delete()
    reference = payload.InstanceReference("testapp.ledger", ledger.pk, "default")
    assert Task.objects.get().params() == ([reference], {})
    work_off()
    assert noted.calls == []
    done = CompletedTask.objects.get()
    assert (done.attempts, done.failed_at is not None) == (1, True)
    assert f"<testapp.ledger {ledger.pk}> is no longer in the database" in done.last_error
    assert "VanishedInstanceError" in done.last_error


def test_params_of_a_finished_task_are_those_of_the_live_one(noted):
    ledger = Ledger.objects.create(key="a")
    live = noted(ledger, 7, day=dt.date(2030, 1, 31), colour=Colour.RED).params()
    Ledger.objects.all().delete()
    work_off()
    assert CompletedTask.objects.get().params() == live
    assert live[0][1:] == [7]
    assert live[1] == {"day": dt.date(2030, 1, 31), "colour": Colour.RED}


def test_params_of_a_row_ask_no_database_and_make_the_same_call(noted, django_assert_num_queries):
    task = noted(Ledger.objects.create(key="a"), colour=Colour.RED)
    with django_assert_num_queries(0):
        args, kwargs = task.params()
    assert kwargs == {"colour": Colour.RED}
    assert args[0].load() == Ledger.objects.get()
    again = noted(*args, **kwargs)
    assert (again.task_params, again.task_hash) == (task.task_params, task.task_hash)


CREATE = {
    "text key": lambda: TextOwner.objects.create(code="a 'b' \u00e9"),
    "uuid key": UUIDOwner.objects.create,
    "proxy with a narrow manager": lambda: HiddenLedger._base_manager.create(key="a"),
    "inherited": lambda: Parcel.objects.create(weight=5),
    "deferred": lambda: Parcel.objects.only("pk").get(pk=Parcel.objects.create().pk),
    "lazy": lambda: SimpleLazyObject(lambda: Ledger.objects.create(key="a")),
    "bulk created": lambda: TextOwner.objects.bulk_create([TextOwner(code="a")])[0],
}
if hasattr(models, "CompositePrimaryKey"):
    CREATE["composite key"] = lambda: Seat.objects.create(hall=uuid.uuid4(), day=dt.date.max)


@pytest.mark.parametrize("kind", CREATE)
def test_instance_of_any_kind_of_model_is_read_with_one_query(kind, django_assert_num_queries):
    instance = CREATE[kind]()
    text = payload.encode((instance,), {})
    with django_assert_num_queries(1):
        ((arrived,), _) = payload.decode(text)
    assert arrived == instance
    assert type(arrived) is instance.__class__
    assert not arrived.get_deferred_fields()
    assert payload.encode((arrived,), {}) == text


def test_row_is_found_by_its_instance(noted):
    first, second = Ledger.objects.create(key="a"), Ledger.objects.create(key="b")
    task = noted(first, when=dt.date(2026, 1, 31))
    call = {"kwargs": {"when": dt.date(2026, 1, 31)}}
    assert Task.objects.get_task("noted", [second], **call).count() == 0
    assert Task.objects.get_task("noted", [Ledger.objects.get(key="a")], **call).get() == task


def test_unsaved_instance_is_refused_before_the_transaction_is_harmed(noted):
    with transaction.atomic():
        Ledger.objects.create(key="before")
        for unsaved in (Ledger(key="a"), UUIDOwner()):
            with pytest.raises(InvalidOptionError, match="save it first"):
                noted(unsaved)
            with pytest.raises(InvalidOptionError, match=r"^item 1: .* save it first"):
                noted.bulk([((1,), {}), ((unsaved,), {})])
        Ledger.objects.create(key="after")
    assert Ledger.objects.count() == 2
    assert not Task.objects.exists()


def test_deleted_instance_is_refused(noted):
    ledger = Ledger.objects.create(key="a")
    ledger.delete()
    with pytest.raises(InvalidOptionError, match=r"testapp\.Ledger, is not in the database"):
        noted(ledger)


REFERENCES = {
    "no such app": ("nowhere.ledger", 1, "default"),
    "no such model": ("testapp.nothing", 1, "default"),
    "no label": ("ledger", 1, "default"),
    "no such database": ("testapp.ledger", 1, "nowhere"),
    "text for a number": ("testapp.ledger", "a", "default"),
    "list for a number": ("testapp.ledger", [1, 2], "default"),
    "mapping for a number": ("testapp.ledger", {"a": 1}, "default"),
    "text for a uuid": ("testapp.uuidowner", "a", "default"),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_that_leads_nowhere_is_refused(name):
    text = payload.encode((payload.InstanceReference(*REFERENCES[name]),), {})
    with pytest.raises(InvalidPayloadError, match=r"the argument <.*> cannot be read"):
        payload.decode(text)


def test_coroutine_reads_the_same(django_assert_num_queries):
    """On an event loop itself, Django refuses to ask the database."""
    ledger = Ledger.objects.create(key="a")
    text = payload.encode((1, ledger), {"b": {"c": [ledger, dt.date.max]}})
    with django_assert_num_queries(2):
        arrived = async_to_sync(payload.adecode)(text)
    assert arrived == ([1, ledger], {"b": {"c": [ledger, dt.date.max]}})
    with django_assert_num_queries(0):
        assert async_to_sync(payload.adecode)("[[1], {}]") == ([1], {})


@pytest.mark.parametrize("is_there", [True, False])
def test_coroutine_of_an_async_worker_gets_the_instance(registry, is_there):  # noqa: F811
    calls = []

    @registry.background(name="noted")
    async def note(*args):
        calls.append(args)

    ledger = Ledger.objects.create(key="a")
    note(ledger, dt.date.max)
    if not is_there:
        Ledger.objects.all().delete()
    work_off_async(1, end="success" if is_there else "failure")
    assert calls == ([(ledger, dt.date.max)] if is_there else [])
    assert CompletedTask.objects.get().attempts == 1
