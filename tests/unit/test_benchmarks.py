"""The parts of the benchmarks that need no server and no other queue."""

import json
from xml.etree import ElementTree

import pytest

from benchmarks import floor
from benchmarks.hosts import Files
from benchmarks.peers import NAMES, load
from benchmarks.peers.base import Table
from benchmarks.plan import FULL, KINDS, QUICK, jobs
from benchmarks.report import write_report
from benchmarks.report.goals import goals
from benchmarks.report.svg import Axis, Bar, Line, bars, lines, spans
from benchmarks.results import Cell, Results, percentile

DATABASES = ("postgresql", "sqlite", "mariadb", "redis")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def files():
    host = Files()
    yield host
    host.close()


def line(cell, run="2026-01-01", **found):
    return json.dumps({"run": run, "cell": vars(cell), "round": 1, "found": found})


def header(run="2026-01-01"):
    told = {
        "rounds": 3,
        "commit": "abc",
        "machine": "m",
        "load": 0.1,
        "servers": {},
        "versions": {},
    }
    return json.dumps({"run": run, **told})


def drained(peer, rate, config="best", database="postgresql"):
    return line(Cell("drain", peer, database, config), rate=rate)


def all_jobs(scale, **differing):
    chosen = {"only": KINDS, "databases": DATABASES, "with_floor": True, **differing}
    return list(jobs(scale, [load(name) for name in NAMES], **chosen))


def test_read_results_of_two_runs_keeps_the_latest_run_of_each_cell():
    cell, other = Cell("drain", "ours", "sqlite"), Cell("drain", "huey", "sqlite")
    results = Results(
        [line(cell, "1", rate=5.0), line(other, "1", rate=7.0), line(cell, "2", rate=9.0)]
    )
    assert results.median(cell) == 9.0
    assert results.median(other) == 7.0


def test_spread_of_rounds_is_median_and_range():
    cell = Cell("drain", "ours", "sqlite")
    spread = Results([line(cell, rate=rate) for rate in (3.0, 1.0, 10.0)]).spread(cell)
    assert (spread.median, spread.low, spread.high, spread.rounds) == (3.0, 1.0, 10.0, 3)


def test_spread_of_what_was_not_measured_is_none():
    assert Results([]).spread(Cell("drain", "ours", "sqlite")) is None


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (95, 95), (100, 100), (0, 1)])
def test_percentile_of_a_hundred_values(percent, expected):
    assert percentile(range(1, 101), percent) == expected


def test_jobs_of_full_scale_name_each_cell_once():
    cells = [job.cell for job in all_jobs(FULL)]
    assert len(cells) == len(set(cells))
    assert {cell.what for cell in cells} == set(KINDS)


def test_jobs_of_full_scale_measure_this_library_in_each_round_where_there_is_a_goal():
    measured = [job for job in all_jobs(FULL) if job.cell.peer == "ours"]
    assert {job.rounds for job in measured if job.cell.what in ("drain", "latency")} == {3}


def test_jobs_of_quick_scale_need_one_round():
    assert {job.rounds for job in all_jobs(QUICK)} == {1}


def test_jobs_of_one_database_leave_out_the_others():
    cells = [job.cell for job in all_jobs(FULL, databases=("sqlite",))]
    assert {cell.database for cell in cells} == {"sqlite"}


@pytest.mark.parametrize("name", NAMES)
def test_adapter_says_what_the_harness_and_the_report_need(name):
    peer = load(name)
    assert peer.name == name
    assert peer.default
    assert peer.best
    assert all(peer.command(config) for config in ("default", "best", *peer.variants))


def test_clone_rows_gives_each_its_own_key_and_uuid(files):
    place = files.create("clone")
    with files.connect(place) as connection:
        connection.execute("CREATE TABLE task (id integer PRIMARY KEY, uid text, state text)")
        connection.execute("CREATE TABLE done (id integer PRIMARY KEY, uid text, state text)")
        connection.execute("INSERT INTO task (uid, state) VALUES ('a', 'ready')")
    table = Table("task", uuids=("uid",), finished="done", finish={"state": "'done'"})
    files.clone(place, table, 9)
    files.clone(place, table, 3, finished=True)
    with files.connect(place) as connection:
        assert connection.execute("SELECT count(DISTINCT uid) FROM task").fetchone() == (10,)
        assert connection.execute("SELECT DISTINCT state FROM task").fetchone() == ("ready",)
        rows = connection.execute("SELECT count(DISTINCT uid), max(state) FROM done").fetchone()
    assert rows == (3, "done")


@pytest.mark.parametrize("batch", floor.BATCHES.values())
def test_drain_floor_moves_every_row(files, batch):
    place = files.create("floor")
    with files.connect(place) as connection:
        floor.make(connection, "sqlite", files.numbers(120))
    client = floor.SQLiteFloor(place.name)
    floor.drain(client, batch, seconds=60)
    client.connection.close()
    with files.connect(place) as connection:
        assert connection.execute("SELECT count(*) FROM floor").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM floor_done").fetchone() == (120,)


def test_goals_compare_with_the_best_peer_and_not_with_celery():
    results = Results(
        [
            drained("ours", 9000.0),
            drained("huey", 1000.0, "default"),
            drained("ox", 500.0),
            line(Cell("drain", "celery", "redis"), rate=5000.0),
        ]
    )
    (goal,) = (goal for goal in goals(results) if "best peer" in goal.what)
    assert "huey" in goal.what
    assert (goal.found, goal.is_reached) == ("9 times", False)


@pytest.mark.parametrize(("ours", "is_reached"), [(2500.0, True), (2400.0, False)])
def test_goals_compare_with_a_quarter_of_bare_sql(ours, is_reached):
    results = Results([drained("ours", ours), drained("floor", 10_000.0, "batch-50")])
    (goal,) = (goal for goal in goals(results) if goal.what.endswith("batches of 50"))
    assert goal.is_reached is is_reached


def test_goals_compare_a_backlog_with_the_best_rate_of_a_smaller_one():
    cells = {"1000": 500.0, "10000": 1000.0, "100000": 800.0, "10000 beside 5": 990.0}
    results = Results(
        [
            line(Cell("backlog", "ours", "postgresql", detail=detail), rate=rate)
            for detail, rate in cells.items()
        ]
    )
    found = {goal.what.split(",")[0] + goal.found: goal.is_reached for goal in goals(results)}
    assert list(found.values()) == [True, False, True]


def test_goals_of_nothing_measured_are_none():
    assert goals(Results([])) == []


def test_draw_bars_in_proportion_and_with_names_as_they_are():
    drawing = ElementTree.fromstring(bars("a < b", [Bar("x & y", 10, 9, 10), Bar("z", 5, 5, 5)]))
    wide, narrow = (float(rect.get("width")) for rect in drawing.findall(f"{SVG}rect")[1:])
    assert wide == pytest.approx(narrow * 2, abs=0.2)
    assert {"a < b", "x & y"} <= {text.text for text in drawing.findall(f"{SVG}text")}


def test_draw_spans_and_lines_is_well_formed():
    ElementTree.fromstring(spans("t", [Bar("a", 0.5, 0.5, 20.0)], "ms"))
    drawing = ElementTree.fromstring(
        lines("t", [Line("a", [(1000, 5)], "#000"), Line("b", [(1000, 5), (9999, 6)], "#000")], "r")
    )
    heights = [text.get("y") for text in drawing.findall(f"{SVG}text") if text.text in ("a", "b")]
    assert len(set(heights)) == 2


def test_axis_covers_its_values_with_powers_of_ten():
    axis = Axis.over([3.0, 450.0])
    assert axis.ticks() == [1.0, 10.0, 100.0, 1000.0]
    assert axis.place(1.0, 0, 300) == 0
    assert axis.place(1000.0, 0, 300) == pytest.approx(300)


def test_write_report_shows_figures_goals_plots_and_what_is_missing(tmp_path):
    error = {"run": "2026-01-01", "round": 1, "error": "no `wheel`"}
    lost = json.dumps({**error, "cell": vars(Cell("drain", "ox", "postgresql"))})
    rows = [drained("ours", 9000.0), drained("huey", 1000.0), lost, header()]
    (tmp_path / "results.jsonl").write_text("\n".join(rows))
    write_report(tmp_path / "results.jsonl", tmp_path / "docs")
    page = (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert "| 9 times | **no** |" in page
    assert "| huey | - | 1,000 |" in page
    assert "no 'wheel'" in page
    assert "](benchmarks-drain-postgresql.svg)" in page
    assert (tmp_path / "docs" / "benchmarks-drain-postgresql.svg").is_file()
