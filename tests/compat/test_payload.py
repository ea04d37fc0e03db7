"""Section 4: the stored text and its hash, byte for byte as in rows that exist already."""

import pytest

from background_task.models import CompletedTask, Task

NAME = "myapp.tasks.f"
GOLDEN = [
    ((), {}, "[[], {}]", "549c4494c32f134f7855d5786f149bc27ee8fab3"),
    ((1,), {}, "[[1], {}]", "314da1b7b38f21806954bed8deafc7ad877e770d"),
    (
        ("h\u00e9\u00e9",),
        {"b": 1, "a": [1, 2]},
        '[["h\\u00e9\\u00e9"], {"a": [1, 2], "b": 1}]',
        "b489dbe3e5d537631bdaade890367472fe396703",
    ),
    (
        ({22222: 2, 11111: 1},),
        {},
        '[[{"11111": 1, "22222": 2}], {}]',
        "57b6ac7182b1b1637f90cfee61e0061f5b54a07f",
    ),
    (
        (1.0, None, True),
        {"x": {"z": 1, "y": 2}},
        '[[1.0, null, true], {"x": {"y": 2, "z": 1}}]',
        "f5cb50a70f2e174023e0d7ff3a9fd5b2f7527fcc",
    ),
    (1, {}, "[1, {}]", "b9a70d9f2ca14f849881b668c2e93e80ad9ef426"),
]


@pytest.mark.parametrize(("args", "kwargs", "text", "digest"), GOLDEN)
def test_new_task_encodes_golden_arguments_to_golden_bytes(args, kwargs, text, digest):
    task = Task.objects.new_task(NAME, args, kwargs)
    assert task.task_params == text
    assert task.task_hash == digest


@pytest.mark.django_db
@pytest.mark.parametrize(("args", "kwargs", "text", "digest"), GOLDEN[:-1])
def test_schedule_golden_arguments_stores_golden_bytes(args, kwargs, text, digest, recording):
    from background_task.tasks import tasks

    task = tasks.background(name=NAME)(recording)(*args, **kwargs)
    stored = Task.objects.get(pk=task.pk)
    assert (stored.task_params, stored.task_hash) == (text, digest)


@pytest.mark.django_db
def test_schedule_with_control_options_leaves_them_out_of_bytes_and_hash(recording):
    plain = recording.proxy(1)
    full = recording.proxy(
        1, schedule=60, priority=3, queue="q", verbose_name="v", repeat=60, repeat_until=None
    )
    assert full.task_params == plain.task_params == "[[1], {}]"
    assert full.task_hash == plain.task_hash


@pytest.mark.parametrize("args", [[], 0, None, ()])
def test_new_task_with_falsy_args_stores_an_empty_list(args):
    assert Task.objects.new_task(NAME, args, None).task_params == "[[], {}]"


@pytest.mark.django_db
def test_run_tuple_argument_arrives_as_list(recording, runs):
    recording.proxy((1, 2), key=(3,))
    assert runs.next()
    assert recording.calls == [(([1, 2],), {"key": [3]})]


@pytest.mark.django_db
@pytest.mark.parametrize("value", [object(), {1, 2}, 1j], ids=["object", "set", "complex"])
def test_schedule_value_that_is_not_json_raises_type_error_and_saves_nothing(value, recording):
    with pytest.raises(TypeError):
        recording.proxy(value)
    assert not Task.objects.exists()


@pytest.mark.django_db
def test_schedule_dict_with_mixed_key_types_raises_type_error_and_saves_nothing(recording):
    with pytest.raises(TypeError):
        recording.proxy({1: "one", "b": "two"})
    assert not Task.objects.exists()


@pytest.mark.django_db
def test_run_nan_and_infinity_arguments_arrive_as_they_were(recording, runs):
    recording.proxy(float("nan"), float("inf"), float("-inf"))
    assert Task.objects.get().task_params == "[[NaN, Infinity, -Infinity], {}]"
    assert runs.next()
    ((nan, high, low),) = [args for args, _ in recording.calls]
    assert nan != nan
    assert (high, low) == (float("inf"), float("-inf"))


def test_new_task_hash_joins_name_and_bytes_without_separator():
    import hashlib

    task = Task.objects.new_task("n", (1,), {"k": 2})
    assert task.task_hash == hashlib.sha1(b'n[[1], {"k": 2}]').hexdigest()


@pytest.mark.django_db
def test_run_row_with_bare_argument_fails_it_with_an_error(recording, runs):
    Task.objects.new_task("recorded", 1).save()
    assert runs.next()
    assert recording.calls == []
    failed = [*Task.objects.all(), *CompletedTask.objects.failed()]
    assert [task.has_error() for task in failed] == [True]
    assert [task.attempts for task in failed] == [1]
