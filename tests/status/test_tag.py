"""The progress bar that a template puts into a page."""

import re

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.template import Context, Template
from django.test import override_settings
from django.utils import timezone

from background_task.models import Task
from background_task.progress_report import make_report
from background_task.store import get_store

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.status.urls")]


@pytest.fixture
def task():
    found = Task.objects.new_task("shop.export", args=["hunter2"])
    get_store().add(found)
    return found


def render(text, **context):
    return Template("{% load background_task %}" + text).render(Context(context))


def report(done, total, message=""):
    text = make_report(done, total, message, now=timezone.now()).to_text()
    Task.objects.update(locked_by="w", progress_json=text)


def test_bar_shows_how_the_task_stands_without_a_script(task):
    report(1, 4, "resizing")
    html = render("{% task_progress task %}", task=task)
    assert '<progress class="background-task-bar" max="100" value="25"' in html
    assert 'aria-live="polite">Running, 25%, resizing</span>' in html
    assert "hunter2" not in html


def test_bar_asks_the_view_with_a_token_that_works(client, task):
    html = render("{% task_progress task %}", task=task)
    (url,) = re.findall(r'data-background-task="([^"]+)"', html)
    assert client.get(url).json()["status"] == "waiting"
    assert "result" not in client.get(url).json()
    html = render("{% task_progress task max_age=60 result=True %}", task=task)
    (url,) = re.findall(r'data-background-task="([^"]+)"', html)
    assert "result" in client.get(url).json()


def test_bar_of_a_running_task_that_says_nothing_is_open(task):
    Task.objects.update(locked_by="w")
    assert not re.search(r"<progress[^>]* value=", render("{% task_progress task %}", task=task))


def test_bar_of_a_task_that_has_ended_asks_nothing_more(task):
    task.create_completed_task()
    task.delete()
    html = render("{% task_progress task %}", task=task)
    assert "data-finished" in html
    assert 'value="100"' in html


def test_what_a_task_says_is_escaped(task):
    report(1, None, "<script>alert(1)</script>")
    html = render('{% task_progress task label="<i>" %}', task=task)
    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html
    assert "<i>" not in html


def test_page_has_nothing_that_a_strict_policy_forbids(task):
    html = render("{% task_progress task %}", task=task)
    assert "style=" not in html
    assert not re.search(r"\son\w+=", html)
    assert re.findall(r"<script([^>]*)>(.*?)</script>", html) == [
        (' src="/static/background_task/status.js" defer', "")
    ]


def test_page_with_several_bars_has_the_script_once(task):
    text = "{% for each in tasks %}{% task_progress each %}{% endfor %}"
    html = render(text, tasks=[task, task, task])
    assert html.count("data-background-task=") == 3
    assert html.count("<script") == html.count("<link") == 1


def test_bar_has_a_name_for_those_who_do_not_see_it(task):
    assert 'aria-label="Progress"' in render("{% task_progress task %}", task=task)
    assert 'aria-label="Export"' in render('{% task_progress task label="Export" %}', task=task)


def test_template_may_be_replaced(task, tmp_path, settings):
    folder = tmp_path / "background_task"
    folder.mkdir()
    (folder / "task_progress.html").write_text("mine: {{ standing.text }}", encoding="utf-8")
    (engine,) = settings.TEMPLATES
    with override_settings(TEMPLATES=[{**engine, "DIRS": [tmp_path]}]):
        assert render("{% task_progress task %}", task=task) == "mine: Waiting"


@pytest.mark.urls("tests.urls")
def test_missing_address_of_the_view_is_named(task):
    with pytest.raises(ImproperlyConfigured, match=r"include\('background_task.status.urls'\)"):
        render("{% task_progress task %}", task=task)
