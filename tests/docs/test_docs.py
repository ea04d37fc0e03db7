"""The documentation says what the code does: its blocks run, its tables are complete."""

import re
from pathlib import Path

import pytest
from django.core.management import BaseCommand, load_command_class

from background_task import __version__, cancel, checks
from background_task.backoff import delay_after
from background_task.exceptions import Discard, InvalidTaskError
from background_task.management.commands.process_tasks import Command
from background_task.models import Task, TaskRecord
from background_task.settings import SETTINGS
from background_task.tasks import TaskProxy, tasks
from tests.docs.conftest import SIGNALS
from tests.docs.pages import (
    PAGES,
    ROOT,
    blocks,
    prose,
    run_page,
    table_with,
    tables,
    worker_commands,
)

DOCS = ROOT / "docs"
WITH_CODE = [page for page in PAGES if any(blocks(page, "python"))]
WITH_COMMANDS = [page for page in PAGES if any(worker_commands(page))]
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)

#: Options of other programs that the pages name.
FOREIGN_OPTIONS = {"--database", "--deploy", "--nonblock", "--noreload", "--verbosity"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_run_page_gives_what_it_shows(page):
    run_page(page)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
def test_parse_worker_commands_of_page_is_accepted(page):
    for arguments in worker_commands(page):
        Command().create_parser("manage.py", "process_tasks").parse_args(arguments)


@EACH_PAGE
def test_read_options_of_page_exist(page):
    known = set(FOREIGN_OPTIONS)
    names = ("process_tasks", "purge_tasks", "background_task_schedules", "background_task_pause")
    names += ("queue_depth", "requeue_stale_tasks", "retry_tasks", "cancel_tasks")
    names += ("background_task_import", "background_task_health", "background_task_top")
    for name in names:
        command = load_command_class("background_task", name)
        known |= set(command.create_parser("manage.py", name)._option_string_actions)
    named = set(re.findall(r"`(--[a-z-]+)", prose(page)))
    assert named <= known


def test_read_table_of_options_has_each_option_and_its_default():
    shown = {
        re.match(r"`(--[a-z-]+)", row["Option"])[1]: row["Default"]
        for row in table_with(DOCS / "running.md", "Option", "Default")
    }
    assert list(shown) == [flags[0] for flags, _ in Command.OPTIONS]
    for flags, settings in Command.OPTIONS:
        if "default" in settings:
            assert float(shown[flags[0]]) == settings["default"]


def test_read_table_of_health_has_each_option_and_its_default():
    shown = {
        re.match(r"`(--[a-z-]+)", row["Option"])[1]: row["Default"]
        for row in table_with(DOCS / "monitoring.md", "Option", "Default", "Healthy is")
    }
    command = load_command_class("background_task", "background_task_health")
    common = BaseCommand().create_parser("manage.py", "nothing")._option_string_actions
    parser = command.create_parser("manage.py", "background_task_health")
    own = {n: a for n, a in parser._option_string_actions.items() if n not in common}
    assert list(shown) == list(own)
    for name, action in own.items():
        if isinstance(action.default, int | float) and action.nargs != 0:
            assert float(shown[name]) == action.default


def test_read_table_of_extras_has_each_one():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (section,) = re.findall(r"(?ms)^\[project.optional-dependencies\]$(.+?)^\[", text)
    shown = {
        row["Extra"].strip("`") for row in table_with(DOCS / "installation.md", "Extra", "For")
    }
    assert shown == set(re.findall(r"(?m)^([\w-]+) = ", section))


@EACH_PAGE
def test_read_settings_of_page_exist(page):
    known = {setting.full_name for setting in SETTINGS.values()}
    named = set(re.findall(r"\bBACKGROUND_TASK_[A-Z_]+", page.read_text(encoding="utf-8")))
    assert named - {"BACKGROUND_TASK_"} <= known


def test_read_table_of_settings_is_complete_and_right():
    shown = {
        row["Setting"].strip("`"): (row["Old name"].strip("`"), row["Default"], row["Rule"])
        for row in table_with(DOCS / "settings.md", "Setting", "Old name", "Default", "Rule")
    }
    expected = {
        setting.full_name: (setting.old_name or "", setting.default_text, setting.rule(object()))
        for setting in SETTINGS.values()
    }
    assert shown == expected


def test_read_description_of_settings_has_each_one():
    described = re.findall(
        r"(?m)^`(BACKGROUND_TASK_\w+)`\n: ", (DOCS / "settings.md").read_text(encoding="utf-8")
    )
    assert described == [setting.full_name for setting in SETTINGS.values()]


def test_read_table_of_checks_has_each_check_of_its_level():
    shown = {
        row["Check"].strip("`")
        for row in table_with(DOCS / "settings.md", "Check", "Says", "Remedy")
    }
    package = Path(checks.__file__).parent
    files = [package / "checks.py", package / "backends.py"]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    ids = re.findall(r'id="(background_task\.\w+)"', source)
    assert sorted(shown) == sorted(ids), "each has an id of its own"


@pytest.mark.django_db(transaction=True)
def test_send_each_signal_has_sender_and_arguments_of_the_table():
    seen = {name: set() for name in SIGNALS}

    def receive(signal, sender, **arguments):
        name = next(name for name, value in SIGNALS.items() if value is signal)
        kind = "the exception's class" if issubclass(sender, BaseException) else sender.__name__
        seen[name].add((kind, ", ".join(f"`{argument}`" for argument in arguments)))

    for signal in SIGNALS.values():
        signal.connect(receive)

    @tasks.background(name="docs.behave")
    def behave(error=None):
        if error:
            raise {"retry": ValueError, "fail": InvalidTaskError, "discard": Discard}[error](error)

    for error in (None, "retry", "fail", "discard"):
        behave(error)
        assert tasks.run_next_task()
    cancel(behave("cancel"))
    shown = {
        row["Signal"].strip("`"): {(row["Sender"].strip("`"), row["Arguments"])}
        for row in table_with(DOCS / "signals.md", "Signal", "Sender", "Arguments", "Sent", "In")
    }
    assert shown == seen


def test_read_table_of_waits_is_the_backoff():
    for row in table_with(DOCS / "errors-and-retries.md", "Attempts so far", "Wait in seconds"):
        wait = delay_after(int(row["Attempts so far"])).total_seconds()
        assert wait == int(row["Wait in seconds"])


def test_read_table_of_rules_has_each_reserved_keyword():
    shown = {
        word
        for row in table_with(DOCS / "scheduling.md", "Option", "Rule")
        for word in re.findall(r"`(\w+)`", row["Option"])
    }
    text = " ".join((DOCS / "scheduling.md").read_text(encoding="utf-8").split())
    sentence = re.search(r"These keywords are for the scheduler[^.]*\.", text)[0]
    reserved = set(re.findall(r"`(\w+)`", sentence))
    assert shown - {"name"} == reserved - {"remove_existing_tasks"}
    documented = set(re.findall(r"``([a-z_]+)``", TaskProxy.__call__.__doc__))
    assert documented == reserved


def test_read_constants_for_repeat_are_all_there():
    text = (DOCS / "repeating.md").read_text(encoding="utf-8")
    constants = {f"Task.{name}" for name, value in vars(TaskRecord).items() if name.isupper()}
    assert constants - {"Task.REPEAT_CHOICES"} <= set(re.findall(r"Task\.[A-Z0-9_]+", text))
    assert Task.NEVER == 0


def test_read_migrations_of_the_upgrade_are_those_of_the_app():
    folder = ROOT / "background_task" / "migrations"
    expected = {path.stem for path in folder.glob("0*.py")}
    shown = {row["Migration"].strip("`") for row in table_with(DOCS / "upgrading.md", "Migration")}
    assert shown == expected - {"0001_initial", "0002_auto_20170927_1109"}


@EACH_PAGE
def test_follow_link_to_file_finds_it(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)", prose(page)):
        if "://" not in target:
            assert (page.parent / target).is_file(), target


@EACH_PAGE
def test_follow_link_to_heading_finds_it(page):
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([\w-]+)\)", prose(page)):
        if "://" in target:
            continue
        headings = re.findall(r"(?m)^#+ (.+)$", prose(page.parent / target if target else page))
        slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
        assert anchor in slugs, f"{target}#{anchor}"


@EACH_PAGE
def test_read_tables_of_page_are_well_formed(page):
    for table in tables(page):
        assert table


def test_read_index_lists_each_page():
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"(?m)^([a-z-]+)$", text)
    assert sorted(listed) == sorted(page.stem for page in DOCS.glob("*.md") if page.stem != "index")


def test_read_changelog_begins_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"(?m)^## (\S+)", text)[1] == __version__
