"""What people have to know before anything else."""

from datetime import timedelta

from background_task.dashboard.alert import ERROR, INFO, START, WARNING, alerts
from background_task.dashboard.live import Crew
from background_task.models import Worker
from background_task.store.depth import QueueDepth
from background_task.store.pause import Paused
from tests.dashboard.values import NOW, ago

LEASE = timedelta(seconds=60)


def found(*depths, crews=(), paused=(), last_seen=None):
    return alerts(depths, crews, paused, last_seen=last_seen, lease=LEASE, now=NOW)


def due(queue=None, *, number=1, since=timedelta(hours=3), is_more=False):
    return QueueDepth(queue, due=number, oldest_due_at=NOW - since, is_more=is_more)


def crew(state="alive", queues="", heard_at=NOW):
    return Crew(Worker(name="w", queues=queues), state, heard_at, heard_at, (), 0)


def test_nothing_due_and_nobody_there_is_no_alert():
    assert found() == found(QueueDepth("mail", later=5)) == []


def test_tasks_that_have_just_become_due_wait_for_a_lease_before_it_is_said():
    assert found(due(since=LEASE)) == []
    assert len(found(due(since=LEASE + timedelta(seconds=1)))) == 1


def test_no_worker_ever_is_an_error_with_the_command():
    (alert,) = found(due())

    assert (alert.level, alert.title, alert.command) == (ERROR, "No worker is alive", START)
    assert alert.text == (
        "1 task is due, the oldest for 3 h, and no worker has ever been seen. Start one:"
    )


def test_no_worker_for_hours_says_since_when_and_how_many_wait():
    (alert,) = found(
        due(number=10_000, is_more=True), due("mail", number=2), last_seen=ago(minutes=200)
    )

    assert "10,002+ tasks are due" in alert.text
    assert "no worker has been seen for 3 h 20 min" in alert.text


def test_living_worker_is_no_alert():
    assert found(due(since=timedelta(minutes=4)), crews=[crew()]) == []


def test_tasks_that_a_living_worker_leaves_waiting_are_a_warning():
    crews = [crew(queues="mail")]

    (alert,) = found(due("mail", since=timedelta(minutes=12)), crews=crews)

    assert (alert.level, alert.title) == (WARNING, "Tasks wait for long")
    assert "in queue mail waits for 12 min." in alert.text
    assert found(due("mail", since=timedelta(minutes=5)), crews=crews) == []
    for paused in (Paused("queue", "mail", NOW), Paused("function", "f", NOW)):
        (alert,) = found(due("mail"), crews=crews, paused=[paused])
        assert alert.level == INFO


def test_queue_that_nobody_serves_is_a_warning_with_the_command():
    mail = due("mail", since=timedelta(0))
    (alert,) = found(due("slow reports"), mail, crews=[crew(queues="mail")])

    assert alert.level == WARNING
    assert alert.command == f"{START} --queue 'slow reports'"
    assert alert.text.startswith("slow reports. ")


def test_unnamed_queue_that_nobody_serves_needs_a_worker_of_all():
    (alert,) = found(due(), due("slow"), crews=[crew(queues="mail")])

    assert alert.command == START
    assert "(unnamed), slow" in alert.text


def test_queue_that_is_paused_is_not_said_to_lack_a_worker():
    paused = [Paused("queue", "slow", NOW), Paused("queue", None, NOW)]

    (alert,) = found(due("slow"), due(), crews=[crew(queues="mail")], paused=paused)

    assert (alert.level, alert.title) == (INFO, "Some of it is paused")
    assert "queue 'slow', the unnamed queue" in alert.text


def test_pause_that_holds_nothing_up_is_not_said():
    mail = due("mail", since=timedelta(0))
    assert found(mail, crews=[crew()], paused=[Paused("queue", "slow", NOW)]) == []
    assert found(crews=[crew()], paused=[Paused("function", "f", NOW)]) == []


def test_silent_worker_is_a_warning():
    (alert,) = found(crews=[crew(), crew("silent", heard_at=ago(seconds=150))])

    assert (alert.level, alert.title) == (WARNING, "A worker has gone silent")
    assert "w (2 min 30 s ago)" in alert.text


def test_last_worker_that_has_gone_silent_comes_with_the_command_to_start_another():
    """What it held is not due, so no other banner tells that nobody will run it."""
    (alert,) = found(crews=[crew("silent")])
    error, warning = found(due(), crews=[crew("silent")], last_seen=NOW)

    assert (alert.level, alert.command) == (WARNING, START)
    assert alert.text.endswith("and none is there. Start one:")
    assert (error.command, warning.command) == (START, "")


def test_many_names_are_cut_off_and_the_worst_comes_first():
    silent = [crew("silent")] * 7

    error, warning = found(due(), crews=silent, last_seen=NOW)

    assert (error.level, warning.title) == (ERROR, "7 workers are silent")
    assert "and 2 more" in warning.text
