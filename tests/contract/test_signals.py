"""Signals: a repeat is recognised, another content under the same identity is noticed."""

from __future__ import annotations

from msgspec.structs import replace
from tests.contract.make import NOW, WrongError, a_signal, going_wrong

from hexi.adapters.sql import SqlStore
from hexi.kernel.ports import Known

NEW, REPEAT, REUSED = Known.NEW, Known.REPEAT, Known.REUSED


def test_each_identity_is_new_once(store: SqlStore) -> None:
    batch = [a_signal("a"), a_signal("b"), a_signal("a", source="other")]
    with store.write() as tx:
        assert tx.signals.claim(batch) == [NEW] * 3
    with store.write() as tx:
        assert tx.signals.claim([*batch, a_signal("c")]) == [REPEAT, REPEAT, REPEAT, NEW]


def test_nothing_to_claim(store: SqlStore) -> None:
    with store.write() as tx:
        assert tx.signals.claim([]) == []


def test_other_content_under_one_identity_is_noticed(store: SqlStore) -> None:
    first = a_signal("a")
    with store.write() as tx:
        tx.signals.claim([first])
    with store.write() as tx:
        assert tx.signals.claim([a_signal("z"), replace(first, data={"moving": False})]) == [NEW, REUSED]
        assert tx.signals.claim([replace(first, kind="sos")]) == [REUSED]
        assert tx.signals.claim([replace(first, received=NOW + 9)]) == [REPEAT]


def test_the_order_of_keys_is_no_difference(store: SqlStore) -> None:
    with store.write() as tx:
        tx.signals.claim([a_signal("a", data={"x": 1, "y": {"p": 1, "q": 2}})])
        assert tx.signals.claim([a_signal("a", data={"y": {"q": 2, "p": 1}, "x": 1})]) == [REPEAT]


def test_repeats_inside_one_batch(store: SqlStore) -> None:
    a = a_signal("a")
    batch = [a, a_signal("b"), a, replace(a, data={}), a_signal("c"), a]
    with store.write() as tx:
        assert tx.signals.claim(batch) == [NEW, NEW, REPEAT, REUSED, NEW, REPEAT]


def test_an_identity_whose_transaction_failed_is_new_again(store: SqlStore) -> None:
    with going_wrong(), store.write() as tx:
        tx.signals.claim([a_signal("a")])
        raise WrongError
    with store.write() as tx:
        assert tx.signals.claim([a_signal("a")]) == [NEW]


def test_signals_come_back_whole_and_newest_first(store: SqlStore) -> None:
    signals = [
        a_signal(
            str(i),
            received=NOW + i,
            time=NOW - i,
            data={"说": "老人\u0000跌倒", "n": [1, 2.5, None]},
            flags=("drill",),
        )
        for i in range(3)
    ]
    with store.write() as tx:
        tx.signals.claim(signals)
        for i, signal in enumerate(signals):
            tx.signals.add(signal, f"C{i}" if i else None)
        assert tx.signals.recent(None, 2) == [(signals[2], "C2"), (signals[1], "C1")]
    with store.read() as tx:
        assert tx.signals.recent("device:D1", 9) == [
            (signals[2], "C2"),
            (signals[1], "C1"),
            (signals[0], None),
        ]
        assert tx.signals.recent("device:D2", 9) == []


def test_the_case_of_an_earlier_signal(store: SqlStore) -> None:
    with store.write() as tx:
        tx.signals.claim([a_signal("a"), a_signal("b")])
        tx.signals.add(a_signal("a"), "C1")
        tx.signals.add(a_signal("b"), None)
        assert tx.signals.case_of(("radar", "a")) == "C1"
        assert tx.signals.case_of(("radar", "b")) is None
        assert tx.signals.case_of(("radar", "x")) is None


def test_counting_sees_this_transaction(store: SqlStore) -> None:
    with store.write() as tx:
        for i in range(5):
            signal = a_signal(str(i), received=NOW + i, kind="sos" if i % 2 else "sos.bed")
            tx.signals.claim([signal])
            tx.signals.add(signal, None)
        assert tx.signals.count(["sos", "sos.bed"], "device:D1", NOW) == 5
        assert tx.signals.count(["sos"], "device:D1", NOW + 2) == 1
        assert tx.signals.count(["sos"], "device:D2", NOW) == 0


def test_drills_and_what_is_real_are_counted_apart(store: SqlStore) -> None:
    flags = [(), ("drill",), ("unknown_kind", "drill"), ("drill", "late"), ("late",), ("drilled",)]
    with store.write() as tx:
        batch = [a_signal(str(n), received=NOW, kind="sos", flags=said) for n, said in enumerate(flags)]
        tx.signals.claim(batch)
        for signal in batch:
            tx.signals.add(signal, None)
        assert tx.signals.count(["sos"], "device:D1", NOW) == 3
        assert tx.signals.count(["sos"], "device:D1", NOW, drill=True) == 3


def test_unmatched_are_those_of_something_unknown(store: SqlStore) -> None:
    with store.write() as tx:
        for identity, flags in (
            ("a", ("unknown_kind",)),
            ("b", ()),
            ("c", ("drill",)),
            ("d", ("clock_wrong", "unknown_person")),
        ):
            tx.signals.add(a_signal(identity, flags=flags), None)
    with store.read() as tx:
        assert [s.id for s in tx.signals.unmatched(9)] == ["d", "a"]
        assert [s.id for s in tx.signals.unmatched(1)] == ["d"]


def test_the_horizon_forgets_the_oldest_only(store: SqlStore) -> None:
    with store.write() as tx:
        for second in range(12):
            tx.signals.claim([a_signal(f"{second}-{i}", received=NOW + second) for i in range(1000)])
    with store.write() as tx:
        assert tx.signals.forget(NOW + 11) == 11_000
        assert tx.signals.forget(NOW + 11) == 0
        seen = [a_signal("10-999"), a_signal("11-0")]
        assert tx.signals.claim(seen) == [NEW, REPEAT]


def test_the_data_of_a_subject_is_erased_and_a_repeat_is_still_known(store: SqlStore) -> None:
    signals = [a_signal("a"), a_signal("b", subject="device:D2")]
    with store.write() as tx:
        tx.signals.claim(signals)
        for signal in signals:
            tx.signals.add(signal, "C1")
        assert tx.signals.erase("device:D1") == 1
        assert tx.signals.erase("device:D1") == 0
    with store.write() as tx:
        assert [s.data for s, _ in tx.signals.recent(None, 9)] == [{"moving": True}, {}]
        assert tx.signals.case_of(("radar", "a")) == "C1"
        assert tx.signals.claim(signals) == [REPEAT, REPEAT]
