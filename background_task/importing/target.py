"""What a path of the other system is here: a function with ``@background``, or a ``@task``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from django.utils.module_loading import import_string

from .. import limiter, payload, producer
from ..call import Parameters
from ..exceptions import InvalidOptionError
from ..policy_option import overrides
from ..producer import TaskSpec
from ..task_proxy import TaskProxy
from ..tasks import tasks
from ..worker.served import own_backends
from .call import DEFAULT_BACKEND, Call


class Targets:
    """Finds what is to be run here, each path once.

    Args:
        mapping: New paths by old ones.
        backend: The alias in ``TASKS`` for all that is a ``@task``; None for that of the row.
    """

    def __init__(
        self, mapping: Mapping[str, str] | None = None, backend: str | None = None
    ) -> None:
        self.mapping = mapping or {}
        self.backend = backend
        self._found: dict[str, Background | BackendTask] = {}

    def spec(self, call: Call) -> TaskSpec:
        """Return what to queue for a call, with everything checked.

        Raises:
            InvalidOptionError: There is no such function, or a value cannot be stored.
            InvalidOptionTypeError: It does not take these arguments, or they cannot be stored.
        """
        path = self.mapping.get(call.path, call.path)
        if path not in self._found:
            self._found[path] = _found(path)
        target = self._found[path]
        target.check(call)
        spec = target.spec(call, self.backend or call.backend or DEFAULT_BACKEND)
        producer.check_options(spec)
        payload.encode(spec.args, spec.kwargs)
        return spec


class Background:
    """A function with ``@background``."""

    def __init__(self, proxy: TaskProxy[..., Any]) -> None:
        self.proxy = proxy
        self.parameters = Parameters(proxy.name, proxy.task_function)

    def check(self, call: Call) -> None:
        """Refuse arguments that the function would refuse."""
        self.parameters.check(call.args, call.kwargs)

    def spec(self, call: Call, backend: str) -> TaskSpec:
        """Return what to queue. Its unique key is left out: all that waits there comes over."""
        limit = self.proxy.limit_text(call.args, call.kwargs)
        priority = self.proxy.schedule.priority if call.priority is None else call.priority
        return _spec(
            call,
            task_name=self.proxy.name,
            queue=self.proxy.queue if call.queue is None else call.queue,
            priority=priority,
            limit_key=None if limit is None else limiter.hashed(limit),
        )


class BackendTask:
    """A ``@task`` of ``django.tasks``, known by what each version of it has."""

    def __init__(self, path: str, task: Any) -> None:
        self.path = path
        self.task = task
        self._checked: set[str] = set()

    @cached_property
    def parameters(self) -> Parameters:
        """What the function takes."""
        takes_context = getattr(self.task, "takes_context", False)
        return Parameters(self.path, self.task.func, skips_first=takes_context, options=())

    def check(self, call: Call) -> None:
        """Refuse arguments that the function would refuse."""
        self.parameters.check(call.args, call.kwargs)

    def spec(self, call: Call, backend: str) -> TaskSpec:
        """Return what to queue."""
        if backend not in self._checked:
            check_backend(backend)
            self._checked.add(backend)
        return _spec(
            call,
            task_name=self.path,
            queue=self.task.queue_name if call.queue is None else call.queue,
            priority=self.task.priority if call.priority is None else call.priority,
            limit_key=self._limit_key(call),
            backend=backend,
        )

    def _limit_key(self, call: Call) -> str | None:
        """Return what shares a limit with the call; tasks of other backends have none."""
        make = getattr(self.task, "limit_key", None)
        limit = None if make is None else make()
        return None if limit is None else limit.key(self.parameters, call.args, call.kwargs)


def check_backend(alias: str) -> None:
    """Refuse an alias whose tasks no worker of ours would run.

    Raises:
        InvalidOptionError: ``TASKS`` does not have it, or has another backend under it.
    """
    own = own_backends()
    if alias not in own:
        known = ", ".join(map(repr, own)) or "none"
        raise InvalidOptionError(
            f"{alias!r} is no backend in TASKS whose tasks process_tasks runs (it has: {known}); "
            f'set TASKS[{alias!r}]["BACKEND"] to "background_task.backends.DatabaseBackend", or '
            "give --backend"
        )


def _found(path: str) -> Background | BackendTask:
    if (proxy := tasks._tasks.get(path)) is not None:
        return Background(proxy)
    remedy = f"give its new place with --map {path}=NEW.PATH"
    try:
        found = import_string(path)
    except (ImportError, ValueError, TypeError) as error:
        raise InvalidOptionError(f"{path} cannot be imported ({error}); {remedy}") from error
    if isinstance(found, TaskProxy) and tasks._tasks.get(found.name) is found:
        return Background(found)
    if not all(hasattr(found, name) for name in ("func", "enqueue", "module_path")):
        raise InvalidOptionError(
            f"{path} is neither a @task nor a function with @background; decorate it, or {remedy}"
        )
    return BackendTask(path, found)


def _spec(call: Call, **values: Any) -> TaskSpec:
    policy: dict[str, Any] = {} if call.expires is None else {"expires": call.expires}
    if call.rule is not None:  # as there: a schedule does not end with a run that fails
        policy["repeat_on_failure"] = True
    return TaskSpec(
        args=call.args,
        kwargs=dict(call.kwargs),
        run_at=call.run_at,
        verbose_name=call.name,
        repeat=call.rule,
        repeat_until=None if call.rule is None else call.until,
        repeat_count=call.runs,
        options=overrides(policy),
        uid=call.uid,
        enqueued_at=call.enqueued_at,
        **values,
    )
