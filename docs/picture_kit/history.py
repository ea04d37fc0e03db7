"""The week before the pictures, which nobody wants to wait for: made up, and only added up.

What the workers did in the last minutes is real.
"""

import math
import random
from datetime import timedelta

from background_task.models import QueueSample, Rollup
from background_task.rollup import Tally

MINUTE, HOUR = 60, 3600
#: Runs a minute at noon, seconds of a run, the share that fails, and with what.
FUNCTIONS = {
    ("shop.tasks.reserve_stock", None): (60, 0.05, 0, None),
    ("shop.tasks.score_for_fraud", None): (60, 0.3, 0.02, "builtins.ValueError"),
    ("billing.tasks.charge_card", None): (60, 0.3, 0.05, "billing.tasks.CardDeclinedError"),
    ("billing.tasks.write_invoice", "documents"): (58, 0.5, 0, None),
    ("shop.tasks.call_courier", None): (55, 0.4, 0.03, "builtins.TimeoutError"),
    ("shop.tasks.send_receipt", "mail"): (55, 0.15, 0.01, "builtins.ConnectionRefusedError"),
    ("shop.tasks.update_search_index", None): (80, 0.08, 0, None),
    ("media.tasks.resize_photo", "media"): (60, 0.35, 0.01, "builtins.OSError"),
    ("media.tasks.scan_upload", "media"): (12, 0.6, 0, None),
    ("media.tasks.transcode_video", "media"): (0.3, 40, 0, None),
    ("shop.tasks.send_welcome", "mail"): (8, 0.1, 0, None),
    ("shop.tasks.remind_of_basket", "mail"): (6, 0.1, 0, None),
    ("shop.tasks.recompute_bestsellers", None): (1, 3, 0, None),
    ("billing.tasks.book_payment", None): (12, 0.05, 0, None),
    ("billing.tasks.fetch_exchange_rates", None): (2, 0.4, 0.1, "builtins.ConnectionResetError"),
}


def make_up(now):
    """Add the sums of a week that ends with this minute."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    minute = now.replace(second=0, microsecond=0)
    # Minutes for the last hour and what has gone of this one, hours for the rest.
    first_minute = hour - timedelta(hours=1)
    spans = [(first_minute - timedelta(hours=back), HOUR) for back in range(1, 24 * 7)]
    minutes = int((minute - first_minute).total_seconds() // MINUTE) + 1
    spans += [(first_minute + timedelta(minutes=past), MINUTE) for past in range(minutes)]
    Rollup.objects.bulk_create(
        rollup(at, seconds, function, queue, bustle(at, now))
        for at, seconds in spans
        for function, queue in FUNCTIONS
    )
    QueueSample.objects.bulk_create(
        sample(
            minute - timedelta(minutes=back),
            queue,
            base * bustle(minute - timedelta(minutes=back), now),
        )
        for back in range(1, 24 * 60)
        for queue, base in [(None, 8), ("mail", 4), ("media", 14), ("documents", 6)]
    )


def bustle(at, now):
    """Return how busy the shop is at a time, from 0.1 to 1.3: it sleeps half a day from now."""
    hours = (now - at).total_seconds() / HOUR
    return (0.65 + 0.5 * math.cos(2 * math.pi * hours / 24)) * random.uniform(0.9, 1.1)


def rollup(at, seconds, function, queue, bustle):
    """Return what a function did in a minute or an hour."""
    a_minute, duration, share, error = FUNCTIONS[function, queue]
    runs = round(a_minute * bustle * seconds / MINUTE)
    failed = sum(random.random() < share for _ in range(min(runs, 400))) * max(1, runs // 400)
    tally = Tally(succeeded=runs - failed, failed=failed // 2, retried=failed - failed // 2)
    for _ in range(min(runs, 200)):
        tally.runs.add(duration * random.lognormvariate(0, 0.5))
        tally.waits.add(0.04 * random.lognormvariate(0, 1.2))
    if failed:
        tally.errors[error] = failed
    counted = {name: getattr(tally, name) for name in ("succeeded", "failed", "retried")}
    return Rollup(
        at=at,
        span=seconds,
        task_name=function,
        queue=queue,
        waits=tally.waits.to_text(),
        runs=tally.runs.to_text(),
        errors=tally.errors_text(),
        **counted,
    )


def sample(at, queue, usual):
    """Return how long a queue was at a minute; now and then there is a rush."""
    is_rush = (at.hour * 60 + at.minute) % 95 < 12
    due = int(usual * random.lognormvariate(0, 0.4) * (4 if is_rush else 1))
    return QueueSample(
        at=at,
        span=MINUTE,
        queue=queue,
        due=due,
        running=min(due, 6),
        oldest_seconds=due * 0.3 if due else None,
    )
