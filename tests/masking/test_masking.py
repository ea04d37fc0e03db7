"""What of a call is shown, and what stars stand for. No row is stored here."""

import json

import pytest
from django.test import override_settings

from background_task.masking import MASK, hides, is_sensitive, masked_call, masked_params
from background_task.models import CompletedTask, Task
from background_task.payload import InstanceReference
from background_task.settings import app_settings
from tests.masking import tasks


def row(name, *args, options=None, backend=None, **kwargs):
    found = Task.objects.new_task(name, args=args, kwargs=kwargs, options=options)
    found.backend = backend
    return found


def sign_in(*args, **kwargs):
    return row(tasks.sign_in.name, *args, **kwargs)


def test_masked_call_without_the_setting_shows_everything():
    found = sign_in("ann", "hunter2", secrets=[1])
    assert masked_call(found) == (["ann", "hunter2"], {"secrets": [1]})
    assert masked_params(found) == found.task_params
    assert not hides(found)


@pytest.mark.parametrize("name", ["password", "PASSWORD", "pass", " word "])
def test_masked_call_of_a_named_positional_argument_hides_it(name):
    with override_settings(BACKGROUND_TASK_MASK=[name]):
        assert masked_call(sign_in("ann", "hunter2")) == (["ann", MASK], {})
        assert hides(sign_in("ann", "hunter2"))


def test_masked_call_of_a_keyword_argument_hides_it():
    with override_settings(BACKGROUND_TASK_MASK=["PassWord"]):
        shown = masked_call(sign_in(user="ann", password="hunter2", old_Password_1="x"))
    assert shown == ([], {"user": "ann", "password": MASK, "old_Password_1": MASK})


def test_masked_call_hides_by_the_name_of_what_takes_the_rest():
    with override_settings(BACKGROUND_TASK_MASK=["code"]):
        assert masked_call(sign_in("ann", "x", 1, 2)) == (["ann", "x", MASK, MASK], {})
    with override_settings(BACKGROUND_TASK_MASK=["secret"]):
        assert masked_call(sign_in(user="ann", pin=1)) == ([], {"user": "ann", "pin": MASK})


def test_masked_call_looks_into_what_is_nested():
    value = {"list": [{"access_token": "t", "ok": 1}], "Token": {"a": 1}}
    with override_settings(BACKGROUND_TASK_MASK=["token"]):
        (_, shown), _ = masked_call(row(tasks.post.name, "/", value))
    assert shown == {"list": [{"access_token": MASK, "ok": 1}], "Token": MASK}


def test_masked_call_of_an_unknown_function_hides_what_has_no_name():
    """Who does not know the function does not know which of them is the password."""
    found = row("of.another.process", "ann", "hunter2", user="ann", token="t")
    with override_settings(BACKGROUND_TASK_MASK=["token"]):
        assert masked_call(found) == ([MASK, MASK], {"user": "ann", "token": MASK})
    assert masked_call(found)[0] == ["ann", "hunter2"]


def test_masked_call_of_more_arguments_than_the_function_takes_hides_the_rest():
    with override_settings(BACKGROUND_TASK_MASK=["token"]):
        assert masked_call(row(tasks.post.name, "/", 1, "old")) == (["/", 1, MASK], {})


def test_masked_call_of_a_queued_task_knows_its_parameters():
    found = row(tasks.sign_up.module_path, "ann", "hunter2", backend="default")
    with override_settings(BACKGROUND_TASK_MASK=["password"]):
        assert masked_call(found) == (["ann", MASK], {})


def test_masked_call_of_a_queued_task_that_is_gone_hides_all_that_has_no_name():
    found = row("gone.module.task", "ann", "hunter2", backend="default")
    with override_settings(BACKGROUND_TASK_MASK=["password"]):
        assert masked_call(found) == ([MASK, MASK], {})


def test_masked_call_of_a_sensitive_function_hides_all():
    found = row(tasks.pay.name, "4111", amount=7, options=tasks.pay._overrides)
    assert masked_call(found) == ([MASK], {"amount": MASK})
    assert json.loads(masked_params(found)) == [[MASK], {"amount": MASK}]
    assert hides(found)
    assert is_sensitive(found)


def test_is_sensitive_of_a_row_that_says_so_where_the_function_is_unknown():
    assert is_sensitive(row("of.another.process", options='{"sensitive":true}'))
    assert is_sensitive(CompletedTask(task_name="gone", options='{"sensitive":true}'))
    assert not is_sensitive(row("of.another.process"))


def test_is_sensitive_of_a_row_from_before_the_function_was():
    assert is_sensitive(row(tasks.pay.name))
    assert is_sensitive(row(tasks.charge.module_path, backend="default"))


def test_is_sensitive_of_a_call_that_says_it_is_not():
    assert not is_sensitive(row(tasks.pay.name, options='{"sensitive":false}'))


@pytest.mark.parametrize("options", ["{", "[]", '{"sensitive":"yes"}', '{"sensitive":1}'])
def test_is_sensitive_of_options_that_cannot_be_read(options):
    assert is_sensitive(row(tasks.post.name, options=options))


def test_masked_params_of_arguments_that_cannot_be_read():
    found = row(tasks.post.name)
    found.task_params = "[hunter2"
    assert masked_params(found) == "[hunter2"
    with override_settings(BACKGROUND_TASK_MASK=["token"]):
        assert masked_params(found) == f'"{MASK}"'
    found.options = '{"sensitive":true}'
    assert masked_params(found) == f'"{MASK}"'


def test_masked_params_keep_what_json_does_not_know():
    reference = InstanceReference("auth.user", 7, "default")
    found = row(tasks.sign_in.name, reference, "hunter2")
    with override_settings(BACKGROUND_TASK_MASK=["password"]):
        assert masked_call(found) == ([reference, MASK], {})
        assert masked_params(found) == found.task_params.replace("hunter2", MASK)


@pytest.mark.parametrize("value", ["password", [""], [" "], [7], {"password": 1}, 7])
def test_setting_that_cannot_work_hides_everything(value):
    with override_settings(BACKGROUND_TASK_MASK=value):
        assert app_settings.BACKGROUND_TASK_MASK == ("",)
        assert masked_call(sign_in("ann", user=1)) == ([MASK], {"user": MASK})
