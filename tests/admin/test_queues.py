"""The page of all queues, the schedules and the pauses: what they show, and what is logged."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.urls import reverse

from background_task import pause, paused, periodic
from background_task.admin.queue_list import queue_rows
from background_task.models import Pause, Schedule, Task
from background_task.store import Fleet
from background_task.store.schedule import Schedules
from background_task.tasks import tasks
from background_task.worker.periodic import Ticker
from tests.api.conftest import add

pytestmark = pytest.mark.django_db
PAGE = "admin:background_task_queue_changelist"
HOUR, LEASE = timedelta(hours=1), timedelta(seconds=60)
NASTY = "<script>alert(1)</script>\"'"


def worker(name, queues=""):
    Fleet("default").register(name, queues=queues, capacity=1, lease=LEASE)


@pytest.fixture
def shown(store):
    """What is known of each queue, by its name."""

    def shown():
        return {row.name: row for row in queue_rows("default", now=store.now())}

    return shown


def log():
    return list(LogEntry.objects.order_by("pk").values_list("object_repr", "change_message"))


def test_list_has_every_queue_that_anybody_knows_of(store, registry, shown):
    registry.background(name="one", queue="declared")(lambda: None)
    add(queue="waiting")
    add(queue="running", locked_by="w")
    pause(queue="paused")
    worker("a:1:x", "served, weighted:3")
    worker("b:2:y", "all but left-out")
    found = shown()
    ours = {"", "declared", "waiting", "running", "paused", "served", "weighted"}
    assert ours <= set(found)
    assert {"default", "other"} <= set(found)  # those of the backends
    assert not {"weighted:3", "left-out", "all but left-out"} & set(found)
    assert next(iter(found)) == ""


def test_row_says_how_full_a_queue_is_and_who_serves_it(store, shown):
    long_ago = store.now() - HOUR
    add(queue="mail", run_at=long_ago, enqueued_at=long_ago)
    add(queue="mail", run_at=store.now() + HOUR)
    add(queue="mail", locked_by="w")
    for number in range(7):
        worker(f"w:{number}:x", "mail" if number else "")
    row = shown()["mail"]
    assert (row.depth.due, row.depth.later, row.depth.running) == (1, 1, 1)
    assert row.depth.oldest_due_at == long_ago
    assert row.waited.startswith("1 h")
    assert (len(row.workers), row.number_of_workers, row.unlisted_workers) == (5, 7, 2)
    assert row.workers[0] == "w:0:x"
    assert not row.is_unserved


@pytest.mark.parametrize(
    ("queues", "is_paused", "is_due", "expected"),
    [
        ("other", False, True, True),
        ("", False, True, False),
        ("mail:2", False, True, False),
        ("all but mail", False, True, True),
        ("other", True, True, False),
        ("other", False, False, False),
    ],
)
def test_queue_is_unserved_if_tasks_are_due_and_nobody_would_take_them(
    store, shown, queues, is_paused, is_due, expected
):
    add(queue="mail", run_at=store.now() - HOUR if is_due else store.now() + HOUR)
    worker("w:1:x", queues)
    if is_paused:
        pause(queue="mail")
    assert shown()["mail"].is_unserved is expected


def test_page_shows_queues_links_to_their_tasks_and_warns(admin_client):
    add(queue="a b")
    add()
    worker("w:1:x", "other")
    page = admin_client.get(reverse(PAGE)).content.decode()
    assert page.count("Nobody serves this queue, and tasks are due.") == 2
    for query, number in (("queue=a+b", 1), ("queue=%28unnamed%29", 1)):
        url = f"{reverse('admin:background_task_task_changelist')}?{query}"
        assert f'href="{url}"' in page
        assert admin_client.get(url).context["cl"].queryset.count() == number
    assert "Pause queue &#x27;a b&#x27;" in page
    assert "no worker has" not in page


def test_page_says_that_no_worker_is_there_at_all(store, admin_client):
    add(run_at=store.now() - HOUR)
    page = admin_client.get(reverse(PAGE)).content.decode()
    assert "no worker has ever been seen. Start one: python manage.py process_tasks" in page
    assert 'role="alert"' in page


def test_page_pauses_and_resumes_and_logs_it(admin_client):
    add(queue="mail")

    def press(what, queue):
        response = admin_client.post(
            reverse(f"admin:background_task_queue_{what}"), {"queue": queue}
        )
        assert response.url == reverse(PAGE)
        return [str(message) for message in get_messages(response.wsgi_request)][-1]

    assert press("pause", "mail") == "queue 'mail': paused."
    assert press("pause", "mail") == "queue 'mail': is paused already."
    assert press("pause", "") == "the unnamed queue: paused."
    assert [str(each) for each in paused()] == ["queue 'mail'", "the unnamed queue"]
    page = admin_client.get(reverse(PAGE)).content.decode()
    assert page.count("paused since") == 2
    assert press("resume", "mail") == "queue 'mail': resumed."
    assert press("resume", "mail") == "queue 'mail': is not paused."
    assert "use 0 to 190" in press("pause", "q" * 191)
    assert log() == [
        ("queue 'mail'", "Paused."),
        ("the unnamed queue", "Paused."),
        ("queue 'mail'", "Resumed."),
    ]
    assert admin_client.get(reverse("admin:index")).status_code == 200  # it lists what was logged


def test_page_of_somebody_who_may_only_look_has_neither_buttons_nor_links(client):
    user = User.objects.create_user("eve", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_queue"))
    client.force_login(user)
    add(queue="mail")
    page = client.get(reverse(PAGE)).content.decode()
    assert ">mail</th>" in page
    assert "background_task_queue_pause" not in page
    assert 'name="queue"' not in page


def test_page_runs_no_script_of_a_name(admin_client):
    add(queue=NASTY)
    pause(queue=NASTY)
    worker(NASTY, NASTY)
    page = admin_client.get(reverse(PAGE)).content.decode()
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    content = page[page.index('id="content-main"') : page.index("</table>")]
    assert "style=" not in content


def test_page_costs_the_same_for_many_tasks_and_workers(
    admin_client, django_assert_max_num_queries
):
    for number in range(30):
        add(queue="mail")
        worker(f"w:{number}:x", "mail")
    pause(queue="mail")
    with django_assert_max_num_queries(25):
        admin_client.get(reverse(PAGE))


# -- schedules and pauses --------------------------------------------------------------------------


@pytest.fixture
def nightly(registry, store):
    """A schedule that a worker has entered."""
    before = dict(tasks._tasks)
    tasks._tasks.clear()
    periodic(3600, name="nightly")(registry.background(name="nightly")(lambda: None))
    ticker = Ticker(store, registry=dict(tasks._tasks), lease=LEASE)
    ticker.read(store.now())
    yield Schedule.objects.get(name="nightly")
    tasks._tasks.clear()
    tasks._tasks.update(before)


def test_page_of_a_schedule_says_in_words_when_it_runs(admin_client, nightly):
    url = reverse("admin:background_task_schedule_change", args=[nightly.pk])
    page = admin_client.get(url).content.decode()
    times = page[page.index("Next times") :]
    assert times.index(":00:00</span><br>") < times.index("</div>")
    assert times[: times.index("</div>")].count(":00:00") == 5
    assert "every 1 hour" in page or "every hour" in page


def test_actions_of_schedules_are_logged(act, nightly):
    for action in ("pause", "resume", "run_now"):
        act(action, nightly)
    assert log() == [
        ("nightly", "Paused."),
        ("nightly", "Resumed."),
        ("nightly", "Put a run into the queue."),
    ]
    assert Task.objects.get().task_name == "nightly"


def test_resume_of_a_schedule_that_cannot_be_read_says_so(act, nightly):
    Schedules("default").pause(nightly.key)
    Schedule.objects.update(rule="by the moon")
    assert "stored rule 'by the moon' cannot be read" in act("resume", nightly)
    assert Schedule.objects.get().is_paused


def test_resume_in_the_list_of_pauses_is_logged(act):
    pause(queue="mail")
    row = Pause.objects.get()
    assert act("resume", row) == "Resumed: 1"
    assert log() == [("queue 'mail'", "Resumed.")]
