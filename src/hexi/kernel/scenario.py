"""A scenario: from which signals a case opens, who is told, by when, and what closes it.

One TOML file each. The form is described in ``docs/reference/scenario.md``.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from hexi.kernel.clock import Duration, parse_duration, parse_time_of_day
from hexi.kernel.text import Text


class Severity(StrEnum):
    """How bad it is, in the words of CAP 1.2."""

    EXTREME = "extreme"
    SEVERE = "severe"
    MODERATE = "moderate"
    MINOR = "minor"

    @property
    def rank(self) -> int:
        """0 for the worst, so that a queue sorts upward."""
        return _RANKS[self]


_RANKS = {Severity.EXTREME: 0, Severity.SEVERE: 1, Severity.MODERATE: 2, Severity.MINOR: 3}

PROMISES = ("acknowledged", "set_off", "arrived", "handled", "verified", "closed")
"""Milestones a scenario may promise, in their usual order."""

REPLIES = {"1": "set_off", "2": "declined"}
"""What the digits of an answer mean unless a step says otherwise."""


class Length(int):
    """A duration that was written as text: ``"15m"``."""

    __slots__ = ()


class SameCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Signals that agree in ``by`` belong to one case, also ``within`` a time after it closed."""

    by: tuple[str, ...] = ("subject",)
    within: Length = Length(0)


class AtLeast(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Only the n-th signal of a kind from one ``by`` within a time counts."""

    times: int
    within: Length
    by: Literal["device", "subject"] = "device"


class SignalRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which signals a scenario answers."""

    kinds: tuple[str, ...] = ()
    when: str | None = None
    matter: str | None = None
    same_case: SameCase = SameCase()
    sos: bool = False
    at_least: AtLeast | None = None
    cleared_by: tuple[str, ...] = ()
    """Kinds that report the trouble over; they are logged, and close the case if it may close itself."""


class AbsenceRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something expected from a person's home every day between two times of day, and not seen."""

    kinds: tuple[str, ...]
    since: str = msgspec.field(name="from")
    until: str = msgspec.field(name="to")


class SequenceRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing happened and the other did not follow in time."""

    first: tuple[str, ...]
    then: tuple[str, ...]
    within: Length
    by: Literal["device", "subject"] = "subject"


class AskRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The well-being question before anyone else is told."""

    whom: str = "subject"
    by: tuple[str, ...] = ("call", "app")
    wait: Length = Length(20_000)
    text: Text = Text(
        zh="{subject}，您还好吗？没事请回复 1，需要帮助请回复 2；不回答我们就派人来。",
        en="{subject}, are you well? Reply 1 if you are, 2 for help; if you stay silent we send someone.",
    )


class CaseRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the case promises and what closes it."""

    severity: Severity
    deadlines: dict[str, Length] = {}
    evidence: tuple[str, ...] = ()
    auto_close: bool = False
    """May close by itself when a clearing signal has come."""
    public: bool = False
    """May leave the platform as a public warning; never for a person's alarm."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step of the response: who is told what, by which ways, after how long."""

    role: str
    tell: tuple[str, ...]
    by: tuple[str, ...]
    else_by: tuple[str, ...] = ()
    need: int | Literal["all"] = 1
    after: Length = Length(0)
    unless: str | None = None
    text: Text | None = None
    replies: dict[str, str] = msgspec.field(default_factory=REPLIES.copy)
    task: Text | None = None


class IndicatorRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A number counted from cases."""

    id: str
    title: Text | None = None
    measure: Literal["share", "count", "percentile", "open_now"]
    where: str | None = None
    of: str | None = None
    percent: float = 50.0
    over: tuple[str, ...] = ()
    target: float | None = None


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One file of a catalogue."""

    id: str
    title: Text
    summary: Text | None = None
    signal: SignalRule = SignalRule()
    absence: AbsenceRule | None = None
    sequence: SequenceRule | None = None
    ask: AskRule | None = None
    case: CaseRule
    response: tuple[Step, ...] = ()
    indicator: tuple[IndicatorRule, ...] = ()
    beats: tuple[str, ...] = ()
    guidance: Text | None = None
    """What an operator says and does; shown on the case."""
    version: str = ""

    @property
    def matter(self) -> str:
        """What the case is about; scenarios of one matter fold into one case."""
        return self.signal.matter or self.id

    @property
    def pack(self) -> str:
        """The id of the pack the file belongs to."""
        return self.id.partition(".")[0]

    def kinds(self) -> tuple[str, ...]:
        """Every kind that can open a case here, those of our own clock included."""
        own = tuple(
            f"{name}.{self.id}"
            for name, rule in (("absence", self.absence), ("sequence", self.sequence))
            if rule
        )
        return self.signal.kinds + own

    def role_need(self, role: str) -> int | Literal["all"]:
        """How many of a role must acknowledge: the first step of the role decides."""
        return next((step.need for step in self.response if step.role == role), 0)


def parse_scenario(table: dict[str, Any]) -> Scenario:
    """Check a scenario's table and return it; ValueError names the field that is wrong."""
    version = blake2b(msgspec.json.encode(table, order="deterministic"), digest_size=6).hexdigest()
    try:
        scenario = msgspec.convert({**table, "version": version}, Scenario, dec_hook=_read_length)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    _check_times(scenario)
    return scenario


def _read_length(wanted: type, value: Any) -> Any:
    if wanted is Length and isinstance(value, str):
        return Length(parse_duration(value))
    raise ValueError(f"expected a duration such as '15m', got {value!r}")


def _check_times(scenario: Scenario) -> None:
    for name in scenario.case.deadlines:
        if name not in PROMISES:
            raise ValueError(f"case.deadlines: {name!r} is not one of {', '.join(PROMISES)}")
    if scenario.absence:
        parse_time_of_day(scenario.absence.since)
        parse_time_of_day(scenario.absence.until)


def describe_length(length: Duration) -> Text:
    """A duration in words: 15 分钟 / 15 minutes."""
    for size, zh, en in ((86_400_000, "天", "day"), (3_600_000, "小时", "hour"), (60_000, "分钟", "minute")):
        if length >= size and length % size == 0:
            count = length // size
            return Text(zh=f"{count} {zh}", en=f"{count} {en}{'' if count == 1 else 's'}")
    seconds = f"{length / 1000:g}"
    return Text(zh=f"{seconds} 秒", en=f"{seconds} second{'' if seconds == '1' else 's'}")
