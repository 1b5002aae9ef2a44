"""Cases: one log, one current row, one holder of each key."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace
from tests.contract.make import NOW, a_case, folded

from hexi.adapters.sql import SqlStore
from hexi.kernel.case import Case, Entry
from hexi.kernel.fold import apply, rebuild
from hexi.kernel.ports import CaseFilter


def _save(store: SqlStore, case_id: str, **changes: object) -> Case:
    case, entries = a_case(case_id, **changes)
    with store.write() as tx:
        tx.cases.save(case, entries)
    return case


def _append(store: SqlStore, case_id: str, kind: str, **body: object) -> None:
    with store.write() as tx:
        case = tx.cases.get(case_id)
        assert case is not None
        entry = Entry(seq=case.version + 1, at=NOW + case.version, kind=kind, by="person:W1", body=body)
        apply(case, entry)
        tx.cases.save(case, [entry])


def test_a_case_saved_over_several_transactions_is_what_its_log_says(store: SqlStore) -> None:
    _save(store, "C1")
    _append(store, "C1", "planned", step="s1", role="family", due=NOW, need=1)
    told = {"role": "family", "recipient": "contact:K1", "way": "call", "step": "s1", "t0": NOW}
    _append(store, "C1", "told", notice="N1", **told)
    _append(store, "C1", "acknowledged", role="family")
    _append(store, "C1", "evidence", type="text", note="N1")
    _append(store, "C1", "closed", outcome="helped")
    with store.read() as tx:
        current, log = tx.cases.get("C1"), tx.cases.log("C1")
    assert [entry.seq for entry in log] == [1, 2, 3, 4, 5, 6]
    assert current == rebuild("C1", log)
    assert current is not None
    assert (current.outcome, len(current.evidence)) == ("helped", 1)


def test_reading_sees_what_this_transaction_wrote(store: SqlStore) -> None:
    case, entries = a_case("C1")
    with store.write() as tx:
        assert tx.cases.get("C1") is None
        tx.cases.save(case, entries)
        assert tx.cases.get("C1") == case
        assert tx.cases.log("C1") == entries
        assert [row.id for row in tx.cases.find(CaseFilter(), 9)] == ["C1"]
        assert tx.cases.count(CaseFilter()) == 1
        assert tx.cases.ids("", 9) == ["C1"]


@pytest.mark.parametrize("count", [1, 9, 10, 101, 237])
def test_cases_read_ahead_are_one_object_each(store: SqlStore, count: int) -> None:
    ids = [f"C{number}" for number in range(count)]
    saved = [_save(store, case_id) for case_id in ids]
    with store.write() as tx:
        fresh, entries = a_case("fresh")
        tx.cases.save(fresh, entries)
        tx.cases.load([*ids, "none", "fresh", *ids[:3]])
        found = [tx.cases.get(case_id) for case_id in ids]
        assert found == saved
        tx.cases.load(ids)
        assert all(tx.cases.get(case_id) is case for case_id, case in zip(ids, found, strict=True))
        assert tx.cases.get("fresh") is fresh
        assert tx.cases.get("none") is None


def test_a_log_entry_is_never_written_twice(store: SqlStore) -> None:
    case, entries = a_case("C1")
    _save(store, "C1")
    with pytest.raises(Exception, match=r"(?i)unique"), store.write() as tx:
        tx.cases.save(case, entries)


def test_replacing_the_row_leaves_the_log(store: SqlStore) -> None:
    case = _save(store, "C1")
    with store.write() as tx:
        case.level = "district"
        tx.cases.replace(case)
    with store.read() as tx:
        found = tx.cases.get("C1")
        assert found is not None
        assert (found.level, len(tx.cases.log("C1"))) == ("district", 1)


def test_the_row_carries_what_lists_show(store: SqlStore) -> None:
    _save(store, "C1", drill=True)
    with store.read() as tx:
        [row] = tx.cases.find(CaseFilter(), 9)
    assert (row.id, row.severity, row.drill, row.street) == ("C1", 0, True, "120105001")
    assert (row.lon, row.lat, row.next_due, row.closed_at) == (117.2, 39.1, NOW + 900_000, None)


def test_open_cases_by_time_left_then_severity_the_rest_newest_first(store: SqlStore) -> None:
    _save(store, "late", promises={"closed": NOW + 500})
    _save(store, "mild", promises={"closed": NOW + 100}, severity="minor")
    _save(store, "bad", promises={"closed": NOW + 100})
    _save(store, "none", promises={})
    for number, case_id in enumerate(("old", "new")):
        _save(store, case_id, at=NOW + number)
        _append(store, case_id, "closed", outcome="helped")
    with store.read() as tx:
        ids = [row.id for row in tx.cases.find(CaseFilter(), 9)]
        assert ids == ["bad", "mild", "late", "none", "new", "old"]
        assert [row.id for row in tx.cases.find(CaseFilter(open=True), 2, 1)] == ["mild", "late"]
        assert [row.id for row in tx.cases.find(CaseFilter(open=False), 9)] == ["new", "old"]
        for offset in range(6):
            assert [row.id for row in tx.cases.find(CaseFilter(), 2, offset)] == ids[offset : offset + 2]
        assert [tx.cases.count(CaseFilter(open=o)) for o in (None, True, False)] == [6, 4, 2]


def test_filters(store: SqlStore) -> None:
    _save(store, "260501-7K3Q", device="device:D1")
    _save(
        store,
        "260502-AAAA",
        at=NOW + 1000,
        subject="person:E2",
        scenario="elder_care.fall_50%",
        place={"street": "s2"},
    )
    wanted = {
        "260501-7K3Q": [
            {"street": "120105001"},
            {"community": "120105001001"},
            {"device": "device:D1"},
            {"subject": "person:E1"},
            {"until": NOW + 1000},
            {"text": "7k3q"},
            {"text": "PENDANT"},
            {"text": "person:e1"},
        ],
        "260502-AAAA": [
            {"street": "s2"},
            {"scenario": "elder_care.fall_50%"},
            {"since": NOW + 1000},
            {"text": "0%"},
        ],
    }
    with store.read() as tx:
        for case_id, filters in wanted.items():
            for values in filters:
                assert [row.id for row in tx.cases.find(CaseFilter(**values), 9)] == [case_id], values
        assert tx.cases.find(CaseFilter(text="_alarm"), 9) == []


def test_walking_all_ids(store: SqlStore) -> None:
    for case_id in ("b", "a", "C", "d"):
        _save(store, case_id)
    with store.read() as tx:
        assert tx.cases.ids("", 2) == ["C", "a"]
        assert tx.cases.ids("a", 9) == ["b", "d"]


def test_a_key_is_held_while_open_and_for_a_time_after(store: SqlStore) -> None:
    with store.write() as tx:
        assert tx.cases.fold("k", "C1", NOW) == "C1"
        assert tx.cases.fold("k", "C2", NOW) == "C1"
        tx.cases.release_fold("k", NOW + 100)
    with store.write() as tx:
        assert tx.cases.fold("k", "C3", NOW + 100) == "C1"
        assert tx.cases.fold("k", "C4", NOW + 101) == "C4"
        assert tx.cases.fold("k", "C5", NOW + 999) == "C4"
        tx.cases.release_fold("k", NOW + 100)
        tx.cases.hold_fold("k", "C1")
        assert tx.cases.fold("k", "C6", NOW + 999) == "C1"


def test_the_holder_of_a_key_can_be_looked_up(store: SqlStore) -> None:
    with store.write() as tx:
        assert tx.cases.holder("k") is None
        tx.cases.fold("k", "C1", NOW)
        assert tx.cases.holder("k") == "C1"


def test_two_processes_never_open_two_cases_for_one_key(shared_url: str) -> None:
    command = [sys.executable, "-m", "tests.contract.worker", "fold", shared_url]
    both = [
        subprocess.Popen([*command, name, "200"], stdout=subprocess.PIPE, text=True)
        for name in ("left", "right")
    ]
    left, right = (process.communicate(timeout=60)[0].split() for process in both)
    assert len(left) == 200
    assert left == right


def test_two_threads_of_one_store_agree(store: SqlStore) -> None:
    def run(name: str) -> list[str]:
        found = []
        for number in range(50):
            with store.write() as tx:
                found.append(tx.cases.fold(f"key-{number}", f"{name}-{number}", NOW))
        return found

    with ThreadPoolExecutor(2) as pool:
        left, right = pool.map(run, ("left", "right"))
    assert left == right


def test_keys_of_cases_long_closed_are_forgotten(store: SqlStore) -> None:
    with store.write() as tx:
        for number in range(4):
            tx.cases.fold(f"key-{number}", f"C{number}", NOW)
        for number in range(3):
            tx.cases.release_fold(f"key-{number}", NOW + number)
        assert tx.cases.forget_folds(NOW + 2) == 2
        assert tx.cases.forget_folds(NOW + 2) == 0
        assert [tx.cases.holder(f"key-{n}") for n in range(4)] == [None, None, "C2", "C3"]


def test_a_log_can_be_redacted_and_the_row_follows(store: SqlStore) -> None:
    case, entries = a_case("C1")
    with store.write() as tx:
        tx.cases.save(case, entries)
    bare = [replace(entry, body=entry.body | {"place": {"street": "120105001"}}) for entry in entries]
    with store.write() as tx:
        tx.cases.redact(folded("C1", bare), bare)
    with store.read() as tx:
        assert tx.cases.log("C1") == bare
        assert tx.cases.get("C1") == folded("C1", bare)
        assert [(row.lon, row.street) for row in tx.cases.find(CaseFilter(), 9)] == [(None, "120105001")]
