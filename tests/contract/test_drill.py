"""Drills and reports read and write the same on every store."""

from __future__ import annotations

from random import Random

from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import SqlStore
from hexi.kernel.clock import MINUTE, SimClock, parse_instant
from hexi.kernel.place import Location, Point
from hexi.kernel.report import Asked, span_of
from hexi.kernel.signal import Flag, Signal
from hexi.spine import drill
from hexi.spine.drill_plan import parse_plan
from hexi.spine.report import check_rows, month_report
from hexi.spine.spine import Spine

START = parse_instant("2026-05-06T10:00:00+08:00")
PLAN = {
    "id": "t.one",
    "title": {"zh": "试", "en": "Try"},
    "about": {"zh": "试", "en": "Try"},
    "lasts": "2m",
    "cast": {"device": "pendant"},
    "signal": [{"kind": "pendant.sos"}],
}


class Nowhere:
    def locate(self, point: Point) -> Location:
        return Location(point=point)


def test_a_drill_and_a_real_case_from_beginning_to_report(store: SqlStore) -> None:
    clock = SimClock(START)
    spine = Spine(store, clock, load_packs().catalogue(), Nowhere(), Random(1))
    begun = drill.Begun(by="token:t", at=START, live=False, send="sink")
    with store.write() as tx:
        for name in ("260101-000000", "260506-100000"):
            drill.begin(tx, name, parse_plan(PLAN), begun)
    subject = "person:E1"
    real = Signal(id="1", source="gateway", kind="pendant.sos", received=START, subject=subject)
    exercise = Signal(
        id="1",
        source="drill:260506-100000",
        kind="pendant.sos",
        received=START,
        subject=subject,
        flags=(Flag.DRILL,),
    )
    one, other = spine.take([real, exercise]).taken
    clock.advance(3 * MINUTE)
    spine.tick()
    with store.read() as tx:
        assert [record.id for record in drill.every(tx, 1)] == ["260506-100000"]
        state = drill.find(tx, "260506-100000")
        assert state
        assert (state.cases, state.ended) == ([other.case_id], clock.now())
        report = month_report(tx, Asked("2026-05", clock.now()))
        assert (report.coverage.cases, report.coverage.drills) == (2, 1)
        assert [m.case for m in report.missed] == [one.case_id, one.case_id]
        assert check_rows(tx, spine.catalogue, "2026-05") == []
        later = month_report(tx, Asked("2026-05", span_of("2026-05").until))
    assert later.evidence == report.evidence
