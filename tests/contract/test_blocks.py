"""Many rows at once: as they would be one by one, whatever their number."""

from __future__ import annotations

import pytest
from tests.contract.make import (
    NOW,
    a_case,
    a_deadline,
    a_measure,
    a_notice,
    a_signal,
)

from hexi.adapters.sql import SqlStore
from hexi.adapters.sql.transaction import SqlTransaction
from hexi.kernel.ports import Known, MeasureFilter
from hexi.kernel.response import NoticeState

MANY = 237
"""Two whole blocks of a hundred, three of ten, and seven rows that are left."""


@pytest.mark.parametrize("count", [1, 9, 10, 11, 100, 101, MANY])
def test_signals(store: SqlStore, count: int) -> None:
    signals = [a_signal(f"s{number:03}", flags=("drill",) if number % 2 else ()) for number in range(count)]
    with store.write() as tx:
        assert tx.signals.claim(signals) == [Known.NEW] * count
        for number, signal in enumerate(signals):
            tx.signals.add(signal, f"C{number}" if number % 3 else None)
    with store.read() as tx:
        assert [signal for signal, _ in tx.signals.recent(None, 1_000)] == signals[::-1]


def test_a_repeat_in_every_block(store: SqlStore) -> None:
    signals = [a_signal(f"s{number:03}") for number in range(MANY)]
    again = {0, 57, 99, 100, 199, 200, 215, 230, 236}
    with store.write() as tx:
        tx.signals.claim([signals[number] for number in again])
    with store.write() as tx:
        known = tx.signals.claim(signals)
    assert {number for number, found in enumerate(known) if found is Known.REPEAT} == again


def test_deadlines_move_and_are_cancelled(store: SqlStore) -> None:
    keys = [f"d{number:03}" for number in range(MANY)]
    with store.write() as tx:
        tx.deadlines.arm(a_deadline(key, NOW) for key in keys)
    with store.write() as tx:
        tx.deadlines.arm(a_deadline(key, NOW + 5) for key in keys[:150])
        tx.deadlines.cancel(keys[100:])
    with store.write() as tx:
        assert [d.key for d in tx.deadlines.claim(NOW + 4, 1_000)] == []
        assert [d.key for d in tx.deadlines.claim(NOW + 5, 1_000)] == keys[:100]


def test_notices_change(store: SqlStore) -> None:
    notices = [a_notice(f"n{number:03}") for number in range(MANY)]
    with store.write() as tx:
        for notice in notices:
            tx.notices.add(notice)
    sent = [a_notice(f"n{number:03}", state=NoticeState.HANDED, attempts=1) for number in range(1, MANY)]
    with store.write() as tx:
        for notice in sent:
            tx.notices.update(notice)
    with store.read() as tx:
        assert tx.notices.of_case("C1") == [notices[0], *sent]
        assert tx.notices.waiting(NOW, 1_000) == [notices[0]]


def test_a_change_of_a_notice_that_is_not_there_makes_none(store: SqlStore) -> None:
    with store.write() as tx:
        for number in range(12):
            tx.notices.update(a_notice(f"n{number}"))
    with store.read() as tx:
        assert tx.notices.of_case("C1") == []


def test_cases_and_their_measures(store: SqlStore) -> None:
    made = [a_case(f"C{number:03}") for number in range(MANY)]
    with store.write() as tx:
        for case, entries in made:
            tx.cases.save(case, entries)
            tx.measures.put([a_measure(name, case.id, hit=None) for name in "abc"], case.id)
    with store.write() as tx:
        for case, _ in made:
            tx.measures.put([a_measure("a", case.id, hit=1), a_measure("b", case.id, hit=None)], case.id)
    with store.read() as tx:
        assert tx.cases.ids("", 1_000) == [case.id for case, _ in made]
        assert all(tx.cases.get(case.id) == case and tx.cases.log(case.id) == log for case, log in made)
        hits = {name: [m.hit for m in tx.measures.rows(name, MeasureFilter())] for name in "abc"}
    assert hits == {"a": [1] * MANY, "b": [None] * MANY, "c": []}


def test_a_row_that_cannot_be_kept_undoes_its_whole_part(store: SqlStore) -> None:
    """Also the rows before it in the same statement."""

    def fail(tx: SqlTransaction) -> None:
        with tx.part():
            for number in range(50):
                tx.notices.add(a_notice(f"n{number}", case_id=None if number == 49 else "C1"))
            tx.notices.of_case("C1")

    with store.write() as tx:
        with pytest.raises(Exception, match=r"(?i)null"):
            fail(tx)
        tx.notices.add(a_notice("after"))
    with store.read() as tx:
        assert [notice.id for notice in tx.notices.of_case("C1")] == ["after"]
