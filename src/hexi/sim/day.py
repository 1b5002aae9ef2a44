"""Plays a ``day.toml``: the real spine on a real store, a simulated clock, telephones that always ring.

A whole day takes about a second: the clock jumps from one thing that happens to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import msgspec

from hexi.adapters.geo import read_index
from hexi.adapters.packs.load import Loaded
from hexi.adapters.sql import open_store
from hexi.kernel.case import Case, Entry
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import Instant, SimClock
from hexi.kernel.ports import CaseFilter, MeasureFilter, Transaction
from hexi.kernel.record import Record
from hexi.kernel.response import Notice
from hexi.kernel.signal import ACT_PREFIX, Flag, Signal
from hexi.sim.day_file import (
    ActEvent,
    CaseName,
    Day,
    DayFileError,
    Event,
    Expect,
    RecordEvent,
    SignalEvent,
    parse_day,
)
from hexi.sim.day_judge import Finding, Seen, judge_case, judge_figure, judge_totals
from hexi.sim.day_phones import Phones
from hexi.spine.count import read
from hexi.spine.records import keep
from hexi.spine.spine import Job, Spine
from hexi.spine.work import Outcome, Taken

FOREVER: Instant = 2**62
MOST = 100_000
"""More steps than any day has: a clock that does not get on is an error of ours."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """An event or an expectation, when it came, and what was not as it should be."""

    at: Instant
    event: Event | None = None
    expect: Expect | None = None
    findings: tuple[Finding, ...] = ()


class Story(msgspec.Struct, kw_only=True):
    """What happened to one case: its end and its whole log."""

    case: Case
    log: list[Entry]


class DayReport(msgspec.Struct, kw_only=True):
    """A day that has been played."""

    pack: str
    day: Day
    moments: list[Moment]
    stories: list[Story]
    names: dict[str, str]
    """Reference -> name, for everyone in the day's directory."""

    @property
    def failures(self) -> list[tuple[Moment, Finding]]:
        """Everything that was not as it should be."""
        return [(moment, finding) for moment in self.moments for finding in moment.findings]


def day_of(loaded: Loaded, pack: str) -> Day:
    """The day of a pack; KeyError when there is no such pack, DayFileError when its file is wrong."""
    source = next((s for s in loaded.sources if s.manifest.id == pack), None)
    if source is None or not source.day_file.exists():
        raise KeyError(pack)
    broken = [p for p in loaded.problems if p.file == str(source.day_file)]
    if broken:
        raise DayFileError(broken)
    return parse_day(source.day, source.day_file)


def play_pack(loaded: Loaded, pack: str) -> DayReport:
    """Play the day of one pack with the catalogue of all."""
    return play(day_of(loaded, pack), loaded.catalogue(), pack)


def play(day: Day, catalogue: Catalogue, pack: str, store: str = "sqlite:///:memory:") -> DayReport:
    """Play a day on a store of its own."""
    return _Player(day, catalogue, pack, store).play()


class _Player:
    """One day being played."""

    def __init__(self, day: Day, catalogue: Catalogue, pack: str, store: str) -> None:
        self.day = day
        self.pack = pack
        self.clock = SimClock(day.begins)
        self.store = open_store(store, catalogue.record_kinds)
        self.phones = Phones()
        self.names: dict[str, str] = {}
        self._number = 0
        self._fill(catalogue)
        with self.store.read() as tx:
            places = read_index(tx)
        self.spine = Spine(self.store, self.clock, catalogue, places, Random(day.seed))  # noqa: S311 -- ids only

    def _fill(self, catalogue: Catalogue) -> None:
        with self.store.write() as tx:
            for kind, records in self.day.records.items():
                for identity, data in records.items():
                    keep(tx, catalogue.record_kinds, self._record(kind, identity, data))

    def _record(self, kind: str, identity: str, data: dict[str, Any]) -> Record:
        self.names[f"{kind}:{identity}"] = str(data.get("name", identity))
        return Record(kind=kind, id=identity, version=0, data=data, at=self.clock.now(), by="day")

    def play(self) -> DayReport:
        """From midnight to midnight; at one instant, first what is due, then events, then expectations."""
        try:
            moments = [self._reach(item) for item in _in_order(self.day)]
            moments.append(Moment(at=self.clock.now(), findings=tuple(self._troubles())))
            stories = self._stories()
        finally:
            self.store.close()
        return DayReport(pack=self.pack, day=self.day, moments=moments, stories=stories, names=self.names)

    def _reach(self, item: Event | Expect) -> Moment:
        at = self.day.instant(item.at)
        self._advance(at)
        if isinstance(item, Event):
            return Moment(at=at, event=item, findings=tuple(self._happen(item)))
        return Moment(at=at, expect=item, findings=tuple(self._judge(item)))

    def _troubles(self) -> list[Finding]:
        """What the platform itself stumbled over; a day has none."""
        with self.store.read() as tx:
            return [Finding("platform", "no trouble", item.reason) for item in tx.quarantine.find(MOST)]

    # -- time

    def _advance(self, until: Instant) -> None:
        for _ in range(MOST):
            due = self._next_due()
            if due > until:
                self.clock.set(until)
                return
            self.clock.set(due)
            self._settle(self.spine.tick())
            self._send(self.spine.owed())
        raise RuntimeError(f"the day does not get past {self.clock.now()}")

    def _next_due(self) -> Instant:
        with self.store.read() as tx:
            first = tx.deadlines.next_due()
            waiting = [n.next_at for n in tx.notices.waiting(FOREVER, MOST) if not self.phones.hangs(n.id)]
        return min([FOREVER if first is None else first, *waiting])

    def _settle(self, outcome: Outcome) -> None:
        self._send(outcome.notices)

    def _send(self, notices: Sequence[Notice]) -> None:
        """Telephones answer at once; what their receipts lead to is sent as well."""
        now = self.clock.now()
        receipts = [self.phones.send(n, now) for n in notices if not self.phones.hangs(n.id)]
        known = [receipt for receipt in receipts if receipt]
        if known:
            self._settle(self.spine.process([Job(receipts=known)]))

    # -- what happens

    def _happen(self, event: Event) -> list[Finding]:
        if event.signal:
            return self._signal(event.signal)
        if event.act:
            return self._act(event.act)
        if event.record:
            return self._change(event.record)
        if event.fault:
            self.phones.set(event.fault.does, event.fault.way, event.fault.to)
            self._send(self.spine.owed())
        return []

    def _signal(self, said: SignalEvent) -> list[Finding]:
        signal = Signal(
            id=said.id or self._identity(),
            source=said.source,
            kind=said.kind,
            received=self.clock.now(),
            time=None if said.time is None else self.day.instant(said.time),
            subject=said.subject,
            data=said.data,
            flags=(Flag.DRILL,) if said.data.get("drill") is True else (),
        )
        taken = self._take([signal] * said.copies)
        return [
            Finding(f"signal {said.kind}", "taken without trouble", "an error of the platform")
            for one in taken
            if "failed" in one.flags
        ]

    def _identity(self) -> str:
        self._number += 1
        return f"{self.pack}-{self._number}"

    def _take(self, signals: list[Signal]) -> list[Taken]:
        outcome = self.spine.take(signals)
        self._settle(outcome)
        return outcome.taken

    def _act(self, act: ActEvent) -> list[Finding]:
        case = self._case(act.case)
        if case is None:
            return [Finding(f"act on {act.case}", "such a case", "none")]
        kind, data = self._meant(act, case)
        if kind is None:
            return [Finding(f"reply {act.reply} of {act.by}", "a notice with that digit", "none")]
        signal = Signal(
            id=self._identity(),
            source="day",
            kind=ACT_PREFIX + kind,
            received=self.clock.now(),
            subject=f"case:{case.id}",
            data={"by": act.by, "via": act.via, **data, **act.data},
        )
        return _unwanted(act, self._take([signal])[0])

    def _meant(self, act: ActEvent, case: Case) -> tuple[str | None, dict[str, Any]]:
        """The act that was named, or that a digit means in the latest notice to its sender."""
        if act.do:
            return act.do, {}
        with self.store.read() as tx:
            notices = [n for n in tx.notices.of_case(case.id) if n.recipient == act.by]
        for notice in reversed(notices):
            if act.reply in notice.replies:
                return notice.replies[act.reply], {"role": notice.role}
        return None, {}

    def _change(self, change: RecordEvent) -> list[Finding]:
        kinds = self.spine.catalogue.record_kinds

        def put(tx: Transaction) -> None:
            known = tx.records.get(change.kind, change.id)
            data = {**(known.data if known else {}), **change.data}
            keep(tx, kinds, self._record(change.kind, change.id, data))

        job = Job(call=put)
        self._settle(self.spine.process([job]))
        return [Finding(f"record {change.kind}:{change.id}", "stored", str(job.error))] if job.error else []

    # -- what is expected

    def _judge(self, expect: Expect) -> list[Finding]:
        found = []
        if expect.case:
            found += self._judge_case(expect, expect.case)
        with self.store.read() as tx:
            if expect.totals:
                found += judge_totals(expect.totals, _totals(_cases(tx)))
            for name, wanted in expect.indicators.items():
                full = name if "." in name else f"{self.pack}.{name}"
                if full not in self.spine.catalogue.indicators:
                    found.append(Finding(f"indicators.{name}", "an indicator", "none of that name"))
                    continue
                figure = read(tx, self.spine.catalogue, full, MeasureFilter())
                found += judge_figure(name, wanted, figure)
        return found

    def _judge_case(self, expect: Expect, name: CaseName) -> list[Finding]:
        with self.store.read() as tx:
            cases = self._named(tx, name)
            found = []
            if expect.cases is not None and expect.cases != len(cases):
                found.append(Finding(f"cases {name}", str(expect.cases), str(len(cases))))
            if not expect.about_case:
                return found or ([] if cases or expect.cases == 0 else [Finding(str(name), "a case", "none")])
            if not cases:
                return [*found, Finding(str(name), "a case", "none")]
            case = cases[-1]
            texts = [notice.text for notice in tx.notices.of_case(case.id)]
            return found + judge_case(expect, Seen(case, tx.cases.log(case.id), texts))

    def _case(self, name: CaseName) -> Case | None:
        with self.store.read() as tx:
            named = self._named(tx, name)
        return named[-1] if named else None

    def _named(self, tx: Transaction, name: CaseName) -> list[Case]:
        scenario = name.scenario if "." in name.scenario else f"{self.pack}.{name.scenario}"
        return [c for c in _cases(tx) if scenario in c.scenarios and name.of in {c.subject, c.device}]

    def _stories(self) -> list[Story]:
        with self.store.read() as tx:
            return [Story(case=case, log=tx.cases.log(case.id)) for case in _cases(tx)]


def _in_order(day: Day) -> list[Event | Expect]:
    events: list[Event | Expect] = [*day.event, *day.expect]
    return sorted(events, key=lambda item: (item.at, isinstance(item, Expect)))


def _unwanted(act: ActEvent, taken: Taken) -> list[Finding]:
    refused = taken.fate == "refused"
    if refused == act.refused and "failed" not in taken.flags:
        return []
    what = f"act {act.do or act.reply} of {act.by} on {act.case}"
    reason = taken.error.en if taken.error else ", ".join(taken.flags)
    return [Finding(what, "refused" if act.refused else "accepted", f"{taken.fate} {reason}".strip())]


def _cases(tx: Transaction) -> list[Case]:
    """Every case, oldest first."""
    rows = tx.cases.find(CaseFilter(), MOST)
    found = [tx.cases.get(row.id) for row in rows]
    return sorted((case for case in found if case), key=lambda case: (case.opened_at, case.id))


def _totals(cases: Iterable[Case]) -> dict[str, int]:
    every = list(cases)
    return {
        "cases": len(every),
        "open": sum(case.is_open for case in every),
        "drills": sum(case.drill for case in every),
        "escalated": sum("escalated" in case.milestones for case in every),
        "notices": sum(len(case.notices) for case in every),
    }
