"""Charts as values."""

import math
import re
from datetime import timedelta

import pytest

from background_task.dashboard import chart, words
from background_task.dashboard.chart import HEIGHT, LOWEST_BAR, WIDTH, Series
from background_task.dashboard.period import HOUR, Timeline
from tests.dashboard.values import NOW

FOUR = Timeline.until(NOW, span=timedelta(minutes=3), step=timedelta(minutes=1))


def bars(*series):
    return chart.bars("ended", "Ended", series, FOUR, HOUR, "Nothing ended.")


def lines(*series, are_durations=False):
    return chart.lines("wait", "Wait", series, FOUR, HOUR, "No times.", are_durations=are_durations)


def boxes(path):
    """Left, top, width and height of each bar."""
    found = re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)h-\3z", path)
    assert "".join(f"M{x} {y}h{w}v{h}h-{w}z" for x, y, w, h in found) == path
    return [tuple(map(float, each)) for each in found]


def test_bars_are_piled_up_in_the_order_of_the_series():
    made = bars(Series("good", "good", [0, 4, 2, 0]), Series("bad", "bad", [0, 0, 2, 0]))

    good, bad = (boxes(shape.path) for shape in made.shapes)

    assert good == [(275, 0, 200, 120), (525, 60, 200, 60)]
    assert bad == [(525, 0, 200, 60)]
    assert [tick.text for tick in made.ys] == ["4", "3", "2", "1", "0"]
    assert [tick.place for tick in made.ys] == ["0", "30", "60", "90", "120"]


def test_bar_of_a_few_among_many_is_seen_and_stays_inside():
    made = bars(Series("good", "good", [10_000, 0, 0, 0]), Series("bad", "bad", [1, 0, 0, 0]))

    ((_, top, _, height),) = boxes(made.shapes[1].path)

    assert top >= 0
    assert height == LOWEST_BAR


def test_bars_have_their_numbers_as_a_table_and_a_sentence():
    made = bars(Series("good", "good", [0, 4, 2, 0], "6"), Series("bad", "bad", [0, 0, 2, 0], "2"))

    assert made.headers == ["Time", "good", "bad"]
    assert made.rows == [
        ["12:27", "0", "0"],
        ["12:28", "4", "0"],
        ["12:29", "2", "2"],
        ["12:30", "0", "0"],
    ]
    assert made.summary == "Ended, the last hour; good 6, bad 2; most at 12:28: 4"


@pytest.mark.parametrize(
    "made",
    [bars(Series("a", "a", [0] * 4)), lines(Series("a", "a", [None] * 4)), bars(), lines()],
    ids=["zeros", "gaps", "no bars", "no lines"],
)
def test_empty_chart_says_so_and_draws_nothing(made):
    assert made.empty
    assert made.empty in made.summary
    assert (made.shapes, made.ys, made.rows) == ([], [], [])


def test_lines_are_broken_where_there_is_nothing():
    made = lines(Series("a", "a", [1, 2, None, 4]))

    assert made.shapes[0].path == "M125 90L375 60M875 0h0"
    assert made.rows[2] == ["12:29", words.NOTHING]


def test_line_of_one_value_is_a_dot():
    assert chart.line_path([None, 3, None], 3) == f"M{WIDTH / 2:g} 0h0"


def test_line_of_zeros_is_at_the_bottom():
    made = lines(Series("a", "a", [0, 0, 0, 0]))

    assert not made.empty
    assert made.shapes[0].path == "M125 120L375 120L625 120L875 120"


def test_axis_of_durations_has_steps_of_clocks():
    made = lines(Series("p95", "p95", [None, 1.5, 100, 3]), are_durations=True)

    assert [tick.text for tick in made.ys] == ["2 min", "1.5 min", "1 min", "30 s", "0"]
    assert made.rows[1] == ["12:28", "1.5 s"]
    assert made.summary == "Wait, the last hour; highest: 1 min 40 s"


@pytest.mark.parametrize("highest", [1e-9, 0.003, 1, 3, 7.5, 99, 1e6, 1e12, 1e18, 1e300])
@pytest.mark.parametrize("step_above", [chart.count_step, chart.duration_step])
def test_scale_holds_the_highest_value_with_few_marks(highest, step_above):
    step, top = chart.scale(highest, step_above)

    assert math.isfinite(top)
    assert step > 0
    assert top >= highest * (1 - 1e-9)
    assert 1 <= round(top / step) <= chart.MOST_STEPS


@pytest.mark.parametrize("value", [1, 10**6, 10**18, 10**40])
def test_chart_of_any_value_has_only_plain_numbers(value):
    for made in (bars(Series("a", "a", [value, 0, 1, 0])), lines(Series("a", "a", [value] * 4))):
        numbers = [shape.path for shape in made.shapes] + [tick.place for tick in made.ys]
        assert not re.search(r"nan|inf|e", " ".join(numbers), re.IGNORECASE)
        for number in re.findall(r"[\d.]+", " ".join(numbers)):
            assert 0 <= float(number) <= WIDTH
        assert float(made.ys[-1].place) == HEIGHT


def test_chart_of_no_highest_value_has_a_scale():
    assert chart.scale(0, chart.count_step) == (1.0, 1.0)


def test_marks_below_are_at_round_times_and_every_second_one_is_minor():
    timeline = Timeline.until(NOW, span=HOUR.span, step=HOUR.step)
    made = chart.bars("a", "A", [Series("a", "a", [1] * 61)], timeline, HOUR, "")

    assert [(tick.text, tick.is_minor) for tick in made.xs] == [
        *(("11:40", False), ("11:50", True), ("12:00", False), ("12:10", True), ("12:20", False))
    ]
