"""A small world for scenario tests: the directory of elder care's day, the real spine, a clock that jumps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from hexi.adapters.geo import read_index
from hexi.adapters.packs.load import Loaded, load_packs
from hexi.adapters.sql import open_store
from hexi.kernel.case import Case, Entry
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import SimClock, parse_duration, parse_instant
from hexi.kernel.ports import CaseFilter, Store, Transaction
from hexi.kernel.record import Record
from hexi.kernel.response import Notice
from hexi.kernel.signal import Signal
from hexi.sim.day import day_of
from hexi.sim.day_phones import Phones
from hexi.spine.records import keep
from hexi.spine.spine import Job, Spine
from hexi.spine.work import Outcome, Taken

NIGHT, MORNING = "2026-05-06T03:10:00+08:00", "2026-05-06T10:00:00+08:00"


DATABASES: list[Callable[[], str]] = [lambda: "sqlite:///:memory:"]
"""Where a world without a store of its own lives: the last of them says."""

STORES: list[Store] = []
"""What worlds have opened."""


@cache
def loaded() -> Loaded:
    return load_packs()


@cache
def catalogue() -> Catalogue:
    return loaded().catalogue()


@dataclass
class Told:
    """Who has been handed a notice of a case."""

    notices: list[Notice]

    def __contains__(self, ref: str) -> bool:
        return any(n.recipient == ref for n in self.notices)

    def count(self, ref: str) -> int:
        return sum(n.recipient == ref for n in self.notices)


class World:
    """Everything a scenario needs, standing at an instant."""

    def __init__(self, at: str = NIGHT, store: str = "", *, fill: bool = True) -> None:
        self.clock = SimClock(parse_instant(at))
        self.store = open_store(store or DATABASES[-1](), catalogue().record_kinds)
        STORES.append(self.store)
        self.phones = Phones()
        self._number = 0
        if fill:
            self._fill()
        with self.store.read() as tx:
            self.places = read_index(tx)
        self.restart()

    def _fill(self) -> None:
        with self.store.write() as tx:
            for kind, records in day_of(loaded(), "elder_care").records.items():
                for identity, data in records.items():
                    keep(tx, catalogue().record_kinds, self._record(kind, identity, data))

    def _record(self, kind: str, identity: str, data: dict[str, Any]) -> Record:
        return Record(kind=kind, id=identity, version=0, data=data, at=self.clock.now(), by="test")

    def restart(self) -> None:
        """The process ends and another one starts on the same database."""
        self.spine = Spine(self.store, self.clock, catalogue(), self.places, Random())

    def change(self, kind: str, identity: str, **fields: Any) -> None:
        def put(tx: Transaction) -> None:
            known = tx.records.get(kind, identity)
            keep(
                tx,
                catalogue().record_kinds,
                self._record(kind, identity, (known.data if known else {}) | fields),
            )

        job = Job(call=put)
        self._settle(self.spine.process([job]))
        assert job.error is None, job.error

    def signal(self, kind: str, subject: str | None, **fields: Any) -> Signal:
        self._number += 1
        return Signal(
            id=fields.pop("id", f"s{self._number}"),
            source=fields.pop("source", "test"),
            kind=kind,
            received=self.clock.now(),
            subject=subject,
            time=fields.pop("time", None),
            flags=fields.pop("flags", ()),
            data=fields,
        )

    def send(self, kind: str, subject: str | None, **fields: Any) -> Taken:
        return self.take(self.signal(kind, subject, **fields))[0]

    def take(self, *signals: Signal) -> list[Taken]:
        outcome = self.spine.take(signals)
        self._settle(outcome)
        assert not [t for t in outcome.taken if "failed" in t.flags]
        return outcome.taken

    def act(self, case_id: str | None, do: str, by: str, **fields: Any) -> Taken:
        return self.send(f"act.{do}", f"case:{case_id}", by=by, via="app", **fields)

    def wait(self, length: str) -> None:
        """Time passes, and everything that falls due in it happens."""
        until = self.clock.now() + parse_duration(length)
        while (due := self._next_due()) is not None and due <= until:
            self.clock.set(due)
            self._settle(self.spine.tick())
            self._send(self.spine.owed())
        self.clock.set(until)

    def _next_due(self) -> int | None:
        with self.store.read() as tx:
            first = tx.deadlines.next_due()
            waiting = [n.next_at for n in tx.notices.waiting(2**62, 1_000) if not self.phones.hangs(n.id)]
        return min([*([] if first is None else [first]), *waiting], default=None)

    def _settle(self, outcome: Outcome) -> None:
        self._send(outcome.notices)

    def _send(self, notices: list[Notice]) -> None:
        sent = [self.phones.send(n, self.clock.now()) for n in notices if not self.phones.hangs(n.id)]
        receipts = [receipt for receipt in sent if receipt]
        if receipts:
            self._settle(self.spine.process([Job(receipts=receipts)]))

    def cases(self) -> list[Case]:
        with self.store.read() as tx:
            found = [tx.cases.get(row.id) for row in tx.cases.find(CaseFilter(), 1_000)]
        return sorted((case for case in found if case), key=lambda case: (case.opened_at, case.id))

    def case(self, case_id: str | None) -> Case:
        with self.store.read() as tx:
            found = tx.cases.get(case_id or "")
        assert found is not None
        return found

    def log(self, case_id: str | None) -> list[Entry]:
        with self.store.read() as tx:
            return tx.cases.log(case_id or "")

    def kinds(self, case_id: str | None) -> list[str]:
        return [entry.kind for entry in self.log(case_id)]

    def told(self, case_id: str | None) -> Told:
        rung = {n for n, trace in self.case(case_id).notices.items() if "L1" in trace.rungs}
        with self.store.read() as tx:
            return Told([n for n in tx.notices.of_case(case_id or "") if n.id in rung])
