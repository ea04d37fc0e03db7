"""Watches the tables from outside, as anybody can, and tells what changed."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from background_task.models import CompletedTask, Task
from django.utils import timezone

from tour.terminal import Terminal


def short_name(task_name: str) -> str:
    """Return the function's name without its module."""
    return task_name.rpartition(".")[2]


def describe_call(task: Task) -> str:
    """Return the call that made this row, such as ``count_words(3)``."""
    args, kwargs = task.params()
    values = [repr(arg) for arg in args] + [f"{name}={value!r}" for name, value in kwargs.items()]
    return f"#{task.pk} {short_name(task.task_name)}({', '.join(values)})"


@dataclass
class Counts:
    """What has happened so far to the rows of one task function."""

    rows: int = 0
    done: int = 0
    failed_attempts: int = 0
    lost_attempts: int = 0


@dataclass
class Observer:
    """Compares the rows with those it saw last time and prints the difference.

    A task quicker than the pause between two looks is seen waiting and then done.
    """

    terminal: Terminal
    counts: dict[str, Counts] = field(default_factory=dict)
    killed_pids: set[int] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    _live: dict[UUID, Task] = field(default_factory=dict)
    _archived: set[UUID] = field(default_factory=set)
    _labels: dict[UUID, str] = field(default_factory=dict)
    _hashes: Counter[str] = field(default_factory=Counter)

    def look(self) -> None:
        """Print what changed since the last look."""
        # Live rows first: a row that leaves between the two queries is then found in the archive,
        # because both changes are one transaction. The other order could miss it.
        live = {task.uid: task for task in Task.objects.order_by("pk")}
        archived = CompletedTask.objects.exclude(uid__in=self._archived).order_by("run_at")
        finished = {completed.uid: completed for completed in archived}
        for completed in finished.values():
            self._tell_finished(completed)
        former, self._live = self._live, {u: t for u, t in live.items() if u not in finished}
        for uid, task in self._live.items():
            if uid not in self._labels:
                self._tell_new(task)
            self._tell_change(former.get(uid), task)
        self._archived.update(finished)
        self._show_status()

    def tell(self, kind: str, *, task: str, detail: str) -> None:
        """Print one event with the time since the start."""
        seconds = time.monotonic() - self.started
        self.terminal.event(seconds=seconds, kind=kind, task=task, detail=detail)

    def _tell_new(self, task: Task) -> None:
        label = self._labels[task.uid] = describe_call(task)
        self._count(task).rows += 1
        self._hashes[task.task_hash] += 1
        wait = (task.run_at - timezone.now()).total_seconds()
        if task.is_repeating_task() and self._hashes[task.task_hash] > 1:
            self.tell("repeats", task=label, detail=f"next run in {wait / 60:.0f} min")
        else:
            detail = f"due in {wait:.0f} s" if wait > 0.5 else "due now"
            self.tell("row", task=label, detail=detail)

    def _tell_change(self, before: Task | None, task: Task) -> None:
        label = self._labels[task.uid]
        if before is not None and task.attempts > before.attempts:
            if pid_of(before.locked_by) in self.killed_pids:
                self._count(task).lost_attempts += 1
                detail = f"attempt {task.attempts}, with worker {pid_of(before.locked_by)}"
                self.tell("lost", task=label, detail=detail)
            else:
                self._count(task).failed_attempts += 1
                reason = task.last_error.strip().splitlines()[-1]
                wait = (task.run_at - timezone.now()).total_seconds()
                self.tell("failed", task=label, detail=f"{reason}; again in {wait:.0f} s")
        if task.locked_by and (before is None or before.locked_by != task.locked_by):
            worker = f"attempt {task.attempts + 1}, worker {pid_of(task.locked_by)}"
            self.tell("running", task=label, detail=worker)

    def _tell_finished(self, completed: CompletedTask) -> None:
        label = self._labels.get(completed.uid, short_name(completed.task_name))
        first_start = completed.started_at or completed.run_at
        seconds = (completed.run_at - first_start).total_seconds()
        if completed.failed_at is not None:
            self.tell("failed", task=label, detail=f"attempt {completed.attempts}, for good")
            return
        self._count(completed).done += 1
        if completed.attempts == 1:
            self.tell("done", task=label, detail=f"attempt 1, {seconds * 1000:.0f} ms")
        else:
            detail = f"attempt {completed.attempts}, {seconds:.1f} s after attempt 1 began"
            self.tell("done", task=label, detail=detail)

    def _show_status(self) -> None:
        running = sum(task.locked_by is not None for task in self._live.values())
        waiting = len(self._live) - running
        seconds = time.monotonic() - self.started
        finished = len(self._archived)
        self.terminal.status(
            f"{seconds:6.1f} s  {waiting} waiting, {running} running, {finished} finished"
        )

    def _count(self, task: Task | CompletedTask) -> Counts:
        return self.counts.setdefault(short_name(task.task_name), Counts())


def pid_of(worker_name: str | None) -> int | None:
    """Return the process number in a worker's name (``host:pid:token``)."""
    parts = (worker_name or "").split(":")
    return int(parts[1]) if len(parts) == 3 else None
