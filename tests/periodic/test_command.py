"""What people see of schedules, and do to them: the command, the checks, the admin."""

import io
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from background_task import checks, periodic
from background_task.models import Schedule, Task
from background_task.recurrence.zone import instant

pytestmark = pytest.mark.django_db

CHANGELIST = "admin:background_task_schedule_changelist"


@pytest.fixture
def nightly(registry, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    function = registry.background(name="shop.report", queue="slow")(lambda number: None)
    periodic("30 3 * * 1-5", name="nightly", args=[7])(function)
    return function


@pytest.fixture
def seen(nightly, make_ticker):
    """A worker has been there."""
    ticker = make_ticker()
    ticker.read(timezone.now())
    return ticker


def run(**options):
    out = io.StringIO()
    call_command("background_task_schedules", stdout=out, no_color=True, **options)
    return out.getvalue().splitlines()


def test_list_shows_name_function_rule_and_five_times_by_the_clock_of_the_project(seen):
    lines = run()
    assert lines[:2] == [
        "nightly",
        "  calls shop.report at 03:30 on Monday through Friday (Europe/Berlin time)",
    ]
    times = [line.split() for line in lines[2:]]
    assert len(times) == 5
    assert {time[3] for time in times} == {"03:30:00"}
    assert {time[4] for time in times} <= {"CET", "CEST"}
    assert {time[1] for time in times} == {"Mon", "Tue", "Wed", "Thu", "Fri"}


def test_list_tells_what_no_worker_and_what_other_code_has(seen, registry):
    periodic("@daily", name="brand new", args=[1])(registry._tasks["shop.report"])
    Schedule.objects.update(name="another", key="k")
    lines = run()
    assert "brand new (not seen by a worker yet)" in lines
    assert "another (not declared here)" in lines


def test_list_tells_last_tick_and_end_of_rule(registry, make_ticker):
    function = registry.background(name="t")(lambda: None)
    periodic("DTSTART:20200101T000000 RRULE:FREQ=DAILY;UNTIL=20200103T000000")(function)
    periodic(60, name="each minute")(function)
    ticker = make_ticker()
    now = timezone.now()
    ticker.read(now)
    ticker.tick(now + timedelta(minutes=1))
    lines = run()
    assert "  never again" in lines
    assert sum(line.startswith("  last ") for line in lines) == 1


def test_list_of_nothing_says_what_to_do(registry):
    assert run() == ["No schedules: put @periodic on a task function"]


def test_pause_and_resume_one(seen):
    assert run(pause="nightly") == ["Paused nightly"]
    assert run()[0] == "nightly (paused)"
    Schedule.objects.update(next_tick_at=timezone.now() - timedelta(days=9))
    (line,) = run(resume="nightly")
    assert line.startswith("Resumed nightly; next ")
    row = Schedule.objects.get()
    assert not row.is_paused
    assert row.next_tick_at > timezone.now()
    assert run(resume="nightly") == ["nightly is not paused"]


def test_run_puts_one_run_beside_the_ticks(seen):
    before = Schedule.objects.values().get()
    assert run(run="nightly") == ["Put shop.report into the queue"]
    task = Task.objects.get()
    assert (task.task_name, task.queue, task.params()) == ("shop.report", "slow", ([7], {}))
    assert task.run_at <= timezone.now()
    assert Schedule.objects.values().get() == before


@pytest.mark.parametrize("on_conflict", ["raise", "skip"])
def test_run_says_that_the_same_waits_already(registry, on_conflict):
    unique = registry.background(name="shop.only", unique=True, on_conflict=on_conflict)
    periodic("30 3 * * *", name="only")(unique(lambda: None))
    assert run(run="only") == ["Put shop.only into the queue"]
    if on_conflict == "skip":
        assert run(run="only") == ["Not put into the queue: a run of only that waits there is kept"]
    else:
        with pytest.raises(CommandError, match=r"--run only: .*shop\.only"):
            run(run="only")
    assert Task.objects.count() == 1


@pytest.mark.parametrize("act", ["pause", "resume", "run"])
def test_name_that_is_not_there_is_refused_with_those_that_are(seen, act):
    with pytest.raises(CommandError, match=r"weekly: .*declares no such schedule, but nightly"):
        run(**{act: "weekly"})


def test_pause_before_a_worker_has_been_there_is_refused(nightly):
    with pytest.raises(CommandError, match="nightly has not been seen by a worker yet; start one"):
        run(pause="nightly")


def test_command_with_declaration_that_cannot_work_says_so(registry, settings):
    settings.BACKGROUND_TASK_PERIODIC = {"a": 5}
    with pytest.raises(CommandError, match="periodic 'a' is 5; use None, or a dict"):
        run()


# -- checks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "ids"),
    [
        ({}, []),
        ({"a": {"task": "shop.report", "schedule": 60, "args": [1]}}, []),
        ({"a": None}, []),
        ({"a": {"task": "shop.report", "schedule": 60}}, ["background_task.E004"]),
        ({"a": {"task": "shop.report", "schedule": "x"}}, ["background_task.E004"]),
        ({"a": {"task": "shop.gone", "schedule": 60}}, ["background_task.W006"]),
        ([], []),
    ],
    ids=str,
)
def test_check_of_the_setting(nightly, settings, setting, ids):
    settings.BACKGROUND_TASK_PERIODIC = setting
    assert [message.id for message in checks.check_periodic()] == ids


def test_check_of_a_setting_that_is_no_dict_is_that_of_all_settings(settings):
    settings.BACKGROUND_TASK_PERIODIC = ["a"]
    (message,) = checks.check_settings()
    assert (message.id, "a dict of names" in message.msg) == ("background_task.E001", True)


# -- admin -----------------------------------------------------------------------------------------


@pytest.fixture
def page(client):
    client.force_login(User.objects.create_superuser("admin", password="admin"))
    return client


def act(page, action):
    chosen = list(Schedule.objects.values_list("pk", flat=True))
    data = {"action": action, "_selected_action": chosen}
    return page.post(reverse(CHANGELIST), data, follow=True).content.decode()


def test_admin_shows_the_rule_in_words_and_the_next_times(seen, page):
    html = page.get(reverse(CHANGELIST)).content.decode()
    assert "at 03:30 on Monday through Friday" in html
    assert html.count(" 03:30:00") >= 5
    assert '<td class="field-paused">no</td>' in html  # the sign for it is a red cross
    form = page.get(
        reverse("admin:background_task_schedule_change", args=[Schedule.objects.get().pk])
    )
    assert 'name="rule"' not in form.content.decode()
    assert page.get(reverse("admin:background_task_schedule_add")).status_code == 403


def test_admin_shows_a_rule_that_it_cannot_read(seen, page):
    Schedule.objects.update(rule="moon full")
    html = page.get(reverse(CHANGELIST)).content.decode()
    assert "moon full" in html
    assert "unknown to this version" in html


def test_admin_pauses_and_resumes(seen, page):
    assert "Paused: 1" in act(page, "pause")
    assert "none while it is paused" in page.get(reverse(CHANGELIST)).content.decode()
    Schedule.objects.update(next_tick_at=timezone.now() - timedelta(days=9))
    assert "Resumed: 1" in act(page, "resume")
    row = Schedule.objects.get()
    assert (row.is_paused, instant(row.next_tick_at) > timezone.now()) == (False, True)
    assert "Resumed: 0" in act(page, "resume")


def test_admin_runs_now_what_this_process_has(seen, page, registry):
    assert "Put a run of nightly into the queue" in act(page, "run_now")
    assert Task.objects.get().task_name == "shop.report"
    registry._tasks.clear()
    assert "Not run: nightly is not declared by the code of this process" in act(page, "run_now")
    assert Task.objects.count() == 1


@pytest.mark.parametrize("on_conflict", ["raise", "skip"])
def test_admin_runs_now_nothing_that_waits_already(registry, make_ticker, page, on_conflict):
    unique = registry.background(name="shop.only", unique=True, on_conflict=on_conflict)
    periodic("30 3 * * *", name="only")(unique(lambda: None))
    make_ticker().read(timezone.now())
    assert "Put a run of only into the queue" in act(page, "run_now")
    said = act(page, "run_now")
    assert "Not run: only" in said
    assert "Put a run" not in said
    assert Task.objects.count() == 1


def test_admin_without_permission_to_change_has_no_actions(seen, page, client):
    from django.contrib.auth.models import Permission

    reader = User.objects.create_user("reader", password="reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_schedule"))
    client.force_login(reader)
    act(client, "pause")
    assert not Schedule.objects.get().is_paused
