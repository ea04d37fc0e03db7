"""Tasks of ``django.tasks``."""

from typing import Any

from background_task.task_framework import TaskContext, task

#: What has been called, with which arguments.
calls: list[tuple[str, Any]] = []


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


@task(backend="immediate")
def at_once(number):
    calls.append(("at_once", number))
    return 1 / number


@task(priority=7, queue_name="other")
def elsewhere():
    return None


not_a_task = len
