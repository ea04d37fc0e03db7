"""``manage.py background_task_doctor``: its output, its JSON, its exit code."""

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

import background_task
from background_task import doctor
from background_task.doctor import ADVICE, PROBLEM, Finding, Report
from background_task.models import Task
from tests.docs.pages import ROOT, table_with
from tests.migrations.old import ALIAS
from tests.process import django_process

PAGE = ROOT / "docs" / "doctor.md"
#: Django's own words for a database that is not there.
NOWHERE = {"NAME": "/nowhere/at/all", "HOST": "127.0.0.1", "PORT": 1}


def run(*arguments):
    """Run the command here; its exit code and its output."""
    output, code = StringIO(), 0
    try:
        call_command("background_task_doctor", *arguments, stdout=output, no_color=True)
    except SystemExit as end:
        code = end.code
    return code, output.getvalue()


@pytest.fixture
def healthy(scratch):
    """A database in order; SQLite's new files are not in WAL mode yet."""
    if scratch.vendor == "sqlite":
        with scratch.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")
    return scratch


def test_examine_a_database_in_order_exits_with_0(healthy):
    code, output = run("--database", ALIAS)
    assert code == 0, output
    assert f"{healthy.vendor} '{ALIAS}'" in output
    assert "0 workers alive, 0 tasks running or in hand, 0 due" in output
    assert "PROBLEM" not in output
    assert "Nothing has to be mended." in output


def test_examine_an_ill_database_exits_with_1_and_says_what_why_and_the_remedy(healthy):
    Task.objects.using(ALIAS).create(task_name="nobody.has.it", run_at=timezone.now())
    code, output = run("--database", ALIAS)
    assert code == 1
    assert "PROBLEM function-unknown" in output
    assert "Due tasks name functions that this project does not have: nobody.has.it." in output
    assert "Why it matters: Workers leave such rows alone" in output
    assert "Remedy: Bring the function back" in output
    assert "To be mended: 1" in output
    assert "1 due, the oldest since" in output


def test_examine_with_json_gives_what_programs_need(healthy):
    moment = timezone.now()
    Task.objects.using(ALIAS).create(task_name="nobody.has.it", run_at=moment)
    code, output = run("--database", ALIAS, "--json")
    report = json.loads(output)
    assert code == 1
    assert report["healthy"] is False
    assert report["facts"]["oldest_due_at"] == moment.isoformat()
    assert report["facts"]["due_rows"] == 1
    assert {finding["id"]: finding["level"] for finding in report["findings"]} == {
        "function-unknown": PROBLEM,
        "no-worker": ADVICE,
    }


def test_examine_changes_nothing(healthy):
    Task.objects.using(ALIAS).create(task_name="x", run_at=timezone.now(), locked_by="4711")
    before = list(Task.objects.using(ALIAS).values())
    sent = []

    def watch(execute, sql, params, many, context):
        sent.append(sql)
        return execute(sql, params, many, context)

    with healthy.execute_wrapper(watch):
        run("--database", ALIAS)
    assert list(Task.objects.using(ALIAS).values()) == before
    allowed = ("SELECT", "WITH", "SHOW", "PRAGMA")
    assert [sql for sql in sent if not sql.lstrip().upper().startswith(allowed)] == []


def test_examine_an_unknown_alias_is_refused():
    with pytest.raises(CommandError, match="DATABASES has no such alias, but default"):
        run("--database", "nix")


@pytest.mark.django_db(transaction=True)
def test_examine_a_database_that_is_down_exits_with_1_and_says_so(settings):
    down = {**settings.DATABASES["default"], **NOWHERE}
    databases = {"DATABASES": {"default": {k: v for k, v in down.items() if k != "TEST"}}}
    with django_process("background_task_doctor", settings=databases) as process:
        assert process.wait() == 1
    assert "PROBLEM database-down" in process.output
    assert "The database 'default' cannot be used: " in process.output
    assert "Traceback" not in process.output


def test_report_with_advice_only_is_healthy():
    report = Report("default", "sqlite", [Finding("x", "a", "b", "c", level=ADVICE)])
    assert report.is_healthy
    report.findings.append(Finding("y", "a", "b", "c"))
    assert not report.is_healthy


def test_read_table_of_findings_has_each_finding_and_its_level():
    source = "".join(
        path.read_text(encoding="utf-8") for path in Path(doctor.__file__).parent.glob("*.py")
    )
    ids = set(re.findall(r'Finding\(\s*"([a-z-]+)"', source))
    shown = {
        row["Finding"].strip("`"): row["Level"]
        for row in table_with(PAGE, "Finding", "Level", "Means")
    }
    assert set(shown) == ids
    assert set(shown.values()) == {"problem", "advice", "problem or advice"}


def test_read_list_of_keys_has_each_key_of_the_json(healthy):
    _, output = run("--database", ALIAS, "--json")
    report = json.loads(output)
    keys = {*report, *(f"facts.{name}" for name in report["facts"])}
    keys |= {f"findings.{name}" for name in report["findings"][0]}
    assert {row["Key"].strip("`") for row in table_with(PAGE, "Key", "Is")} == keys


def test_version_of_the_report_is_that_of_the_package(healthy):
    assert json.loads(run("--database", ALIAS, "--json")[1])["version"] == (
        background_task.__version__
    )
