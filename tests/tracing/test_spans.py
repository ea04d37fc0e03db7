"""Spans from a call to its runs, as an exporter gets them."""

import importlib
import sys

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from background_task import Snooze, attendant, producer
from background_task.contrib.opentelemetry import instrument, uninstrument
from background_task.models import CompletedTask, Task
from background_task.producer import TaskSpec, enqueue_many
from background_task.store import Store
from tests.policies.running import Bench, make_due
from tests.worker.conftest import registry

__all__ = ["registry"]  # fixtures

pytestmark = pytest.mark.django_db(transaction=True)


class Traces:
    """What was exported."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("tests")

    def of(self, name):
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def one(self, name):
        (span,) = self.of(name)
        return span


@pytest.fixture
def traces():
    found = Traces()
    instrument(tracer_provider=found.provider)
    yield found
    uninstrument()
    assert not attendant.factories
    assert not producer.onlookers


@pytest.fixture(params=["inline", "threads", "coroutines", "code"])
def bench(registry, request):
    return Bench(registry, request.param)


@pytest.fixture
def inline(registry):
    return Bench(registry, "inline")


def test_run_is_a_child_of_its_call(traces, bench):
    def work():
        with traces.tracer.start_as_current_span("inner"):
            seen.append(baggage.get_baggage("tenant"))

    seen = []
    job = bench.task(work, queue="post")
    with traces.tracer.start_as_current_span("request"):
        token = context.attach(baggage.set_baggage("tenant", "shop"))
        task = job()
        context.detach(token)
    bench.work()
    request, inner = traces.one("request"), traces.one("inner")
    send, process = traces.one("send job"), traces.one("process job")
    assert send.kind is SpanKind.PRODUCER
    assert process.kind is SpanKind.CONSUMER
    assert send.parent.span_id == request.context.span_id
    assert process.parent.span_id == send.context.span_id
    assert inner.parent.span_id == process.context.span_id
    assert len({span.context.trace_id for span in (request, send, process, inner)}) == 1
    assert seen == ["shop"]
    assert send.attributes["messaging.message.id"] == str(task.uid)
    assert {
        "messaging.system": "background_task",
        "messaging.operation.type": "process",
        "messaging.destination.name": "post",
        "messaging.message.id": str(task.uid),
        "code.function.name": "job",
        "background_task.attempt": 1,
        "background_task.outcome": "succeeded",
    }.items() <= dict(process.attributes).items()
    assert process.status.status_code is StatusCode.UNSET
    assert not trace.get_current_span().get_span_context().is_valid


def test_failed_runs_say_so_and_belong_to_one_trace(traces, bench):
    bench.raising(OSError("no route"), OSError("no route"), max_attempts=2, backoff=0)()
    bench.work()
    make_due()
    bench.work()
    first, second = traces.of("process job")
    assert first.attributes["background_task.outcome"] == "retry"
    assert second.attributes["background_task.outcome"] == "failed"
    assert second.attributes["background_task.attempt"] == 2
    assert first.context.trace_id == second.context.trace_id
    for span in (first, second):
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["error.type"] == "builtins.OSError"
        (event,) = span.events
        assert event.name == "exception"
        assert event.attributes["exception.type"] == "builtins.OSError"
        assert event.attributes["exception.message"] == "no route"
        assert "Traceback" in event.attributes["exception.stacktrace"]


def test_run_that_wants_to_be_run_again_is_no_error(traces, inline):
    inline.raising(Snooze(60))()
    inline.work()
    span = traces.one("process job")
    assert span.attributes["background_task.outcome"] == "retry"
    assert span.status.status_code is StatusCode.UNSET


def test_batch_of_calls_is_one_span(traces, inline):
    job = inline.task(lambda number: None)
    tasks = job.bulk([((number,), {}) for number in range(3)])
    assert traces.one("send job").attributes["messaging.batch.message_count"] == 3
    inline.work(3)
    parents = {span.parent.span_id for span in traces.of("process job")}
    assert parents == {traces.one("send job").context.span_id}
    assert len(tasks) == 3


def test_calls_of_unique_tasks_in_a_batch_say_where_they_come_from(traces):
    tasks = enqueue_many(
        [TaskSpec("job", (1,)), TaskSpec("job", (2,), remove_existing_tasks=True)], sender=Task
    )
    stored = Task.objects.filter(pk__in=[task.pk for task in tasks])
    assert all(stored.values_list("trace_context", flat=True))
    assert len(traces.of("send job")) == 2


def test_next_run_of_a_chain_is_only_linked_to_the_call(traces, inline):
    inline.task(lambda: None)(repeat=60)
    inline.work()
    make_due()
    inline.work()
    first, second = traces.of("process job")
    send = traces.one("send job")
    assert first.parent.span_id == send.context.span_id
    assert second.parent is None
    assert second.context.trace_id != send.context.trace_id
    assert [link.context.span_id for link in second.links] == [send.context.span_id]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"traceparent":"zz"}', '{"traceparent":"x","link":1}']
)
def test_row_with_a_broken_context_is_run_in_a_trace_of_its_own(traces, inline, text):
    task = inline.task(lambda: None)()
    Task.objects.filter(pk=task.pk).update(trace_context=text)
    inline.work()
    assert traces.one("process job").parent is None
    assert CompletedTask.objects.get().status == "succeeded"


def test_call_that_cannot_be_stored_is_an_error(traces, inline, monkeypatch):
    def refuse(store, task):
        raise DatabaseError("full")

    monkeypatch.setattr(Store, "add", refuse)
    job = inline.task(lambda: None)
    with pytest.raises(DatabaseError):
        job()
    span = traces.one("send job")
    assert span.status.status_code is StatusCode.ERROR
    assert "messaging.message.id" not in span.attributes


def test_call_is_stored_though_a_propagator_fails(traces, inline, monkeypatch):
    def inject(headers):
        raise RuntimeError("no headers today")

    monkeypatch.setattr(propagate, "inject", inject)
    task = inline.task(lambda: None)()
    assert task.pk is not None
    assert task.trace_context is None
    assert traces.one("send job")


def test_without_tracing_nothing_is_stored(inline):
    task = inline.task(lambda: None)()
    assert Task.objects.get(pk=task.pk).trace_context is None


def test_instrument_twice_makes_one_span(traces, inline):
    instrument()
    inline.task(lambda: None)()
    assert traces.one("send job")


def test_app_begins_when_django_starts(settings):
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "background_task.contrib.opentelemetry"]
    try:
        assert apps.get_app_config("background_task_opentelemetry")
        assert producer.onlookers
    finally:
        uninstrument()


def test_missing_package_is_named_with_its_extra(monkeypatch):
    name = "background_task.contrib.opentelemetry.tracing"
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ImproperlyConfigured, match=r"django-background-tasks\[opentelemetry\]"):
        importlib.import_module(name)
