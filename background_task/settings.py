"""Settings, read from Django's at the moment of use, so that ``override_settings`` works.

Every setting is called ``BACKGROUND_TASK_<NAME>``. Those that django-background-tasks knew under
a shorter name (``MAX_ATTEMPTS``, ``MAX_RUN_TIME``) are still read under it; the prefixed one wins.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from .exceptions import InvalidOptionError, InvalidOptionTypeError
from .retention import Retention

PREFIX = "BACKGROUND_TASK_"
#: A day: whoever waits longer for the tasks of a dead worker does not want a lease.
LONGEST_LEASE = 86_400
#: A server refuses larger packets by breaking the connection; MySQL once from 4 MiB on.
LARGEST_RESULT = 1_048_576
#: Below that, no line of a log is left in one piece.
SMALLEST_LOG = 256


def cpu_count() -> int:
    """Return the number of processors, 1 where it cannot be known."""
    try:
        return multiprocessing.cpu_count()
    except NotImplementedError:
        return 1


def _whole_number(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return "a whole number of at least 1"
    return None


def _positive_seconds(value: Any) -> str | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        return "a finite number of seconds above 0"
    return None


def _seconds_or_none(value: Any) -> str | None:
    if value is None or not _positive_seconds(value):
        return None
    return "a finite number of seconds above 0, or None"


def _lease_seconds(value: Any) -> str | None:
    if _positive_seconds(value) or not 1 <= value <= LONGEST_LEASE:
        return f"a number of seconds from 1 to {LONGEST_LEASE}"
    return None


def _result_bytes(value: Any) -> str | None:
    if _whole_number(value) or value > LARGEST_RESULT:
        return f"a whole number from 1 to {LARGEST_RESULT}"
    return None


def _yes_or_no(value: Any) -> str | None:
    return None if isinstance(value, bool) else "True or False"


def _names(value: Any) -> str | None:
    is_list = isinstance(value, list | tuple | set | frozenset)
    if not is_list or not all(isinstance(name, str) and name.strip() for name in value):
        return "a list of names, such as ['password', 'token']"
    return None


def _level_or_none(value: Any) -> str | None:
    is_name = isinstance(value, str) and isinstance(logging.getLevelName(value), int)
    return None if value is None or is_name else "the name of a level, such as 'INFO', or None"


def _log_bytes(value: Any) -> str | None:
    if _whole_number(value) or not SMALLEST_LOG <= value <= LARGEST_RESULT:
        return f"a whole number from {SMALLEST_LOG} to {LARGEST_RESULT}"
    return None


def _embedded(value: Any) -> str | None:
    return None if isinstance(value, bool | dict) else "True, False, or a dict of options"


def _schedules(value: Any) -> str | None:
    return None if isinstance(value, dict) else "a dict of names and schedules"


def _retention(value: Any) -> str | None:
    try:
        if not isinstance(value, ByHistory):
            Retention.make(value)
    except (InvalidOptionError, InvalidOptionTypeError):
        return "a timedelta, seconds, text such as '30d' or '1h30m', None, or a dict of these"
    return None


class ByHistory:
    """The default of ``RETAIN``: it depends on whether there was a version 1.x before."""

    def __repr__(self) -> str:
        return "30 days in new projects, None in upgraded ones"


def _meant_once(value: Any) -> str | None:
    is_low = isinstance(value, int) and not isinstance(value, bool) and value < 1
    return "1" if is_low else None


def _meant_truth(value: Any) -> str:
    return repr(bool(value))


def _meant_descending(value: Any) -> str:
    return "'DESC'"


def _ordering(value: Any) -> str | None:
    return None if value in ("ASC", "DESC") else "'ASC' or 'DESC'"


@dataclass(frozen=True)
class Setting:
    """One setting: its default, the rule for its values, and its name before 2.0."""

    name: str
    default: Any
    rule: Callable[[Any], str | None]
    old_name: str | None = None
    #: What earlier versions made of other values; such a value is only warned of.
    meant: Callable[[Any], str | None] = lambda value: None

    @property
    def full_name(self) -> str:
        """The name to write into the settings module."""
        return PREFIX + self.name

    @property
    def default_text(self) -> str:
        """The default, for people."""
        return "the number of processors" if callable(self.default) else repr(self.default)

    @property
    def used_name(self) -> str:
        """The name under which the project has set it, or should."""
        is_old = self.old_name is not None and hasattr(settings, self.old_name)
        if is_old and not hasattr(settings, self.full_name):
            return str(self.old_name)
        return self.full_name

    def read(self) -> Any:
        """Return the configured value, or the default."""
        if hasattr(settings, self.used_name):
            return getattr(settings, self.used_name)
        return self.default() if callable(self.default) else self.default


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("MAX_ATTEMPTS", 25, _whole_number, "MAX_ATTEMPTS", _meant_once),
        Setting("MAX_RUN_TIME", 3600, _positive_seconds, "MAX_RUN_TIME"),
        Setting("RUN_ASYNC", False, _yes_or_no, meant=_meant_truth),
        Setting("ASYNC_THREADS", cpu_count, _whole_number),
        Setting("PRIORITY_ORDERING", "DESC", _ordering, meant=_meant_descending),
        Setting("LEASE_SECONDS", 60, _lease_seconds),
        Setting("SHUTDOWN_SECONDS", 25, _positive_seconds),
        Setting("FLUSH_EACH", False, _yes_or_no),
        Setting("TIMEOUT_SECONDS", None, _seconds_or_none),
        Setting("CANCEL_GRACE_SECONDS", 5, _seconds_or_none),
        Setting("PERIODIC", {}, _schedules),
        Setting("KEEP_RESULTS", True, _yes_or_no),
        Setting("MAX_RESULT_BYTES", 65_536, _result_bytes),
        Setting("RETAIN", ByHistory(), _retention),
        Setting("EAGER", False, _yes_or_no),
        Setting("MASK", [], _names),
        Setting("LOG_LEVEL", None, _level_or_none),
        Setting("MAX_LOG_BYTES", 16_384, _log_bytes),
        Setting("EMBEDDED_WORKER", False, _embedded),
    )
}


class AppSettings:
    """The settings as attributes, under the names that user code has always read."""

    @property
    def MAX_ATTEMPTS(self) -> int:  # noqa: N802
        """How often a task is tried before it counts as failed."""
        return int(SETTINGS["MAX_ATTEMPTS"].read())

    @property
    def BACKGROUND_TASK_MAX_ATTEMPTS(self) -> int:  # noqa: N802
        """Alias of ``MAX_ATTEMPTS``."""
        return self.MAX_ATTEMPTS

    @property
    def MAX_RUN_TIME(self) -> float:  # noqa: N802
        """Seconds after which a lock without a heartbeat counts as left behind."""
        return SETTINGS["MAX_RUN_TIME"].read()  # type: ignore[no-any-return]

    @property
    def BACKGROUND_TASK_MAX_RUN_TIME(self) -> float:  # noqa: N802
        """Alias of ``MAX_RUN_TIME``."""
        return self.MAX_RUN_TIME

    @property
    def BACKGROUND_TASK_RUN_ASYNC(self) -> bool:  # noqa: N802
        """Whether tasks run on a thread pool rather than one after another."""
        return bool(SETTINGS["RUN_ASYNC"].read())

    @property
    def BACKGROUND_TASK_ASYNC_THREADS(self) -> int:  # noqa: N802
        """The size of the thread pool."""
        return int(SETTINGS["ASYNC_THREADS"].read())

    @property
    def BACKGROUND_TASK_PRIORITY_ORDERING(self) -> str:  # noqa: N802
        """The ``order_by`` prefix: ``"-"`` (high numbers first) or ``""`` (niceness)."""
        return "" if SETTINGS["PRIORITY_ORDERING"].read() == "ASC" else "-"

    @property
    def BACKGROUND_TASK_LEASE_SECONDS(self) -> float:  # noqa: N802
        """Seconds without a heartbeat after which a worker counts as dead."""
        return float(SETTINGS["LEASE_SECONDS"].read())

    @property
    def BACKGROUND_TASK_SHUTDOWN_SECONDS(self) -> float:  # noqa: N802
        """Seconds that a stop signal leaves running tasks to finish."""
        return float(SETTINGS["SHUTDOWN_SECONDS"].read())

    @property
    def BACKGROUND_TASK_TIMEOUT_SECONDS(self) -> float | None:  # noqa: N802
        """Seconds after which a run is ended; None for never."""
        seconds = SETTINGS["TIMEOUT_SECONDS"].read()
        return None if seconds is None else float(seconds)

    @property
    def BACKGROUND_TASK_CANCEL_GRACE_SECONDS(self) -> float | None:  # noqa: N802
        """Seconds that a cancelled task has to leave off by itself; None for any number."""
        seconds = SETTINGS["CANCEL_GRACE_SECONDS"].read()
        return None if seconds is None else float(seconds)

    @property
    def BACKGROUND_TASK_KEEP_RESULTS(self) -> bool:  # noqa: N802
        """Whether what tasks return is kept, where they do not say."""
        return bool(SETTINGS["KEEP_RESULTS"].read())

    @property
    def BACKGROUND_TASK_MAX_RESULT_BYTES(self) -> int:  # noqa: N802
        """The largest size of a result that is kept."""
        return int(SETTINGS["MAX_RESULT_BYTES"].read())

    @property
    def BACKGROUND_TASK_RETAIN(self) -> Retention | None:  # noqa: N802
        """How long finished tasks are kept; None if the project does not say.

        Raises:
            InvalidOptionError: The value cannot work.
            InvalidOptionTypeError: Likewise.
        """
        setting = SETTINGS["RETAIN"]
        value = setting.read()
        if isinstance(value, ByHistory):
            return None
        return Retention.make(value, what=setting.full_name)

    @property
    def BACKGROUND_TASK_PERIODIC(self) -> dict[str, Any]:  # noqa: N802
        """Schedules by name; see ``declaration.declared``."""
        return SETTINGS["PERIODIC"].read()  # type: ignore[no-any-return]

    @property
    def BACKGROUND_TASK_FLUSH_EACH(self) -> bool:  # noqa: N802
        """Whether each outcome is recorded by itself, before the next task begins."""
        return bool(SETTINGS["FLUSH_EACH"].read())

    @property
    def BACKGROUND_TASK_EAGER(self) -> bool:  # noqa: N802
        """Whether a call is run at once, where it is made."""
        return bool(
            getattr(settings, "BACKGROUND_TASK_EAGER", False)
        )  # asked by each call: in haste

    @property
    def BACKGROUND_TASK_LOG_LEVEL(self) -> int | None:  # noqa: N802
        """The lowest level at which what tasks log is kept; None keeps nothing."""
        name = SETTINGS["LOG_LEVEL"].read()
        if name is None:
            return None
        level = logging.getLevelName(name) if isinstance(name, str) else None
        return level if isinstance(level, int) else logging.INFO

    @property
    def BACKGROUND_TASK_MAX_LOG_BYTES(self) -> int:  # noqa: N802
        """How much of an attempt's log is kept."""
        return int(SETTINGS["MAX_LOG_BYTES"].read())

    @property
    def BACKGROUND_TASK_MASK(self) -> tuple[str, ...]:  # noqa: N802
        """Parts of the names of arguments that nobody is shown, as ``str.casefold`` has them.

        Of a value that cannot work, the one part that is in all names.
        """
        setting = SETTINGS["MASK"]
        value = setting.read()
        if not value:
            return ()
        return ("",) if setting.rule(value) else tuple(name.strip().casefold() for name in value)

    @property
    def BACKGROUND_TASK_EMBEDDED_WORKER(self) -> bool | dict[str, Any]:  # noqa: N802
        """Whether a worker runs inside the site's process; a dict says how."""
        return SETTINGS["EMBEDDED_WORKER"].read()  # type: ignore[no-any-return]


app_settings = AppSettings()
