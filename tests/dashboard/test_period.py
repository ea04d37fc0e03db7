"""Which time the page is about, and how it is cut."""

from datetime import datetime, timedelta, timezone as zones

import pytest
from django.utils import timezone

from background_task.dashboard.period import DAY, HOUR, PERIODS, WEEK, Timeline, period_called
from tests.dashboard.values import NOW, ago


@pytest.mark.parametrize("name", [None, "", "2h", "1H", "<script>", "1h' OR 1=1"])
def test_period_of_any_other_name_is_an_hour(name):
    assert period_called(name) is HOUR


def test_period_is_found_by_its_name():
    assert [period_called(name) for name in ("1h", "24h", "7d")] == [HOUR, DAY, WEEK]


@pytest.mark.parametrize("period", PERIODS, ids=lambda period: period.name)
def test_timeline_reaches_back_for_the_period_and_ends_with_now(period):
    timeline = Timeline.until(NOW, span=period.span, step=period.step)

    assert timeline.start <= NOW - period.span < timeline.start + period.step
    assert timeline.end - period.step <= NOW < timeline.end
    assert len(timeline.starts) == timeline.number == period.span // period.step + 1
    assert int(timeline.start.timestamp()) % period.step.total_seconds() == 0


def test_place_of_a_time_is_the_piece_it_is_in():
    timeline = Timeline.until(NOW, span=timedelta(hours=1), step=timedelta(minutes=1))

    assert timeline.place_of(NOW) == 60
    assert timeline.place_of(ago(minutes=1)) == 59
    assert timeline.place_of(timeline.start) == 0
    assert timeline.place_of(timeline.start - timedelta(seconds=1)) is None
    assert timeline.place_of(NOW + timedelta(hours=5)) == 60


def test_ticks_are_at_round_times():
    timeline = Timeline.until(NOW, span=HOUR.span, step=HOUR.step)

    ticks = timeline.ticks(HOUR.tick_minutes)

    assert [f"{at:%H:%M}" for _, at in ticks] == [
        *("11:30", "11:40", "11:50", "12:00", "12:10", "12:20", "12:30")
    ]
    assert [round(place * 61) for place, _ in ticks] == [0, 10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu", "Europe/Berlin"])
def test_ticks_of_a_week_are_midnights_here_also_when_the_clocks_change(zone):
    now = datetime(2026, 3, 31, 12, tzinfo=zones.utc)  # two days after Berlin's change
    with timezone.override(zone):
        timeline = Timeline.until(now, span=WEEK.span, step=WEEK.step)
        ticks = [timezone.localtime(at) for _, at in timeline.ticks(WEEK.tick_minutes)]
    assert [f"{at:%d %H:%M}" for at in ticks] == [
        f"{day} 00:00" for day in (25, 26, 27, 28, 29, 30, 31)
    ]
