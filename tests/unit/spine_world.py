"""A small world for the spine's tests: its own few scenarios, the real store, a clock that jumps."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

import msgspec

from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import open_store
from hexi.kernel.case import Case, Entry, Rung
from hexi.kernel.catalogue import Catalogue, KindInfo, Pack
from hexi.kernel.clock import SimClock, parse_duration, parse_instant
from hexi.kernel.fold import rebuild
from hexi.kernel.place import Location, Point
from hexi.kernel.ports import Transaction
from hexi.kernel.record import Record
from hexi.kernel.response import Notice, Receipt
from hexi.kernel.scenario import parse_scenario
from hexi.kernel.signal import Signal
from hexi.kernel.text import Text
from hexi.spine.count import measure
from hexi.spine.records import keep
from hexi.spine.spine import Job, Spine
from hexi.spine.work import Outcome, Taken

MORNING, NIGHT = "2026-05-06T10:00:00+08:00", "2026-05-06T23:30:00+08:00"
T = {"zh": "{subject} {place}", "en": "{subject} {place}"}
STREET = "120103007"

_STEPS = [
    {"role": "family", "tell": ["subject.contacts"], "by": ["call", "app"], "need": 0, "text": T},
    {
        "role": "steward",
        "tell": ["subject.steward", "nearest:service_centre"],
        "by": ["call"],
        "else_by": ["sms"],
        "text": T,
    },
    {
        "role": "duty",
        "tell": ["street.duty"],
        "by": ["desk"],
        "after": "2m",
        "unless": "steward.acknowledged",
        "text": T,
    },
]
_DESK = [{"role": "duty", "tell": ["street.duty"], "by": ["desk"], "text": T}]
_EMERGENCY = {
    "severity": "extreme",
    "deadlines": {"acknowledged": "60s", "arrived": "15m", "closed": "4h"},
    "evidence": ["arrival", "outcome"],
}
_SAME = {"by": ["subject"], "within": "10m"}

SCENARIOS: dict[str, dict[str, Any]] = {
    "sos": {
        "signal": {
            "kinds": ["pendant.sos", "cord.sos"],
            "matter": "emergency",
            "sos": True,
            "same_case": _SAME,
        },
        "case": _EMERGENCY,
        "response": _STEPS,
    },
    "fall": {
        "signal": {
            "kinds": ["radar.fall"],
            "matter": "emergency",
            "when": "data.confidence >= 0.5",
            "same_case": _SAME,
        },
        "ask": {"by": ["call"], "wait": "20s"},
        "case": _EMERGENCY,
        "response": _STEPS,
    },
    "battery": {
        "signal": {"kinds": ["battery.low"], "same_case": {"by": ["device"]}, "cleared_by": ["battery.ok"]},
        "case": {"severity": "minor", "deadlines": {"closed": "3d"}, "auto_close": True},
        "response": [{"role": "family", "tell": ["subject.contacts"], "by": ["app"], "text": T}],
    },
    "often": {
        "signal": {"kinds": ["cough"], "at_least": {"times": 3, "within": "10m", "by": "subject"}},
        "case": {"severity": "moderate", "deadlines": {"closed": "1d"}},
        "response": _DESK,
    },
    "door": {
        "sequence": {"first": ["door.opened"], "then": ["door.closed"], "within": "15m", "by": "device"},
        "signal": {"matter": "door"},
        "case": {"severity": "moderate", "deadlines": {"closed": "1d"}},
        "response": _DESK,
    },
    "still": {
        "absence": {"kinds": ["motion"], "from": "05:00", "to": "09:00"},
        "signal": {"matter": "emergency"},
        "case": {"severity": "severe", "deadlines": {"acknowledged": "10m", "closed": "1d"}},
        "response": _DESK,
    },
    "silent": {
        "signal": {
            "kinds": ["device.silent"],
            "cleared_by": ["device.back"],
            "same_case": {"by": ["device"]},
        },
        "case": {"severity": "minor", "deadlines": {"closed": "3d"}, "auto_close": True},
        "response": _DESK,
    },
    "crash": {
        "signal": {"kinds": ["crash.sos", "crash.level"], "matter": "crash"},
        "case": _EMERGENCY,
        "response": [{"role": "x", "tell": ["raises"], "by": ["app"], "text": T}],
    },
}

PEOPLE: dict[tuple[str, str], dict[str, Any]] = {
    ("person", "E1"): {
        "name": "王秀英",
        "phone": "+8613900000001",
        "address": "3-401",
        "street": STREET,
        "lon": 117.21,
        "lat": 39.09,
        "steward": "W1",
    },
    ("person", "E2"): {"name": "李桂兰", "phone": "+8613900000002", "street": STREET, "steward": "W1"},
    ("person", "W1"): {"name": "赵管家", "phone": "+8613700000001"},
    ("person", "P1"): {"name": "周值班", "phone": "+8613600000001"},
    ("contact", "K1"): {
        "name": "女儿",
        "person": "E1",
        "phone": "+8613800000011",
        "quiet_hours": "22:00-07:00",
        "order": 1,
    },
    ("contact", "K2"): {
        "name": "Son",
        "person": "E1",
        "phone": "+8613800000012",
        "language": "en",
        "order": 2,
    },
    ("centre", "S1"): {
        "name": "近",
        "phone": "+861350001",
        "lon": 117.2101,
        "lat": 39.0901,
        "hours": "08:00-20:00",
    },
    ("centre", "S2"): {"name": "远", "phone": "+861350002", "lon": 117.22, "lat": 39.1, "hours": "24/7"},
    ("roster", f"street-{STREET}"): {
        "name": "街道台",
        "level": "street",
        "place": STREET,
        "addresses": [{"by": "desk", "to": "street"}],
        "shifts": [{"person": "P1", "hours": "24/7"}],
    },
    ("roster", "district"): {
        "name": "区台",
        "level": "district",
        "place": "120103",
        "addresses": [{"by": "desk", "to": "district"}],
    },
    ("device", "D1"): {"type": "pendant", "owner": "E1"},
    ("device", "D2"): {"type": "radar", "owner": "E1"},
    ("device", "D3"): {"type": "radar", "owner": "E2"},
    ("device", "D9"): {"type": "sensor", "heartbeat": "1h"},
}


def _raises(*_: object) -> list[str]:
    raise RuntimeError("a rule of a pack is broken")


@cache
def core() -> Pack:
    return load_packs().catalogue().packs["core"]


def build(
    scenarios: dict[str, dict[str, Any]], kinds: dict[str, KindInfo] | None = None, **pack: Any
) -> Catalogue:
    """A catalogue of the given scenarios and the real core."""
    made = [parse_scenario({"id": f"t.{n}", "title": {"zh": n, "en": n}, **s}) for n, s in scenarios.items()]
    named = {kind for s in made for kind in (*s.kinds(), *s.signal.cleared_by)}
    named |= {k for s in made if s.sequence for k in (*s.sequence.first, *s.sequence.then)}
    named |= {k for s in made if s.absence for k in s.absence.kinds}
    known = {
        kind: KindInfo(title=Text(zh=kind, en=kind), sos=kind.endswith(".sos"))
        for kind in sorted(named | {"heartbeat"})
    }
    own = Pack(id="t", title=Text(zh="t", en="t"), kinds=known | (kinds or {}), scenarios=tuple(made), **pack)
    return Catalogue([core(), own])


@cache
def catalogue() -> Catalogue:
    return build(SCENARIOS, recipients={"raises": _raises})


class Map:
    """A map on which every point lies in the one street."""

    def locate(self, point: Point) -> Location:
        return Location(point=point, district="120103", street=STREET)


class World:
    """The spine on an empty database with the small directory."""

    def __init__(
        self, at: str = MORNING, url: str = "sqlite:///:memory:", known: Catalogue | None = None
    ) -> None:
        self.clock = SimClock(parse_instant(at))
        self.catalogue = known or catalogue()
        self.store = open_store(url, core_kinds())
        self.down: set[tuple[str, str] | str] = set()
        """Ways, people or (person, way) whose notices fail."""
        self.held: set[str] = set()
        """Ways on which nothing is ever reported."""
        self.sent: list[Notice] = []
        self._number = 0
        with self.store.write() as tx:
            for (kind, identity), data in PEOPLE.items():
                keep(tx, core_kinds(), self.record(kind, identity, data))
        self.restart()

    def restart(self) -> None:
        self.spine = Spine(self.store, self.clock, self.catalogue, Map(), Random(7 + self._number))

    def record(self, kind: str, identity: str, data: dict[str, Any]) -> Record:
        return Record(kind=kind, id=identity, version=0, data=data, at=self.clock.now(), by="test")

    def change(self, kind: str, identity: str, **fields: Any) -> None:
        def put(tx: Transaction) -> None:
            known = tx.records.get(kind, identity)
            data = (known.data if known else {}) | fields
            keep(tx, core_kinds(), self.record(kind, identity, data))

        self.spine.process([Job(call=put)])

    def spoil(self, kind: str, identity: str, **fields: Any) -> None:
        """Put a record in the store that no check has seen."""
        with self.store.write() as tx:
            known = tx.records.get(kind, identity)
            tx.records.put(self.record(kind, identity, (known.data if known else {}) | fields))

    def signal(self, kind: str, subject: str | None, **data: Any) -> Signal:
        self._number += 1
        return Signal(
            id=data.pop("id", f"s{self._number}"),
            source=data.pop("source", "test"),
            kind=kind,
            received=self.clock.now(),
            subject=subject,
            time=data.pop("time", None),
            data=data,
        )

    def send(self, kind: str, subject: str | None, **data: Any) -> Taken:
        return self.take(self.signal(kind, subject, **data))[0]

    def take(self, *signals: Signal) -> list[Taken]:
        outcome = self.spine.take(signals)
        self.settle(outcome)
        return outcome.taken

    def act(self, case_id: str | None, act: str, by: str, **data: Any) -> Taken:
        return self.send(f"act.{act}", f"case:{case_id}", by=by, via="app", **data)

    def settle(self, outcome: Outcome) -> None:
        for notice in outcome.notices:
            self.sent.append(notice)
            receipt = self._receipt(notice)
            if receipt:
                self.settle(self.spine.process([Job(receipts=[receipt])]))

    def _receipt(self, notice: Notice) -> Receipt | None:
        if notice.way in self.held:
            return None
        bad = {notice.way, notice.recipient, (notice.recipient, notice.way)} & self.down
        if bad:
            return Receipt(notice_id=notice.id, at=self.clock.now(), error="out of reach")
        return Receipt(notice_id=notice.id, at=self.clock.now(), rung=Rung.HANDED_OVER)

    def report(self, notice: Notice, **fields: Any) -> None:
        receipt = Receipt(notice_id=notice.id, at=self.clock.now(), **fields)
        self.settle(self.spine.process([Job(receipts=[receipt])]))

    def wait(self, length: str) -> None:
        """Time passes; what falls due in it happens when it is due."""
        until = self.clock.now() + parse_duration(length)
        while (due := self._next()) is not None and due <= until:
            self.clock.set(due)
            self.settle(self.spine.tick())
            self.settle(Outcome(notices=[n for n in self.spine.owed() if n.way not in self.held]))
        self.clock.set(until)

    def _next(self) -> int | None:
        with self.store.read() as tx:
            first = tx.deadlines.next_due()
            owed = [n.next_at for n in tx.notices.waiting(2**62, 1_000) if n.way not in self.held]
        return min([*([] if first is None else [first]), *owed], default=None)

    def case(self, case_id: str | None) -> Case:
        with self.store.read() as tx:
            found = tx.cases.get(case_id or "")
        assert found is not None
        return found

    def ids(self) -> list[str]:
        with self.store.read() as tx:
            return tx.cases.ids("", 1_000)

    def cases(self, scenario: str) -> list[Case]:
        return [case for case in map(self.case, self.ids()) if case.scenario == scenario]

    def log(self, case_id: str | None) -> list[Entry]:
        with self.store.read() as tx:
            return tx.cases.log(case_id or "")

    def kinds(self, case_id: str | None) -> list[str]:
        return [entry.kind for entry in self.log(case_id)]

    def told(self, case_id: str | None) -> set[str]:
        return {notice.recipient for notice in self.case(case_id).notices.values()}

    def deadlines(self, case_id: str | None) -> list[str]:
        with self.store.read() as tx:
            return [d.key.partition("/")[2] for d in tx.deadlines.of_case(case_id or "")]

    def check(self) -> None:
        """Whatever was done: logs without gaps, rows and measures equal to what the logs add up to."""
        with self.store.read() as tx:
            for case_id in tx.cases.ids("", 1_000):
                log = tx.cases.log(case_id)
                assert [e.seq for e in log] == list(range(1, len(log) + 1))
                case = rebuild(case_id, log)
                assert tx.cases.get(case_id) == case
                fresh = sorted(measure(self.catalogue, case), key=lambda m: m.indicator)
                assert tx.measures.of_case(case_id) == fresh

    def close(self) -> None:
        self.store.close()


def core_kinds() -> dict[str, Any]:
    return {kind.id: kind for kind in core().records}


def raw(case: Case) -> dict[str, Any]:
    """A case as plain data, to compare."""
    return msgspec.to_builtins(case)
