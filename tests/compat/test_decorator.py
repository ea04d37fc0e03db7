"""Section 5; TestBackgroundDecorator and TestTaskProxy of section 15."""

import threading
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from background_task import background
from background_task.models import CompletedTask, Task
from background_task.tasks import TaskProxy, Tasks, TaskSchedule, tasks
from tests.compat.running import Recording


def add(a, b):
    return a + b


@pytest.mark.parametrize(
    "decorate",
    [
        tasks.background,
        tasks.background(),
        background,
        background(),
        background(name=None),
        background(schedule=10),
    ],
    ids=["tasks-bare", "tasks-called", "bare", "called", "name", "schedule"],
)
def test_decorate_function_gives_a_proxy_around_it(decorate):
    proxy = decorate(add)
    assert isinstance(proxy, TaskProxy)
    assert proxy is not add
    assert proxy.task_function is add


def test_decorate_with_decorator_syntax_registers_the_proxy():
    @background(name="with syntax", queue="q")
    def function():
        pass

    assert tasks._tasks["with syntax"] is function


def test_name_task_by_default_is_module_and_function():
    assert tasks.background(add).name == f"{__name__}.add"
    assert f"{__name__}.add" in tasks._tasks


def test_name_nested_function_uses_its_short_name():
    @background
    def inner():
        pass

    assert inner.name == f"{__name__}.inner"


def test_name_given_is_kept():
    assert tasks.background(name="my name")(add).name == "my name"


def test_name_beside_a_function_argument_is_reset():
    assert tasks.background(add, queue="q").name == f"{__name__}.add"
    assert tasks.background(add, queue="q").queue == "q"


def test_register_name_again_replaces_the_proxy():
    tasks.background(name="twice")(add)
    second = tasks.background(name="twice")(Recording())
    assert tasks._tasks["twice"] is second


def test_register_callable_without_name_needs_a_name():
    proxy = tasks.background(name="partial")(partial(add, 1))
    assert proxy.now(2) == 3


def test_str_of_proxy_shows_its_name():
    assert str(tasks.background(name="shown")(add)) == "TaskProxy(shown)"


def test_read_schedule_of_plain_proxy_is_empty():
    assert tasks.background(add).schedule == TaskSchedule()


@pytest.mark.parametrize(
    "given", [10, {"run_at": 10}, TaskSchedule(run_at=10)], ids=["int", "dict", "schedule"]
)
def test_read_schedule_of_proxy_is_the_decorators(given):
    assert tasks.background(schedule=given)(add).schedule == TaskSchedule(run_at=10)


def test_read_attributes_of_proxy_gives_what_the_decorator_got():
    proxy = tasks.background(name="n", queue="q", remove_existing_tasks=True)(add)
    assert proxy.queue == "q"
    assert proxy.remove_existing_tasks is True
    assert proxy.runner is tasks._runner
    plain = tasks.background(add)
    assert plain.queue is None
    assert plain.remove_existing_tasks is False


def test_read_attributes_of_tasks_gives_registry_runner_and_proxy_class():
    fresh = Tasks()
    assert fresh._tasks == {}
    assert fresh._task_proxy_class is TaskProxy
    assert type(fresh._runner).__name__ == "DBTaskRunner"
    assert callable(fresh._bg_runner)
    assert type(fresh._pool_runner).__name__ == "PoolRunner"


def test_read_metadata_of_proxy_is_that_of_the_function():
    def documented():
        """What it does."""

    proxy = background(documented)
    assert proxy.__doc__ == "What it does."
    assert proxy.__name__ == "documented"
    assert proxy.__wrapped__ is documented
    assert str(proxy) == f"TaskProxy({__name__}.documented)"


@pytest.mark.django_db
def test_call_now_returns_the_value_and_creates_no_row():
    proxy = background(add)
    assert proxy.now is proxy.task_function
    assert proxy.now(2, 3) == 5
    assert proxy.now(2, b=4) == 6
    assert not Task.objects.exists()
    assert not CompletedTask.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [([], {}), (["hi"], {}), ([], {"kw": 1}), (["hi", 2], {"kw": 1}), (("a",), {})],
)
def test_run_task_by_name_without_row_calls_with_exactly_these_arguments(
    mode, runs, recording, args, kwargs
):
    runs.this("recorded", args, kwargs)
    assert recording.calls == [(tuple(args), kwargs)]
    assert not Task.objects.exists()
    assert not CompletedTask.objects.exists()


def test_run_task_by_unknown_name_raises_key_error():
    with pytest.raises(KeyError):
        tasks.run_task("nobody registered this", [], {})


@pytest.mark.django_db
def test_run_task_by_name_returns_none():
    tasks.background(name="valued")(Recording(result="a value"))
    assert tasks.run_task("valued", [], {}) is None


@pytest.mark.django_db(transaction=True)
def test_run_task_with_row_ignores_arguments_given(mode, runs, recording):
    task = recording.proxy(1, two=2)
    runs.this(task, [9], {"nine": 9})
    assert recording.calls == [((1,), {"two": 2})]
    assert not Task.objects.exists()
    assert CompletedTask.objects.get().task_name == "recorded"


@pytest.mark.django_db(transaction=True)
def test_run_task_by_name_finishes_the_due_row_with_these_arguments(mode, runs, recording):
    recording.proxy(1)
    other = recording.proxy(2)
    runs.this("recorded", [1], {})
    assert recording.calls == [((1,), {})]
    assert list(Task.objects.all()) == [other]
    assert CompletedTask.objects.get().task_params == "[[1], {}]"


@pytest.mark.django_db
def test_run_task_by_name_of_queued_task_leaves_rows_of_other_queues_alone(runs):
    recording = Recording()
    proxy = tasks.background(name="queued", queue="mine")(recording)
    elsewhere = proxy(1, queue="other")
    proxy(1)
    runs.this("queued", [1], {})
    assert list(Task.objects.all()) == [elsewhere]


@pytest.mark.django_db(transaction=True)
def test_run_task_in_async_mode_returns_before_the_function_does(settings, runs):
    settings.BACKGROUND_TASK_RUN_ASYNC = True
    release, started = threading.Event(), threading.Event()

    @background(name="waits")
    def wait():
        started.set()
        assert release.wait(20)

    wait()
    assert tasks.run_next_task() is True
    assert started.wait(20)
    assert not CompletedTask.objects.exists()
    with runs.expecting(1):
        release.set()
    assert CompletedTask.objects.count() == 1


@pytest.mark.django_db
def test_call_proxy_returns_the_saved_row(recording):
    task = recording.proxy(1)
    assert isinstance(task, Task)
    assert Task.objects.get() == task
    assert task.task_name == "recorded"


@pytest.mark.django_db
def test_call_proxy_with_reserved_keywords_fills_the_row_and_not_the_arguments(
    recording, django_user_model
):
    creator = django_user_model.objects.create(username="creator")
    until = timezone.now() + timedelta(days=9)
    run_at = timezone.now() + timedelta(hours=1)
    task = recording.proxy(
        1,
        kept=True,
        schedule=run_at,
        priority=5,
        queue="q",
        verbose_name="shown name",
        creator=creator,
        repeat=Task.DAILY,
        repeat_until=until,
        remove_existing_tasks=False,
    )
    task.refresh_from_db()
    assert task.params() == ([1], {"kept": True})
    assert (task.run_at, task.priority, task.queue) == (run_at, 5, "q")
    assert (task.verbose_name, task.creator) == ("shown name", creator)
    assert (task.repeat, task.repeat_until) == (Task.DAILY, until)


@pytest.mark.django_db
def test_call_proxy_with_action_keyword_passes_it_to_the_function(recording, runs):
    recording.proxy(action="mine")
    assert runs.next()
    assert recording.calls == [((), {"action": "mine"})]


@pytest.mark.django_db
@pytest.mark.parametrize("keyword", ["task", "proxy_task", "name", "func", "args"])
def test_call_proxy_with_ordinary_keyword_reaches_the_function(recording, runs, keyword):
    recording.proxy(**{keyword: 1})
    assert runs.next()
    assert recording.calls == [((), {keyword: 1})]


@pytest.mark.django_db
def test_call_proxy_without_queue_uses_the_decorators_and_none_overrides_it():
    proxy = tasks.background(name="queued", queue="default queue")(Recording())
    assert proxy().queue == "default queue"
    assert proxy(queue="call").queue == "call"
    assert proxy(queue=None).queue is None


@pytest.mark.django_db
def test_call_proxy_without_priority_uses_the_schedules():
    proxy = tasks.background(name="p", schedule={"priority": 4})(Recording())
    assert proxy().priority == 4
    assert proxy(priority=0).priority == 0
    assert proxy(schedule={"priority": 6}).priority == 6
    assert proxy(schedule={"priority": 6}, priority=7).priority == 7


@pytest.mark.django_db
def test_call_proxy_with_remove_existing_tasks_overrides_the_decorators():
    proxy = tasks.background(name="r", remove_existing_tasks=True)(Recording())
    proxy(1)
    proxy(1, remove_existing_tasks=False)
    assert Task.objects.count() == 2
    last = proxy(1)
    assert list(Task.objects.all()) == [last]


@pytest.mark.django_db
def test_call_proxy_twice_keeps_both_rows_by_default(recording):
    first, second = recording.proxy(1), recording.proxy(1)
    assert first.task_hash == second.task_hash
    assert Task.objects.count() == 2
