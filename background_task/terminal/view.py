"""The program for a terminal; it needs the extra ``top``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

from django.db import Error
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.css.query import NoMatches
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Static
from textual.widgets.data_table import RowDoesNotExist

from ..exceptions import BackgroundTaskError
from ..worker.outage import remedy_for
from . import deed
from .desk import Desk
from .snapshot import Failure, Queue, Run, Snapshot, look
from .table import FAILED, QUEUES, RUNNING, TABLES, Table, clean, headline, queue_name

#: How long leaving may wait for the database.
FAREWELL_SECONDS = 2.0
HELP = """Arrows move within a table, Tab and Shift+Tab from one to the next.

p  pause the queue of the line, or let it go on
c  cancel the task of the line (you are asked)
r  try the failed task of the line anew
f  show only tasks of the queue of the line; again: all
?  this help
q  leave

Pausing lets no worker begin a task of the queue; what runs goes on.
A running task is asked to end, and ended by force some seconds later.

Any key closes this."""


class Question(ModalScreen[bool]):
    """Asks for yes or no.

    Args:
        text: The question.
    """

    BINDINGS: ClassVar = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,enter,q", "answer(False)", "No"),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """Show the question."""
        yield Static(Text(f"{self._text}\n\ny  yes        n  no"), classes="box")

    def action_answer(self, answer: bool) -> None:
        """Close it."""
        self.dismiss(answer)


class Help(ModalScreen[None]):
    """Tells of the keys, until one is pressed."""

    def compose(self) -> ComposeResult:
        """Show it."""
        yield Static(Text(HELP), classes="box")

    def on_key(self) -> None:
        """Close it."""
        self.dismiss()


class Lines(DataTable[Text]):
    """One of the tables.

    Args:
        table: Which.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(id=table.name.split()[0].lower(), cursor_type="row", zebra_stripes=True)
        self.table = table
        self.border_title = table.name
        self._rows: dict[str, Any] = {}
        self._shown: dict[str, tuple[str, ...]] = {}

    def on_mount(self) -> None:
        """Show the head."""
        for title in self.table.head:
            self.add_column(title, key=title)

    def show(self, rows: list[Any]) -> None:
        """Show these lines, with the cursor on the line on which it was."""
        chosen, place = self._chosen_key(), self.cursor_row
        self._rows = {}
        for number, row in enumerate(rows):
            key = self.table.key(row)  # rows of 1.x have none of their own
            self._rows[f"{key} {number}" if key in self._rows else key] = row
        shown = {key: self.table.cells(row) for key, row in self._rows.items()}
        if shown == self._shown:
            return
        self._shown = shown
        self.clear()
        for key, cells in shown.items():
            self.add_row(*map(self._cell, self.table.head, cells), key=key)
        try:
            place = self.get_row_index(chosen or "")
        except RowDoesNotExist:
            place = min(place, len(self._rows) - 1)
        self.move_cursor(row=max(place, 0), animate=False)

    def chosen(self) -> Any:
        """Return the row that the cursor is on; None if there is none."""
        return self._rows.get(self._chosen_key() or "")

    def _chosen_key(self) -> str | None:
        if not 0 <= self.cursor_row < self.row_count:
            return None
        return self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value

    def _cell(self, title: str, text: str) -> Text:
        """Return a cell; as ``Text``, because a string would be taken for markup."""
        is_number = title in self.table.numbers
        return Text(text, justify="right" if is_number else "left", no_wrap=True)


class Top(App[None]):
    """Shows the queues, and does to them what the keys say.

    Args:
        interval: Seconds between two looks.
        using: The alias of the database; None lets the project's routers decide.
    """

    TITLE = "background_task_top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 1; background: $primary; color: $text; text-style: bold; padding: 0 1; }
    #head.alarm { background: $error; }
    #said { height: 1; padding: 0 1; }
    Lines { height: 1fr; border: round $surface-lighten-3; border-title-style: bold;
            border-title-color: $text; }
    Lines:focus { border: round $accent; }
    Lines > .datatable--cursor { background: $surface-lighten-1; color: $text; }
    Lines:focus > .datatable--cursor { background: $accent; color: $text; }
    ModalScreen { align: center middle; }
    .box { width: auto; max-width: 90%; height: auto; padding: 1 3; border: round $accent;
           background: $surface; }
    """
    BINDINGS: ClassVar = [
        Binding("p", "pause", "Pause/resume queue"),
        Binding("c", "cancel", "Cancel task"),
        Binding("r", "retry", "Retry"),
        Binding("f", "filter", "Filter queue"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, *, interval: float = 2.0, using: str | None = None) -> None:
        super().__init__()
        self.interval = interval
        self.snapshot: Snapshot | None = None
        #: What was said last.
        self.said = ""
        #: The queue to which the tasks belong that are shown; empty for all.
        self.only: tuple[str | None, ...] = ()
        self._look = partial(look, using)
        self._desk = Desk()
        self._is_looking = False

    def compose(self) -> ComposeResult:
        """Lay out head, tables, what was said, and the keys."""
        yield Static(id="head")
        for table in TABLES:
            yield Lines(table)
        yield Static(id="said")
        yield Footer()

    def on_mount(self) -> None:
        """Look, and go on looking."""
        self.query_one("#queues", Lines).focus()
        self.set_interval(self.interval, self.look_soon)
        self.look_soon()

    def on_unmount(self) -> None:
        """Give the connection back."""
        self._desk.close(FAREWELL_SECONDS)

    # -- showing --------------------------------------------------------------------------------

    def look_soon(self) -> None:
        """Look, unless a look is under way: a slow database must not be asked more and more."""
        if not self._is_looking:
            self._is_looking = True
            self.run_worker(self._look_once(), name="look")

    async def _look_once(self) -> None:
        try:
            self.snapshot = await self._desk.ask(self._look)
        except Error as error:
            with suppress(NoMatches):  # the program has ended meanwhile, as below
                self._show_outage(error)
        else:
            with suppress(NoMatches):
                self._show()
        finally:
            self._is_looking = False

    def _show_outage(self, error: Error) -> None:
        text = next(iter(str(error).strip().splitlines()), type(error).__name__)
        words = f"The database cannot be used ({clean(text)}); {remedy_for(error)}"
        head = self.query_one("#head", Static)
        head.update(Text(words))
        head.add_class("alarm")

    def _show(self) -> None:
        if self.snapshot is None:
            return
        head = self.query_one("#head", Static)
        head.update(Text(headline(self.snapshot)))
        head.set_class(not self.snapshot.alive, "alarm")
        with self.batch_update():
            for lines in self.query(Lines):
                lines.show(self._rows_of(lines.table, self.snapshot))
                is_cut = bool(self.only) and lines.table.is_of_queue
                where = f" in {queue_name(self.only[0])}" if is_cut else ""
                lines.border_title = f"{lines.table.name}{where}"

    def _rows_of(self, table: Table, snapshot: Snapshot) -> list[Any]:
        rows = list(table.rows(snapshot))
        if not self.only or not table.is_of_queue:
            return rows
        return [row for row in rows if row.queue == self.only[0]]

    def say(self, text: str) -> None:
        """Show what has happened."""
        self.said = clean(text)
        self.query_one("#said", Static).update(Text(self.said))

    # -- keys -----------------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause the queue of the line, or let it go on."""
        found = self._queue_of_line()
        if not found:
            self.say("Move to a queue or a task first")
            return
        on_hold = {queue.name for queue in (self._snapshot().queues) if queue.is_paused}
        self._do(partial(deed.pause_queue, found[0], is_paused=found[0] in on_hold))

    def action_cancel(self) -> None:
        """Cancel the task of the line, after a question."""
        run = self._row_of(RUNNING)
        if not isinstance(run, Run):
            self.say("Move to a running task first")
            return

        def go_on(is_sure: bool | None) -> None:
            if is_sure:
                self._do(partial(deed.cancel_task, run.uid, run.label))

        self.push_screen(Question(f"Cancel {clean(run.label)} ({run.uid})?"), go_on)

    def action_retry(self) -> None:
        """Try the failed task of the line anew."""
        failure = self._row_of(FAILED)
        if not isinstance(failure, Failure):
            self.say("Move to a failed task first")
            return
        self._do(partial(deed.retry_task, failure.uid, failure.label))

    def action_filter(self) -> None:
        """Show only tasks of the queue of the line, or all again."""
        found = self._queue_of_line()
        if self.only or found:
            self.only = () if self.only else found
            self.say(f"Only tasks in {queue_name(self.only[0])}" if self.only else "All tasks")
            self._show()
        else:
            self.say("Move to a queue or a task first")

    def action_help(self) -> None:
        """Tell of the keys."""
        self.push_screen(Help())

    def _do(self, act: Callable[[], str]) -> None:
        self.run_worker(self._do_once(act), name="deed")

    async def _do_once(self, act: Callable[[], str]) -> None:
        try:
            text = await self._desk.ask(act)
        except (Error, BackgroundTaskError) as error:
            text = f"That did not work: {error}"
        with suppress(NoMatches):
            self.say(text)
        self.look_soon()

    def _snapshot(self) -> Snapshot:
        assert self.snapshot is not None  # a line has the focus
        return self.snapshot

    def _row_of(self, *tables: Table) -> Any:
        """Return the row of the line with the cursor, if the focus is on one of these tables."""
        focused = self.focused
        is_meant = isinstance(focused, Lines) and focused.table in tables
        return focused.chosen() if isinstance(focused, Lines) and is_meant else None

    def _queue_of_line(self) -> tuple[str | None, ...]:
        """Return the queue that the line is about; empty if it is about none."""
        row = self._row_of(QUEUES, RUNNING, FAILED)
        if row is None:
            return ()
        return (row.name,) if isinstance(row, Queue) else (row.queue,)
