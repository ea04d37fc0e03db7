"""A call that the function could not take is refused before it is stored."""

import functools

import pytest

from background_task.models import Task
from background_task.tasks import tasks

pytestmark = pytest.mark.django_db


def greet(name, *, loud=False):
    return (name, loud)


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), (("a", "b"), {}), (("a",), {"scheduel": 5})], ids=repr
)
def test_call_that_does_not_fit_the_function_is_refused_with_its_signature(args, kwargs):
    proxy = tasks.background(name="greet")(greet)
    with pytest.raises(TypeError, match=r"greet cannot be called so.*\(name, \*, loud=False\)"):
        proxy(*args, **kwargs)
    assert not Task.objects.exists()


def test_call_with_options_and_arguments_is_stored():
    proxy = tasks.background(name="greet")(greet)
    proxy("a", loud=True, schedule=5, priority=2, queue="q")
    assert Task.objects.get().task_params == '[["a"], {"loud": true}]'


def test_call_of_a_decorated_function_goes_by_the_decorator():
    """A wrapper may add arguments: what it wraps is not what is called."""

    @functools.wraps(greet)
    def with_name(*args, **kwargs):
        return greet("added", *args, **kwargs)

    proxy = tasks.background(name="greet")(with_name)
    proxy(loud=True)
    assert Task.objects.count() == 1


def test_call_of_a_callable_without_signature_is_stored():
    tasks.background(name="dict")(dict)([["a", 1]])
    assert Task.objects.count() == 1
