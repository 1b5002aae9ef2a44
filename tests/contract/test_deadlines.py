"""Deadlines: rows that fall due, each taken once."""

from __future__ import annotations

import subprocess
import sys

from tests.contract.make import NOW, WrongError, a_deadline, going_wrong

from hexi.adapters.sql import SqlStore, open_store
from hexi.kernel.deadline import DeadlineKind

SILENCE = DeadlineKind.SILENCE


def test_what_is_due_comes_out_once_earliest_first(store: SqlStore) -> None:
    due = [a_deadline(f"k{i}", NOW + i, case_id="C1") for i in (3, 1, 2, 9)]
    with store.write() as tx:
        tx.deadlines.arm(due)
    with store.write() as tx:
        assert tx.deadlines.claim(NOW + 3, 2) == [due[1], due[2]]
        assert tx.deadlines.claim(NOW + 3, 9) == [due[0]]
        assert tx.deadlines.claim(NOW + 3, 9) == []
        assert tx.deadlines.pending() == 1


def test_a_claim_that_fails_is_not_lost(store: SqlStore) -> None:
    with store.write() as tx:
        tx.deadlines.arm([a_deadline("k", NOW)])
    with going_wrong(), store.write() as tx:
        assert len(tx.deadlines.claim(NOW, 9)) == 1
        raise WrongError
    with store.read() as tx:
        assert tx.deadlines.pending() == 1


def test_arming_a_known_key_moves_it(store: SqlStore) -> None:
    with store.write() as tx:
        tx.deadlines.arm([a_deadline("k", NOW), a_deadline("k", NOW + 5)])
    with store.write() as tx:
        tx.deadlines.arm([a_deadline("k", NOW + 9, case_id="C2")])
        assert tx.deadlines.of_case("C2") == [a_deadline("k", NOW + 9, case_id="C2")]
        assert tx.deadlines.pending() == 1


def test_cancelling(store: SqlStore) -> None:
    with store.write() as tx:
        tx.deadlines.arm([a_deadline("a", NOW), a_deadline("b", NOW)])
        tx.deadlines.cancel(["a", "unknown"])
        assert tx.deadlines.pending() == 1
        tx.deadlines.cancel(["b"])
        tx.deadlines.arm([a_deadline("b", NOW + 1)])
        assert [d.due_at for d in tx.deadlines.claim(NOW + 9, 9)] == [NOW + 1]


def test_the_deadlines_of_a_case_in_order(store: SqlStore) -> None:
    mine = [a_deadline(f"C1/{i}", NOW + i, case_id="C1") for i in range(3)]
    with store.write() as tx:
        tx.deadlines.arm([*reversed(mine), a_deadline("other", NOW, case_id="C2")])
        assert tx.deadlines.of_case("C1") == mine


def test_when_the_next_falls_due(store: SqlStore) -> None:
    with store.write() as tx:
        assert tx.deadlines.next_due() is None
        tx.deadlines.arm([a_deadline("a", NOW + 5), a_deadline("b", NOW + 3)])
        assert tx.deadlines.next_due() == NOW + 3
        tx.deadlines.cancel(["b"])
        assert tx.deadlines.next_due() == NOW + 5


def test_two_processes_never_take_the_same(shared_url: str) -> None:
    store = open_store(shared_url)
    with store.write() as tx:
        tx.deadlines.arm(a_deadline(f"k{i}", NOW - i) for i in range(1000))
    store.close()
    command = [sys.executable, "-m", "tests.contract.worker", "claim", shared_url]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    taken = [key for process in both for key in process.communicate(timeout=60)[0].split()]
    assert sorted(taken) == sorted(f"k{i}" for i in range(1000))


def test_what_is_pending_under_a_key(store: SqlStore) -> None:
    with store.write() as tx:
        assert tx.deadlines.get("a") is None
        tx.deadlines.arm([a_deadline("a", NOW)])
        assert tx.deadlines.get("a") == a_deadline("a", NOW)
    with store.write() as tx:
        assert tx.deadlines.get("a") == a_deadline("a", NOW)
        tx.deadlines.cancel(["a"])
        assert tx.deadlines.get("a") is None
    with store.read() as tx:
        assert tx.deadlines.get("a") is None
