"""What makes the spans: one where a call is stored, and one for each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import Token
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from ... import __version__, producer, trace_context
from ...attempt import (
    Cancelled,
    Claim,
    Discarded,
    Failed,
    Outcome,
    Released,
    Retry,
    Settled,
    Succeeded,
)
from ...attendant import factories
from ...models import Task
from ...store import Store

try:
    from opentelemetry import context as contexts, propagate, trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer
except ImportError as missing:
    raise ImproperlyConfigured(
        "background_task.contrib.opentelemetry needs the package opentelemetry-api; install it by "
        "pip install 'django-background-tasks[opentelemetry]'"
    ) from missing

SYSTEM = "background_task"
#: Attributes of ours, beside those of the semantic conventions for messaging.
ATTEMPT, OUTCOME = "background_task.attempt", "background_task.outcome"
OUTCOMES: dict[type, str] = {
    Succeeded: "succeeded",
    Settled: "succeeded",
    Retry: "retry",
    Failed: "failed",
    Discarded: "discarded",
    Cancelled: "cancelled",
    Released: "released",
}

_tracers: list[Tracer] = []


def begin(tracer_provider: Any) -> None:
    """Trace from now on."""
    if _tracers:
        return
    _tracers.append(trace.get_tracer("background_task", __version__, tracer_provider))
    producer.onlookers.append(sending)
    factories.append(Processing)


def end() -> None:
    """Trace nothing any more."""
    if _tracers:
        factories.remove(Processing)
        producer.onlookers.remove(sending)
        _tracers.clear()


@contextmanager
def sending(tasks: Sequence[Task]) -> Iterator[None]:
    """Make the span of a call, or a batch of calls, and let the rows say where they come from."""
    first = tasks[0]
    attributes = _attributes("send", first.task_name, first.queue)
    if len(tasks) > 1:
        attributes["messaging.batch.message_count"] = len(tasks)
    with _tracers[0].start_as_current_span(
        f"send {first.task_name}", kind=SpanKind.PRODUCER, attributes=attributes
    ) as span:
        text = _packed_here()
        for task in tasks:
            task.trace_context = text
        yield
        if len(tasks) == 1 and first.pk is not None:
            span.set_attribute("messaging.message.id", str(first.uid))


def _packed_here() -> str | None:
    """Return what rows are to say of the present context."""
    headers: dict[str, str] = {}
    try:
        propagate.inject(headers)
        return trace_context.packed(headers)
    except Exception:  # noqa: BLE001 - a propagator of the project's; the call is what counts
        return None


class Processing:
    """The span of one run; see ``attendant``.

    Args:
        claim: The run.
        store: The store of the row.
    """

    __slots__ = ("_claim", "_span", "_token")

    def __init__(self, claim: Claim, store: Store) -> None:
        self._claim = claim
        self._span: Span | None = None
        self._token: Token[Context] | None = None

    def begin(self) -> None:
        """Begin the span, and make it the one in which the function's own spans stand."""
        claim = self._claim
        parent, links = _origin(claim.trace_context)
        attributes = {
            **_attributes("process", claim.task_name, claim.queue),
            "messaging.message.id": str(claim.uid),
            "messaging.client.id": claim.owner,
            ATTEMPT: claim.attempt,
        }
        self._span = _tracers[0].start_span(
            f"process {claim.task_name}",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=links,
        )
        self._token = contexts.attach(trace.set_span_in_context(self._span, parent))

    def is_slow(self) -> bool:
        """Tell that the end takes no time: whoever exports spans does so by itself."""
        return False

    def end(self, outcome: Outcome | Settled | None) -> None:
        """End the span, and let it say what became of the run."""
        if self._token is not None:
            contexts.detach(self._token)
        if self._span is None:
            return
        if outcome is not None:
            _describe(self._span, outcome)
        self._span.end()


def _origin(stored: str | None) -> tuple[Context, list[Link]]:
    """Return the context of the call as parent, or none and a link to it."""
    headers, is_link = trace_context.unpacked(stored)
    if not headers:
        return Context(), []
    try:
        found = propagate.extract(headers, context=Context())
    except Exception:  # noqa: BLE001 - a propagator of the project's; the run is what counts
        return Context(), []
    if not is_link:
        return found, []
    origin = trace.get_current_span(found).get_span_context()
    return Context(), [Link(origin)] if origin.is_valid else []


def _attributes(operation: str, task_name: str, queue: str | None) -> dict[str, Any]:
    named = {} if queue is None else {"messaging.destination.name": queue}
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "code.function.name": task_name,
        **named,
    }


def _describe(span: Span, outcome: Outcome | Settled) -> None:
    span.set_attribute(OUTCOME, OUTCOMES[type(outcome)])
    if not isinstance(outcome, Retry | Failed | Cancelled) or not outcome.exception:
        if isinstance(outcome, Failed):
            span.set_status(Status(StatusCode.ERROR))
        return
    last = outcome.error.strip().rpartition("\n")[2]
    span.add_event(
        "exception",
        {
            "exception.type": outcome.exception,
            "exception.message": last.partition(": ")[2],
            "exception.stacktrace": outcome.error,
        },
    )
    if not isinstance(outcome, Cancelled) and not (isinstance(outcome, Retry) and outcome.is_wish):
        span.set_attribute("error.type", outcome.exception)
        span.set_status(Status(StatusCode.ERROR, last))
