"""The form of ``day.toml``: what a simulated day sends, and what must have happened when.

Described for its writers in ``docs/reference/day.md``.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Literal

import msgspec

from hexi.adapters.packs.problem import Problem, problem_at, wrong_form
from hexi.kernel.clock import DAY, HOUR, LOCAL, MINUTE, SECOND, Instant, from_datetime
from hexi.kernel.text import Text

_CLOCK = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)(?:\.(\d{3}))?")
_CASE = re.compile(r"([a-z0-9_.]+) of (nobody|[a-z]+:\S+)")


class TimeOfDay(int):
    """Milliseconds since the day began, written ``"03:10:00"``; ``"24:00:00"`` is its end."""

    __slots__ = ()


class CaseName(str):
    """A case named by scenario and subject: ``"fall_suspected of person:E2"``; the newest such one."""

    __slots__ = ()

    @property
    def scenario(self) -> str:
        """The scenario's id as it was written."""
        return self.partition(" of ")[0]

    @property
    def of(self) -> str | None:
        """The person or device the case is about; None for nobody known."""
        named = self.partition(" of ")[2]
        return None if named == "nobody" else named


class _Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file; a key it does not know is an error."""


class SignalEvent(_Form, frozen=True):
    """A device or person sends a signal."""

    kind: str
    subject: str | None = None
    data: dict[str, Any] = {}
    id: str | None = None
    source: str = "day"
    time: TimeOfDay | None = None
    """What the sender's own clock says; left out, it says nothing."""
    copies: int = 1
    """How often the very same signal arrives."""


class ActEvent(_Form, frozen=True):
    """Somebody does something to a case, or answers a notice with a digit."""

    case: CaseName
    by: str
    do: str | None = None
    reply: str | None = None
    via: str = "app"
    data: dict[str, Any] = {}
    refused: bool = False
    """The act must be refused."""


class FaultEvent(_Form, frozen=True):
    """From now on a way, or a person's telephone, fails or hangs; ``works`` ends it."""

    does: Literal["fails", "hangs", "works"]
    way: str | None = None
    to: str | None = None


class RecordEvent(_Form, frozen=True):
    """A record of the directory changes: the given fields replace the known ones."""

    kind: str
    id: str
    data: dict[str, Any]


class Event(_Form, frozen=True):
    """Something that happens: exactly one of the four."""

    at: TimeOfDay
    signal: SignalEvent | None = None
    act: ActEvent | None = None
    fault: FaultEvent | None = None
    record: RecordEvent | None = None


class Totals(_Form, frozen=True):
    """How many there are over the whole day so far."""

    cases: int | None = None
    open: int | None = None
    drills: int | None = None
    escalated: int | None = None
    notices: int | None = None


class Figures(_Form, frozen=True):
    """What one indicator shows."""

    value: float | None = None
    counted: int | None = None
    hits: int | None = None


class Expect(_Form, frozen=True):
    """What must be true at an instant, after everything that falls due by then."""

    at: TimeOfDay
    why: Text | None = None
    case: CaseName | None = None
    cases: int | None = None
    state: str | None = None
    severity: str | None = None
    level: str | None = None
    drill: bool | None = None
    asked: str | None = None
    outcome: str | None = None
    signals: int | None = None
    told: tuple[str, ...] = ()
    not_told: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    no_entries: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    totals: Totals | None = None
    indicators: dict[str, Figures] = {}

    @property
    def about_case(self) -> bool:
        """Whether anything but the number of cases is expected of the named case."""
        general = {"at", "why", "case", "cases", "totals", "indicators"}
        return any(
            getattr(self, f.name) != f.default for f in msgspec.structs.fields(self) if f.name not in general
        )


class Day(_Form, frozen=True):
    """One simulated day of a pack."""

    title: Text
    date: date
    seed: int = 1
    records: dict[str, dict[str, dict[str, Any]]] = {}
    event: tuple[Event, ...] = ()
    expect: tuple[Expect, ...] = ()

    @property
    def begins(self) -> Instant:
        """Midnight by the district's clocks."""
        return from_datetime(datetime.combine(self.date, time(), LOCAL))

    def instant(self, at: TimeOfDay) -> Instant:
        """A time of day of this day."""
        return self.begins + at


class DayFileError(Exception):
    """The file is not a day; ``problems`` name each place that is wrong."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def parse_day(table: dict[str, Any], file: Path) -> Day:
    """Read the table of a ``day.toml``; DayFileError names the file, the line and the table."""
    try:
        day = msgspec.convert(table, Day, dec_hook=_read)
    except msgspec.ValidationError as error:
        raise DayFileError([wrong_form(file, error, Day, file.read_text("utf-8"))]) from error
    problems = [problem_at(file, where, message) for where, message in _doubts(day)]
    if problems:
        raise DayFileError(problems)
    return day


def _read(wanted: type, value: Any) -> Any:
    if wanted is TimeOfDay and isinstance(value, str):
        return _time_of_day(value)
    if wanted is CaseName and isinstance(value, str):
        if not _CASE.fullmatch(value):
            raise ValueError(f"not a case: {value!r} (write 'pendant_sos of person:E1', or 'of nobody')")
        return CaseName(value)
    raise ValueError(f"should be text, is {value!r}")


def _time_of_day(text: str) -> TimeOfDay:
    match = _CLOCK.fullmatch(text)
    if not match:
        raise ValueError(f"not a time of day: {text!r} (write 03:10:00 or 03:10:00.250)")
    hours, minutes, seconds, millis = (int(part or 0) for part in match.groups())
    at = hours * HOUR + minutes * MINUTE + seconds * SECOND + millis
    if at > DAY:
        raise ValueError(f"{text} is after the end of the day, 24:00:00")
    return TimeOfDay(at)


def _doubts(day: Day) -> list[tuple[str, Text]]:
    """What the types cannot say."""
    found: list[tuple[str, Text]] = []
    for number, event in enumerate(day.event):
        if sum(part is not None for part in (event.signal, event.act, event.fault, event.record)) != 1:
            message = Text(
                zh="一个 event 恰好写 signal、act、fault、record 之一",
                en="an event has exactly one of signal, act, fault, record",
            )
            found.append((f"event[{number}]", message))
        if event.act and (event.act.do is None) == (event.act.reply is None):
            message = Text(zh="act 写 do 或 reply 之一", en="an act has either do or reply")
            found.append((f"event[{number}].act", message))
    return found + [
        (
            f"expect[{number}]",
            Text(zh="写明 case 是哪一个案件", en="say with case which case is meant"),
        )
        for number, expect in enumerate(day.expect)
        if expect.case is None and (expect.about_case or expect.cases is not None)
    ]
