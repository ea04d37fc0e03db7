"""Sums over points and samples."""

from collections import Counter
from datetime import timedelta

import pytest

from background_task.dashboard.figures import (
    LONGEST_SECONDS,
    TallyRow,
    add_up,
    chosen,
    commonest,
    levels,
    percentile,
    percentiles,
    ranked,
    summed,
)
from background_task.dashboard.period import Timeline
from background_task.rollup import Histogram
from tests.dashboard.values import NOW, ago, point, sample, tally, times

MINUTES = Timeline.until(NOW, span=timedelta(minutes=3), step=timedelta(minutes=1))


def test_add_up_nothing_is_empty():
    figures = add_up([], MINUTES)

    assert figures.is_empty
    assert [piece.ended for piece in figures.pieces] == [0, 0, 0, 0]
    assert (figures.functions, figures.queues, figures.failures) == ({}, {}, {})


def test_add_up_counts_each_point_once_in_each_sum():
    figures = add_up(
        [
            point(NOW, succeeded=3, runs=[1, 1, 2]),
            point(ago(seconds=25), "other", "slow", failed=1, errors={"a.B": 1}, runs=[4]),
            point(ago(minutes=3), queue="slow", retried=2, errors={"a.B": 1, "c.D": 1}),
        ],
        MINUTES,
    )

    assert not figures.is_empty
    assert [piece.ended for piece in figures.pieces] == [0, 0, 1, 3]
    assert (figures.whole.succeeded, figures.whole.failed, figures.whole.retried) == (3, 1, 2)
    assert figures.whole.runs.total == 4
    assert {name: each.ended for name, each in figures.functions.items()} == {
        "shop.tasks.send": 3,
        "other": 1,
    }
    assert figures.functions["shop.tasks.send"].retried == 2
    assert {name: each.ended for name, each in figures.queues.items()} == {None: 3, "slow": 1}
    assert figures.queues["slow"].retried == 2


def test_add_up_takes_the_empty_name_for_the_unnamed_queue():
    figures = add_up([point(NOW, queue="", succeeded=1), point(NOW, succeeded=1)], MINUTES)

    assert figures.queues.keys() == {None}


def test_add_up_leaves_out_what_is_before_the_beginning():
    figures = add_up([point(MINUTES.start - timedelta(hours=1), succeeded=9)], MINUTES)

    assert figures.is_empty


def test_add_up_tells_whose_runs_an_exception_ended_and_when_last():
    figures = add_up(
        [
            point(ago(minutes=2), "a", failed=1, errors={"x.Y": 2}),
            point(ago(minutes=1), "b", failed=1, errors={"x.Y": 5}),
            point(ago(minutes=1), "b", failed=1, errors={"z.Z": 1}),
        ],
        MINUTES,
    )

    first, second = commonest(figures.failures)

    assert (first.name, first.runs, first.last_at) == ("x.Y", 7, ago(minutes=1))
    assert first.functions == Counter(a=2, b=5)
    assert second.name == "z.Z"


def test_chosen_points_are_of_the_function_and_the_queue():
    points = [point(NOW, "a", "q"), point(NOW, "b", "q"), point(NOW, "a", "")]

    def found(function, is_in_queue):
        return chosen(points, function=function, is_in_queue=is_in_queue)

    assert found(None, lambda queue: True) == points
    assert found("a", lambda queue: True) == [points[0], points[2]]
    assert found("a", lambda queue: queue is None) == [points[2]]


def test_percentile_without_times_is_none():
    assert percentile(Histogram(), 95) is None


def test_percentile_of_one_time_is_that_time_within_a_fifth():
    assert percentile(times(10), 50) == percentile(times(10), 99)
    assert 10 <= percentile(times(10), 50) < 12


@pytest.mark.parametrize("bucket", [400, 5000, 10**9])
def test_percentile_of_a_damaged_row_is_finite(bucket):
    assert percentile(Histogram(Counter({bucket: 1})), 50) == LONGEST_SECONDS


def test_percentiles_have_gaps_where_nothing_ran():
    lines = percentiles([tally(), tally(runs=[1] * 99 + [100])], "runs")

    assert {percent: line[0] for percent, line in lines.items()} == {50: None, 95: None, 99: None}
    assert lines[50][1] == lines[99][1] < 1.2
    assert percentile(times(*[1] * 99, 100), 99.5) >= 100


def test_ranked_functions_have_exact_numbers():
    tallies = {
        "a": tally(succeeded=3, failed=1, retried=5, runs=[1], waits=[2]),
        "b": tally(succeeded=10),
        "c": tally(failed=4),
    }

    rows = ranked(tallies, "ended")

    assert [row.name for row in rows] == ["b", "a", "c"]
    assert (rows[1].ended, rows[1].failed, rows[1].failed_share, rows[1].retried) == (4, 1, 0.25, 5)
    assert rows[0].run_50 is None
    assert rows[1].run_95 == percentile(times(1), 95)
    assert rows[1].wait_95 == percentile(times(2), 95)


@pytest.mark.parametrize(
    ("order", "names"),
    [("failed", "cab"), ("retried", "abc"), ("run_95", "abc"), ("name", "abc"), ("no such", "bac")],
)
def test_ranked_functions_are_sorted_as_asked(order, names):
    tallies = {
        "a": tally(succeeded=3, failed=1, retried=5, runs=[1]),
        "b": tally(succeeded=10),
        "c": tally(failed=4),
    }
    assert [row.name for row in ranked(tallies, order)] == list(names)


def test_row_of_nothing_has_no_share_and_no_times():
    row = TallyRow.of(None, tally())

    assert (row.ended, row.failed_share, row.run_50, row.wait_95) == (0, 0.0, None, None)


def test_levels_are_the_highest_of_each_piece_with_gaps_where_nobody_looked():
    lines = levels(
        [
            sample(ago(minutes=2, seconds=20), due=1),
            sample(ago(minutes=2, seconds=10), due=7),
            sample(NOW, due=2),
            sample(NOW, "mail", due=9),
        ],
        MINUTES,
    )

    assert [(line.name, line.values, line.highest) for line in lines] == [
        ("mail", [None, 0, None, 9], 9),
        (None, [None, 7, None, 2], 7),
    ]
    assert summed(lines) == [None, 7, None, 11]


def test_levels_of_no_samples_are_none():
    assert levels([], MINUTES) == []
    assert levels([sample(MINUTES.start - timedelta(days=1), due=3)], MINUTES) == []
