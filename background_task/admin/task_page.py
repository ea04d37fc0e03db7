"""The page of one task: its life, its arguments, its result, and where it stands in its chain."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from ..mask import MASK, masked
from ..masking import is_sensitive, masked_params
from ..models import AttemptLog, CompletedTask, Task
from ..payload.text import shortened
from ..progress_report import ProgressReport
from ..settings import app_settings
from ..store.again import RETRIED
from .badge import rendered, task_badges
from .life import AttemptLife, attempts_of, missing, shown, span
from .pausing import on_hold
from .traceback_html import highlighted

#: Of the log and the chain, the page shows no more than so many rows.
MOST_LOGS, MOST_RUNS = 50, 10
#: Earlier runs are looked for among so many of the same function; no index has the call itself.
MOST_LOOKED_AT = 200
#: The arguments, the result and the log are cut to so many characters each.
MOST_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Link:
    """Something that the page points to; without an address it is only text."""

    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class AttemptPart:
    """What the page shows of an attempt."""

    life: AttemptLife
    waited: str
    lasted: str
    worker: Link
    traceback: SafeString
    log: str


@dataclass(frozen=True, slots=True)
class TaskPage:
    """All that the page shows beside the form."""

    row: Task | CompletedTask
    badges: SafeString
    is_live: bool
    attempts: list[AttemptPart]
    missing: int
    waits_for: str
    arguments: str
    result: str | None
    error: SafeString
    progress: ProgressReport | None
    progress_at: datetime | None
    creator: Link | None
    next_runs: list[Link]
    earlier_runs: list[Link]
    retried_as: Link | None


def page_of(request: HttpRequest, site: admin.AdminSite, row: Task | CompletedTask) -> TaskPage:
    """Return what the page of a task shows."""
    now = timezone.now()
    logs = AttemptLog.objects.filter(uid=row.uid).order_by("attempt", "pk")[:MOST_LOGS]
    attempts = attempts_of(row, logs if row.uid else (), now=now)
    is_live = isinstance(row, Task)
    is_paused = is_live and on_hold([row])[0]
    known = any(each.traceback for each in attempts)
    waits = is_live and not row.locked_by and row.failed_at is None
    due_at = (isinstance(row, Task) and row.due_at) or row.run_at
    return TaskPage(
        row=row,
        badges=rendered(task_badges(row, now=now, is_paused=is_paused)),
        is_live=is_live,
        attempts=[_part(site, each) for each in attempts],
        missing=missing(attempts),
        waits_for=span(due_at - now) if waits and due_at > now else "",
        arguments=pretty(masked_params(row)),
        result=_result(row),
        error=highlighted("" if known else row.last_error),
        progress=row.progress,
        progress_at=None if row.progress is None else shown(row.progress.at),
        creator=_creator(request, site, row),
        next_runs=_next_runs(site, row),
        earlier_runs=_earlier_runs(site, row),
        retried_as=_retried_as(site, row),
    )


def title_of(row: Task | CompletedTask) -> str:
    """Return what a task is called for people; the text of an archived row has its raw time."""
    name = row.verbose_name or row.task_name
    return name if isinstance(row, Task) else f"{name}, {_text(row.run_at)}"


def pretty(text: str) -> str:
    """Return JSON on lines of its own; other text as it is."""
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    # A lone surrogate, which JSON can spell, cannot be sent to a browser.
    return shortened(text, MOST_CHARS).encode("utf-8", "backslashreplace").decode("utf-8")


def _part(site: admin.AdminSite, life: AttemptLife) -> AttemptPart:
    return AttemptPart(
        life=life,
        waited=span(life.waited),
        lasted=span(life.lasted),
        worker=worker_link(site, life.worker),
        traceback=highlighted(life.traceback),
        log=shortened("\n".join(log.text for log in life.logs), MOST_CHARS),
    )


def worker_link(site: admin.AdminSite, name: str) -> Link:
    """Return the link to a worker: its list, in which it is looked for."""
    url = _url(site, "background_task_worker_changelist") if name else ""
    return Link(name, f"{url}?{urlencode({'q': name})}" if url else "")


def _row_link(site: admin.AdminSite, row: Any, text: str) -> Link:
    return Link(text, _url(site, f"background_task_{row._meta.model_name}_change", quote(row.pk)))


def _url(site: admin.AdminSite, name: str, *args: Any) -> str:
    try:
        return reverse(f"admin:{name}", args=args, current_app=site.name)
    except NoReverseMatch:  # somebody has taken the list out of this admin
        return ""


def _result(row: Task | CompletedTask) -> str | None:
    if not isinstance(row, CompletedTask) or row._own_status() != "succeeded":
        return None
    if row.return_value is not None and is_sensitive(row):
        return MASK
    text = row.return_value or "null"
    names = app_settings.BACKGROUND_TASK_MASK
    with suppress(ValueError, RecursionError):  # what is no JSON has no names
        text = json.dumps(masked(json.loads(text), names)) if names else text
    return pretty(text)


def _creator(request: HttpRequest, site: admin.AdminSite, row: Task | CompletedTask) -> Link | None:
    """Return the creator by name to those who may see it in its own list, else by its key."""
    kind, key = row.creator_content_type, row.creator_object_id
    if kind is None or key is None:
        return None
    text = f"{kind.app_label}.{kind.model}:{key}"
    model = kind.model_class()
    model_admin = None if model is None else site._registry.get(model)
    if model is None or model_admin is None or not model_admin.has_view_permission(request):
        return Link(text)
    try:
        creator = row.creator
        if creator is not None:
            text = f"{creator} ({text})"
    except Exception:  # noqa: BLE001 - a foreign key's text, a foreign __str__: the page goes on
        return Link(text)
    name = f"{kind.app_label}_{kind.model}_change"
    return Link(text, "" if creator is None else _url(site, name, quote(creator.pk)))


def _next_runs(site: admin.AdminSite, row: Task | CompletedTask) -> list[Link]:
    """Return live rows of the same call; not sorted, as there may be a million of them."""
    rows = Task.objects.filter(task_hash=row.task_hash).order_by()
    found = list(rows.only("pk", "run_at", "task_hash")[: MOST_RUNS + 1])
    others = [each for each in found if not (isinstance(row, Task) and each.pk == row.pk)]
    return [
        _row_link(site, each, f"task {each.pk}, due {_text(each.run_at)}")
        for each in others[:MOST_RUNS]
    ]


def _earlier_runs(site: admin.AdminSite, row: Task | CompletedTask) -> list[Link]:
    """Return archived rows of the same call, of those of the same function that an index has."""
    rows = CompletedTask.objects.filter(task_name=row.task_name).order_by("-pk")
    if isinstance(row, CompletedTask):
        rows = rows.filter(pk__lt=row.pk)
    columns = ("pk", "task_hash", "run_at", "failed_at", "discarded_at", "cancelled_at")
    same = [
        each for each in rows.only(*columns)[:MOST_LOOKED_AT] if each.task_hash == row.task_hash
    ]
    return [
        _row_link(site, each, f"{each._own_status()} at {_text(each.run_at)}")
        for each in same[:MOST_RUNS]
    ]


def _retried_as(site: admin.AdminSite, row: Task | CompletedTask) -> Link | None:
    """Return the task that tries this one anew, wherever it is by now."""
    if not row.options or f'"{RETRIED}"' not in row.options:
        return None
    try:
        uid = UUID(str(json.loads(row.options)[RETRIED]))
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    for model in (Task, CompletedTask):
        for other in model._default_manager.filter(uid=uid).only("pk"):
            return _row_link(site, other, f"task {uid}")
    return Link(f"task {uid}, which is in no table any more")


def _text(moment: Any) -> str:
    return (
        f"{timezone.localtime(moment) if timezone.is_aware(moment) else moment:%Y-%m-%d %H:%M:%S}"
    )
