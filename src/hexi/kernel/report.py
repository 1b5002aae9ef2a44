"""The monthly report of promises kept, counted from the logs of cases and from nothing else.

A promise is owed from the signal that made it: the one that opened the case, the one that raised it to a
scenario with the promise, or a new alarm that reopened it. What is counted, and from which entries, is
told in ``docs/how-to/report.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from hashlib import sha256
from statistics import median
from typing import Any, NamedTuple

import msgspec

from hexi.kernel.case import Entry
from hexi.kernel.clock import LOCAL, MINUTE, SECOND, Duration, Instant, from_datetime
from hexi.kernel.indicator import percentile
from hexi.kernel.text import Text

RULES = 1
"""Grows when the same logs would give other figures, so that old reports are told apart."""


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """A promise of the report. ``deadline`` names the scenario's deadline that makes a case owe it."""

    id: str
    title: Text
    limit: Duration
    deadline: str
    kept_by: tuple[str, ...]
    target: float


ANSWERS = ("acknowledged", "declined", "set_off", "arrived", "false_alarm")
"""Entries by which a person has answered."""

PROMISES = (
    Promise(
        id="answered_60s",
        title=Text(zh="60 秒内有人应答", en="Answered within 60 seconds"),
        limit=60 * SECOND,
        deadline="acknowledged",
        kept_by=ANSWERS,
        target=0.975,
    ),
    Promise(
        id="answered_180s",
        title=Text(zh="180 秒内有人应答", en="Answered within 180 seconds"),
        limit=180 * SECOND,
        deadline="acknowledged",
        kept_by=ANSWERS,
        target=0.99,
    ),
    Promise(
        id="arrived_15m",
        title=Text(zh="15 分钟内到场", en="Arrived within 15 minutes"),
        limit=15 * MINUTE,
        deadline="arrived",
        kept_by=("arrived",),
        target=0.95,
    ),
)
"""Targets of the first two: 97.5 % and 99 %, TSA's for alarm centres, as in the pack of elder care."""


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """One promise of one alarm. ``fate``: kept, missed, pending (not yet due) or free (no longer owed)."""

    promise: str
    start: Instant
    due: Instant
    took: Duration | None
    fate: str
    why: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A case as the report sees it: where, which scenario, and the fates of what it owed."""

    id: str
    street: str | None
    community: str | None
    scenario: str
    left_out: str
    """``drill`` or ``merged``; empty when the case counts."""
    owed: tuple[Owed, ...]
    entries: int
    sha256: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One promise over some cases. Lengths in milliseconds; ``share`` is None when nothing is counted."""

    promise: str
    counted: int
    kept: int
    missed: int
    pending: int
    free: int
    share: float | None
    median: Duration | None
    p95: Duration | None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of one street or scenario; ``key`` is None where the street is not known."""

    key: str | None
    lines: tuple[Line, ...]


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """A promise that was not kept."""

    promise: str
    case: str
    street: str | None
    scenario: str
    start: Instant
    due: Instant
    took: Duration | None
    why: str


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How many cases were opened, and why some of them do not count."""

    cases: int
    drills: int
    merged: int
    counted: int
    without_promise: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures were counted from: the digest over all cases, and that of each."""

    sha256: str
    entries: int
    cases: dict[str, str]


class MonthReport(msgspec.Struct, frozen=True, kw_only=True):
    """A month of a district, street or community, as its logs stood at ``as_of``."""

    month: str
    as_of: Instant
    place: str | None
    rules: int = RULES
    lines: tuple[Line, ...]
    before: tuple[Line, ...]
    """The same of the month before."""
    streets: tuple[Group, ...]
    scenarios: tuple[Group, ...]
    missed: tuple[Missed, ...]
    coverage: Coverage
    evidence: Evidence


class Span(NamedTuple):
    """A month: its first instant, and the first of the next."""

    since: Instant
    until: Instant


def span_of(month: str) -> Span:
    """The instants of ``2026-11`` by the district's clocks; ValueError for anything else."""
    first = date.fromisoformat(f"{month}-01")
    return Span(_midnight(first), _midnight(_next(first)))


def month_before(month: str) -> str:
    """``2026-10`` for ``2026-11``."""
    first = date.fromisoformat(f"{month}-01")
    year, number = (first.year - 1, 12) if first.month == 1 else (first.year, first.month - 1)
    return f"{year:04}-{number:02}"


def month_after(month: str) -> str:
    """``2026-12`` for ``2026-11``."""
    return f"{_next(date.fromisoformat(f'{month}-01')):%Y-%m}"


def _next(first: date) -> date:
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def _midnight(day: date) -> Instant:
    return from_datetime(datetime.combine(day, time(), LOCAL))


def look(case_id: str, log: Sequence[Entry], as_of: Instant) -> Seen:
    """What a case's log says by an instant; entries that came later are not looked at."""
    known = [entry for entry in log if entry.at <= as_of]
    first = known[0].body if known else {}
    where = _where(known)
    merged = [e for e in known if e.kind in {"merged", "unmerged"}]
    left_out = "drill" if first.get("drill") else "merged" if merged and merged[-1].kind == "merged" else ""
    return Seen(
        id=case_id,
        street=where.get("street"),
        community=where.get("community"),
        scenario=_scenario(known),
        left_out=left_out,
        owed=() if left_out else tuple(owed(known, as_of)),
        entries=len(known),
        sha256=digest(case_id, known),
    )


def _where(log: Sequence[Entry]) -> dict[str, Any]:
    """The place at the opening: a street answers for what began in it."""
    found: dict[str, Any] = log[0].body.get("place", {}) if log else {}
    return found


def _scenario(log: Sequence[Entry]) -> str:
    """The gravest scenario so far; of equals the first."""
    said = [(e.body["severity"], e.body["scenario"]) for e in log if e.kind in {"reported", "raised"}]
    ranks = ("extreme", "severe", "moderate", "minor")
    return min(said, key=lambda pair: ranks.index(pair[0]))[1] if said else ""


class _Alarm(NamedTuple):
    """A signal that made promises: where in the log, when it came, and what it promised."""

    number: int
    start: Instant
    promised: dict[str, Instant]


def owed(log: Sequence[Entry], as_of: Instant) -> Iterator[Owed]:
    """Every promise that a case's alarms made, and what became of it."""
    alarms = list(_alarms(log))
    for promise in PROMISES:
        before = None
        for alarm in alarms:
            due = alarm.promised.get(promise.deadline)
            again = log[alarm.number].kind == "reopened"
            if due is None or due - alarm.start > promise.limit or (before is not None and not again):
                continue
            before = alarm
            yield _judge(promise, alarm.start, _cycle(log, alarm.number), as_of)


def _alarms(log: Sequence[Entry]) -> Iterator[_Alarm]:
    received: Instant = 0
    for number, entry in enumerate(log):
        if entry.kind in {"reported", "joined"}:
            received = entry.body["signal"]["received"]
        if entry.kind in {"reported", "raised"}:
            yield _Alarm(number, received, entry.body.get("promises", {}))
        elif entry.kind == "reopened" and entry.body.get("again"):
            yield _Alarm(number, entry.at, entry.body.get("promises", {}))


def _cycle(log: Sequence[Entry], number: int) -> Sequence[Entry]:
    """The entries in which an alarm's promise can be kept: between the reopenings around it.

    Whoever had answered before a case was raised need not answer again.
    """
    turns = [0, *(i for i, e in enumerate(log) if e.kind == "reopened" and e.body.get("again")), len(log)]
    begin = max(turn for turn in turns if turn <= number)
    return log[begin : min(turn for turn in turns if turn > number)]


_ENDS = frozenset({"closed", "rejected"})


def _judge(promise: Promise, start: Instant, rest: Sequence[Entry], as_of: Instant) -> Owed:
    due = start + promise.limit
    reached = next((e.at for e in rest if e.kind in promise.kept_by), None)
    if reached is not None:
        late = reached > due
        fate, why = ("missed", "late") if late else ("kept", "")
    else:
        fate, why = _unreached(due, rest, as_of)
    took = None if reached is None else max(0, reached - start)
    return Owed(promise=promise.id, start=start, due=due, took=took, fate=fate, why=why)


def _unreached(due: Instant, rest: Sequence[Entry], as_of: Instant) -> tuple[str, str]:
    """What became of a promise for which nobody did anything."""
    end = next((e for e in reversed(rest) if e.kind in _ENDS), None)
    sent = any(e.kind == "opened" for e in rest)
    false = any(e.kind == "false_alarm" for e in rest)
    if end is not None and not sent:
        return "free", "well"
    if end is not None and false and end.at < due:
        return "free", "false_alarm"
    if end is not None:
        return "missed", "closed_without"
    if as_of < due:
        return "pending", ""
    return "missed", _nobody(rest)


def _nobody(rest: Sequence[Entry]) -> str:
    """Why nobody came to an open case, as far as the log knows."""
    told = {e.body["notice"] for e in rest if e.kind == "told"}
    failed = {e.body["notice"] for e in rest if e.kind == "failed"}
    if not told:
        return "nobody_told"
    return "undelivered" if told <= failed else "silent"


WHY: dict[str, Text] = {
    "late": Text(zh="超时才做到", en="done, but too late"),
    "closed_without": Text(zh="结案时没有记录", en="closed without it"),
    "nobody_told": Text(zh="没有通知到任何人", en="nobody was told"),
    "undelivered": Text(zh="通知全部未送达", en="no notice was delivered"),
    "silent": Text(zh="已通知，无人应答或到场", en="told, but nobody did it"),
}
"""The reasons of missed promises."""

_USED = ("promises", "again", "drill", "scenario", "severity", "into", "notice")
"""What of an entry's body the figures depend on; nothing of it is personal or ever erased."""


def digest(case_id: str, log: Iterable[Entry]) -> str:
    """The SHA-256 of what a log says to this report: one JSON line for each entry."""
    total = sha256()
    for entry in log:
        total.update(_encode(_line(case_id, entry)) + b"\n")
    return total.hexdigest()


_encode = msgspec.json.Encoder(order="deterministic").encode


def _line(case_id: str, entry: Entry) -> list[Any]:
    used = {name: entry.body[name] for name in _USED if name in entry.body}
    if entry.kind in {"reported", "joined"}:
        used["received"] = entry.body["signal"]["received"]
    if entry.kind == "reported":
        place = entry.body.get("place", {})
        used["place"] = {name: place.get(name) for name in ("street", "community")}
    return [case_id, entry.seq, entry.at, entry.kind, used]


def evidence(seen: Iterable[Seen]) -> Evidence:
    """The digest over the digests of all cases in order of their ids, and each of them."""
    ordered = sorted(seen, key=lambda one: one.id)
    total = sha256("".join(f"{one.id} {one.sha256}\n" for one in ordered).encode())
    return Evidence(
        sha256=total.hexdigest(),
        entries=sum(one.entries for one in ordered),
        cases={one.id: one.sha256 for one in ordered},
    )


class Asked(NamedTuple):
    """Which report: of which month, as of when, for which place."""

    month: str
    as_of: Instant
    place: str | None = None


def compile_month(asked: Asked, seen: Sequence[Seen], before: Sequence[Seen]) -> MonthReport:
    """The report of a month from its cases and those of the month before."""
    counted = [one for one in seen if not one.left_out]
    left = Counter(one.left_out for one in seen)
    owing = sum(bool(one.owed) for one in counted)
    return MonthReport(
        month=asked.month,
        as_of=asked.as_of,
        place=asked.place,
        lines=lines(counted),
        before=lines([one for one in before if not one.left_out]),
        streets=_groups(counted, "street"),
        scenarios=_groups(counted, "scenario"),
        missed=tuple(sorted(_missed(counted), key=_by_promise)),
        coverage=Coverage(
            cases=len(seen),
            drills=left["drill"],
            merged=left["merged"],
            counted=owing,
            without_promise=len(counted) - owing,
        ),
        evidence=evidence(seen),
    )


def lines(seen: Sequence[Seen]) -> tuple[Line, ...]:
    """Every promise over some cases."""
    return tuple(_count(p.id, [o for one in seen for o in one.owed if o.promise == p.id]) for p in PROMISES)


def _count(promise: str, found: Sequence[Owed]) -> Line:
    fates = Counter(one.fate for one in found)
    counted = fates["kept"] + fates["missed"]
    took = [one.took for one in found if one.took is not None]
    p95 = percentile(took, 95)
    return Line(
        promise=promise,
        counted=counted,
        kept=fates["kept"],
        missed=fates["missed"],
        pending=fates["pending"],
        free=fates["free"],
        share=fates["kept"] / counted if counted else None,
        median=round(median(took)) if took else None,
        p95=None if p95 is None else round(p95),
    )


def _groups(seen: Sequence[Seen], by: str) -> tuple[Group, ...]:
    """By street or scenario; what owes nothing makes no group."""
    owing = [one for one in seen if one.owed]
    keys = sorted({getattr(one, by) for one in owing}, key=lambda key: key or "~")
    return tuple(Group(key=key, lines=lines([o for o in owing if getattr(o, by) == key])) for key in keys)


_ORDER = [promise.id for promise in PROMISES]


def _by_promise(one: Missed) -> tuple[int, Instant, str]:
    return (_ORDER.index(one.promise), one.start, one.case)


def _missed(seen: Sequence[Seen]) -> Iterator[Missed]:
    for one in seen:
        for promise in one.owed:
            if promise.fate == "missed":
                yield Missed(
                    promise=promise.promise,
                    case=one.id,
                    street=one.street,
                    scenario=one.scenario,
                    start=promise.start,
                    due=promise.due,
                    took=promise.took,
                    why=promise.why,
                )


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that is told otherwise than it is counted; ``where`` is a path in the report."""

    where: str
    told: Any
    counted: Any


def compare(told: MonthReport, counted: MonthReport) -> list[Difference]:
    """Everything in which a report differs from the same one counted anew."""
    return list(_differ("", msgspec.to_builtins(told), msgspec.to_builtins(counted)))


def _differ(where: str, told: Any, counted: Any) -> Iterator[Difference]:
    if isinstance(told, dict) and isinstance(counted, dict):
        for name in dict.fromkeys([*told, *counted]):
            yield from _differ(f"{where}/{name}", told.get(name), counted.get(name))
    elif isinstance(told, list | tuple) and isinstance(counted, list | tuple):
        for number in range(max(len(told), len(counted))):
            pair = [each[number] if number < len(each) else None for each in (told, counted)]
            yield from _differ(f"{where}/{number}", *pair)
    elif told != counted:
        yield Difference(where=where, told=told, counted=counted)
