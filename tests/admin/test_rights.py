"""Who may open what, and do what: every address of the admin's pages, and every action."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.urls import URLPattern, reverse
from django.utils import timezone

from background_task import periodic
from background_task.admin.deed import OF_COMPLETED, OF_TASKS
from background_task.models import CompletedTask, Pause, Schedule, Task, Worker
from background_task.recurrence import make_rule
from background_task.store import task_database
from background_task.store.pause import Pauses
from tests.api.conftest import add, archive, registry
from tests.api.test_requeue import claimed, gone

__all__ = ["registry"]  # a fixture
pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
LABEL = "background_task"
ROLES = ("anonymous", "nobody", "viewer", "blind", "operator", "changer", "superuser")
#: What nobody may, whatever his rights: there is nothing to be added, changed or deleted.
NEVER = {
    *(("worker", what) for what in ("add", "edit", "delete")),
    ("schedule", "add"),
    ("pause", "edit"),
}
#: What each address takes: to open it, and to post to it. A new one has to be entered here.
TAKES = {
    "changelist": ("look", "look"),
    "add": ("add", "add"),
    "change": ("look", "edit"),
    "history": ("look", None),
    "delete": ("delete", "delete"),
    "act": ("act", "act"),
    "pause": ("edit", "edit"),
    "resume": ("edit", "edit"),
}
#: Addresses that only take what is posted to them.
ONLY_POST = ("act", "pause", "resume")


def rights_of(role):
    """The codes of the rights that this user has."""
    ours = Permission.objects.filter(content_type__app_label=LABEL)
    ours = set(ours.values_list("codename", flat=True))
    starts = {"viewer": ("view_",), "operator": ("view_", "run_task", "cancel_task")}
    starts |= {"changer": ("view_", "change_"), "superuser": ("",)}
    starts["blind"] = ("run_task", "cancel_task")  # but may look at no task
    return {code for code in ours if code.startswith(starts.get(role, "-"))}


@pytest.fixture(params=ROLES)
def role(request):
    return request.param


@pytest.fixture
def visitor(client, role):
    """A browser of somebody with these rights."""
    if role != "anonymous":
        user = User.objects.create_user(
            role, is_staff=True, is_superuser=role == "superuser", password=None
        )
        user.user_permissions.set(Permission.objects.filter(codename__in=rights_of(role)))
        client.force_login(user)
    return client


def schedule(**values):
    now = timezone.now()
    values |= {"rule": str(make_rule(3600)), "digest": "d", "declared_at": now, "seen_at": now}
    values |= {"name": "nightly", "task_name": "nightly", "next_tick_at": now}
    return Schedule.objects.create(key="k" * 64, **values)


def pause():
    Pauses(task_database()).pause("queue", "mail")
    return Pause.objects.get()


def worker():
    now = timezone.now()
    times = {"started_at": now, "heartbeat_at": now, "expires_at": now + HOUR}
    return Worker.objects.create(name="h:1:a", host="h", pid=1, **times)


MAKERS = {
    "task": lambda: add(run_at=timezone.now() + HOUR),
    "completedtask": lambda: archive(status="failed"),
    "schedule": schedule,
    "pause": pause,
    "worker": worker,
}


def may(model, what, rights, *, deed=None):
    """What the docs say: see the table in docs/admin.md."""
    name = model._meta.model_name
    has_change = f"change_{name}" in rights and (name, "edit") not in NEVER
    if what == "look":
        return f"view_{name}" in rights or has_change
    if what == "edit":
        return has_change
    if what == "act":
        code = {"run": "run_task", "cancel": "cancel_task", "change": f"change_{name}"}[deed.right]
        return code in rights and may(model, "look", rights)
    return f"{what}_{name}" in rights and (name, what) not in NEVER


def addresses():
    """Every address of every page of ours: the model, what it is, and its parts."""
    found = []
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label != LABEL:
            continue
        for pattern in model_admin.get_urls():
            assert isinstance(pattern, URLPattern)
            if pattern.name is None:  # Django's old address of a page, which leads to the new one
                continue
            what = pattern.name.removeprefix(f"{LABEL}_{model._meta.model_name}_")
            found.append((model, what, pattern))
    return found


def visits():
    """Each address with a row; those of actions for each of them."""
    for model, what, pattern in addresses():
        name = model._meta.model_name
        row = MAKERS[name]() if "object_id" in pattern.pattern.converters else None
        deeds = admin.site._registry[model].deeds if what == "act" else [None]
        for deed in deeds:
            given = {"object_id": getattr(row, "pk", None), "name": getattr(deed, "name", None)}
            parts = {each: given[each] for each in pattern.pattern.converters}
            yield model, what, deed, reverse(f"admin:{pattern.name}", kwargs=parts)
        if row is not None:
            type(row).objects.all().delete()


def test_every_address_can_be_opened_by_those_who_may_and_nobody_else(visitor, role):
    rights, seen = rights_of(role), 0
    for model, what, deed, url in visits():
        opens, posts = TAKES[what]
        seen += 1
        for needed, response in ((opens, visitor.get(url)), (posts, visitor.post(url))):
            said = (url, response.request["REQUEST_METHOD"], response.status_code)
            is_post = response.request["REQUEST_METHOD"] == "POST"
            if role == "anonymous":
                assert response.status_code == 302, said
                assert "/login/" in response.url, said
            elif needed is None:
                assert response.status_code in (200, 403, 405), said
            elif not may(model, needed, rights, deed=deed):
                assert response.status_code == 403, said
            elif what in ONLY_POST and not is_post:
                assert response.status_code == 405, said
            else:
                assert response.status_code in (200, 302), said
                assert "/login/" not in getattr(response, "url", ""), said
    assert seen > 30


# -- actions of lists ------------------------------------------------------------------------------

ANSWERS = {"run_at": "2030-01-01T00:00:00", "priority": "3", "queue": "other"}
#: The right that each action takes. A new one has to be entered here.
ACTIONS = {
    "task": {
        "run_now": "run_task",
        "take_back": "run_task",
        "cancel_tasks": "cancel_task",
        "discard_tasks": "cancel_task",
        "reschedule_tasks": "change_task",
        "change_priority": "change_task",
        "change_queue": "change_task",
        "inc_priority": "change_task",
        "dec_priority": "change_task",
    },
    "completedtask": {"try_anew": "run_task", "run_again": "run_task"},
    "schedule": {"pause": "change_schedule", "resume": "change_schedule", "run_now": "run_task"},
    "pause": {"resume": "delete_pause"},
}
#: Rows that an action would do something to, where another one is needed than for a page.
FITTING = {
    ("task", "take_back"): lambda: claimed(gone()),
    ("schedule", "resume"): lambda: schedule(is_paused=True),
}


def test_each_action_of_each_list_is_known_here():
    found = {}
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label == LABEL and model_admin.actions:
            names = {getattr(action, "__name__", action) for action in model_admin.actions}
            found[model._meta.model_name] = names
    assert found == {name: set(actions) for name, actions in ACTIONS.items()}
    deeds = {deed.name for deed in (*OF_TASKS, *OF_COMPLETED)}
    assert deeds == {*ACTIONS["task"], *ACTIONS["completedtask"]}


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_is_offered_to_those_who_may_and_refused_to_others(
    visitor, role, registry, name
):
    periodic(3600, name="nightly")(registry.background(name="nightly")(lambda: None))
    url, rights = reverse(f"admin:{LABEL}_{name}_changelist"), rights_of(role)
    may_look = f"view_{name}" in rights
    MAKERS[name]()
    page = visitor.get(url)
    assert (page.status_code == 200) == may_look
    for action, needed in ACTIONS[name].items():
        may_act = may_look and needed in rights
        assert (f'<option value="{action}"' in page.content.decode()) == may_act
        for model in (Task, CompletedTask, Schedule, Pause, LogEntry):
            model.objects.all().delete()
        row = FITTING.get((name, action), MAKERS[name])()
        data = {"action": action, "_selected_action": [row.pk], "confirmed": "yes", **ANSWERS}
        before = everything()
        response = visitor.post(url, data)
        is_refused = not may_look and role != "anonymous"
        assert response.status_code in ((403,) if is_refused else (200, 302)), action
        assert (everything() != before) == may_act, action
        entries = LogEntry.objects.values_list("user__username", "object_id")
        assert list(entries) == ([(role, str(row.pk))] if may_act else []), action


def everything():
    """All rows that an action may change."""
    return [list(model.objects.values()) for model in (Task, CompletedTask, Schedule, Pause)]


def test_buttons_of_a_task_are_those_of_the_rights(visitor, role):
    row, rights = MAKERS["task"](), rights_of(role)
    page = visitor.get(reverse("admin:background_task_task_change", args=[row.pk]))
    if "view_task" not in rights:
        assert page.status_code in (302, 403)
        return
    shown = {button.url.split("/")[-2] for button in page.context["task_actions"]}
    fitting = set(ACTIONS["task"]) - {"take_back"}  # nobody holds it
    assert shown == {name for name in fitting if ACTIONS["task"][name] in rights}
