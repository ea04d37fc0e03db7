"""Tasks of ``django.tasks``."""

import threading
import weakref
from typing import Any

from background_task import cancel
from background_task.backends import task
from background_task.current import current_task, progress
from background_task.task_framework import TaskContext, task as plain_task
from tests.app.models import Ledger

#: What has been called, with which arguments.
calls: list[tuple[str, Any]] = []


class Load:
    """Something large."""


#: What failed tasks have held, as long as it is there.
loads: list[weakref.ref[Load]] = []


class Hopeless(BaseException):
    """No failure that anybody expects."""


class NestedError(Exception):
    """Holds another."""


@task
def add(first, second=1):
    calls.append(("add", (first, second)))
    return first + second


@task
async def aadd(first, second=1):
    calls.append(("aadd", (first, second)))
    return first + second


@task(takes_context=True)
def context(context: TaskContext, text=""):
    calls.append(("context", context))
    return f"{context.task_result.id} {context.attempt} {text}"


@task
def fail(text="no"):
    calls.append(("fail", text))
    raise ValueError(text)


@task
def fail_loaded():
    load = Load()
    loads.append(weakref.ref(load))
    raise ValueError("no")


@task
async def afail():
    raise LookupError("nowhere")


@task(takes_context=True)
async def acontext(context, text=""):
    return f"{context.task_result.id} {context.attempt} {text}"


@task
def fail_twice():
    try:
        raise ValueError("the first")
    except ValueError as error:
        raise NestedError(error) from error


@task
def queue_another():
    add.enqueue(1)


@task
def fail_hopelessly():
    raise Hopeless("really")


@task
def leave():
    raise SystemExit(3)


@task
def interrupt():
    raise KeyboardInterrupt


@task(takes_context=True)
def look(context):
    calls.append(("look", look.get_result(context.task_result.id)))


@task
def echo(value):
    calls.append(("echo", value))
    return value


@task
def give(what):
    return {"object": object(), "bytes": b"Gr\xc3\xbc\xc3\x9fe", "tuple": (1, (2,))}[what]


@task(backend="retrying")
def fail_at_first(times):
    calls.append(("fail_at_first", times))
    if len(calls) <= times:
        raise ValueError(f"call {len(calls)}")
    return len(calls)


@task(backend="retrying", takes_context=True)
def context_of_second(context):
    if context.attempt == 1:
        raise LookupError("not yet")
    calls.append(("context_of_second", context))


@task(backend="immediate")
def at_once(number):
    calls.append(("at_once", number))
    return 1 / number


@task(priority=7, queue_name="other")
def elsewhere():
    return None


@task(atomic=True)
def pay(key):
    Ledger.objects.create(key=str(key))
    if key == "fail":
        raise ValueError(key)
    return object() if key is None else f"paid {key}"


@task
def keep(key):
    Ledger.objects.create(key=key)
    raise ValueError(key)


@task(max_attempts=5, backoff=0)
def insist():
    raise ValueError("again")


@task
def cancel_itself():
    cancel(current_task().id)
    for _ in range(6000):
        threading.Event().wait(0.01)


@task
def wait_for_ever():
    for _ in range(6000):  # a thread is only reached between two waits
        threading.Event().wait(0.01)


@task(unique=True)
def once(number):
    calls.append(("once", number))


@task(unique="number", unique_until="finish")
def once_until_the_end(number):
    calls.append(("once_until_the_end", number))


@task(max_concurrency=1, concurrency_key="{number}")
def limited(number):
    calls.append(("limited", number))


@task(repeat=3600)
def repeat():
    calls.append(("repeat", None))
    return len(calls)


@task
def tell_progress():
    progress(1, 2, "half")
    return f"{current_task().attempt} {current_task().name}"


@plain_task(backend="dummy")
def plain(value):
    return value


not_a_task = len
