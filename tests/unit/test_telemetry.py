"""Who is told of events."""

import threading

from background_task import telemetry


class Between:
    """While a place behind it is looked for, another thread leaves the place before it."""

    def __init__(self, rival):
        self.thread = threading.Thread(target=telemetry.unsubscribe, args=[rival])

    def __call__(self, name, fields):
        pass

    def __eq__(self, other):
        if self.thread.ident is None:
            self.thread.start()
            self.thread.join(0.1)  # it may have to wait for the one that looks
        return self is other

    __hash__ = None


def test_unsubscribe_in_two_threads_at_once_takes_away_these_two():
    told = []

    def first(name, fields):
        told.append("first")

    def leaving(name, fields):
        told.append("leaving")

    def last(name, fields):
        told.append("last")

    between = Between(first)
    before = list(telemetry._subscribers)
    for subscriber in (first, between, leaving, last):
        telemetry.subscribe(subscriber)
    try:
        telemetry.unsubscribe(leaving)
        between.thread.join()
        telemetry.event("anything")
    finally:
        telemetry._subscribers[:] = before
        telemetry._routes.clear()
    assert told == ["last"]
