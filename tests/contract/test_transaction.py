"""One atomic unit over all ports; a part that can fail alone; failures in the words of the port."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.contract.make import (
    NOW,
    WrongError,
    a_case,
    a_deadline,
    a_measure,
    a_notice,
    a_record,
    a_signal,
    going_wrong,
)

from hexi.adapters.sql import SqlStore, open_store
from hexi.adapters.sql import store as store_module
from hexi.kernel.case import Entry
from hexi.kernel.fold import apply, rebuild
from hexi.kernel.ports import CaseFilter, Known, StoreError, Transaction


def _write_everything(tx: Transaction, name: str) -> None:
    tx.signals.claim([a_signal(name)])
    tx.signals.add(a_signal(name), name)
    tx.heard.note({name: NOW})
    case, entries = a_case(name)
    tx.cases.fold(name, name, NOW)
    tx.cases.save(case, entries)
    tx.deadlines.arm([a_deadline(name, NOW, case_id=name)])
    tx.notices.add(a_notice(name, case_id=name))
    tx.measures.put([a_measure("i", name)], name)
    tx.records.put(a_record("person", name))
    tx.settings.put(name, "1")


def _present(tx: Transaction, name: str) -> set[bool]:
    return {
        tx.signals.case_of(("radar", name)) is not None,
        tx.heard.last(name) is not None,
        tx.cases.get(name) is not None,
        bool(tx.cases.log(name)),
        bool(tx.deadlines.of_case(name)),
        tx.notices.get(name) is not None,
        bool(tx.measures.of_case(name)),
        tx.records.get("person", name) is not None,
        bool(tx.records.history("person", name)),
        tx.settings.get(name) is not None,
    }


def test_all_ports_commit_together(store: SqlStore) -> None:
    with store.write() as tx:
        _write_everything(tx, "a")
    with store.read() as tx:
        assert _present(tx, "a") == {True}


@pytest.mark.parametrize("looked", [False, True])
def test_an_exception_undoes_all_ports(store: SqlStore, *, looked: bool) -> None:
    with going_wrong(), store.write() as tx:
        _write_everything(tx, "a")
        if looked:
            assert _present(tx, "a") == {True}
        raise WrongError
    with store.write() as tx:
        assert _present(tx, "a") == {False}
        assert tx.cases.fold("a", "other", NOW) == "other"
        assert tx.signals.claim([a_signal("a")]) == [Known.NEW]


@pytest.mark.parametrize("looked", [False, True])
def test_a_part_that_fails_is_undone_alone(store: SqlStore, *, looked: bool) -> None:
    with store.write() as tx:
        _write_everything(tx, "before")
        with going_wrong(), tx.part():
            _write_everything(tx, "bad")
            if looked:
                assert _present(tx, "bad") == {True}
            raise WrongError
        assert _present(tx, "bad") == {False}
        with tx.part():
            _write_everything(tx, "good")
    with store.read() as tx:
        assert [_present(tx, name) for name in ("before", "bad", "good")] == [{True}, {False}, {True}]


@pytest.mark.parametrize("looked", [False, True])
def test_parts_inside_parts(store: SqlStore, *, looked: bool) -> None:
    with store.write() as tx:
        with going_wrong(), tx.part():
            _write_everything(tx, "outer")
            with tx.part():
                _write_everything(tx, "kept inside")
            with going_wrong(), tx.part():
                _write_everything(tx, "inner")
                raise WrongError
            if looked:
                assert [_present(tx, n) for n in ("outer", "kept inside")] == [{True}, {True}]
                assert _present(tx, "inner") == {False}
            raise WrongError
        with tx.part(), tx.part():
            _write_everything(tx, "deep")
    with store.read() as tx:
        names = ("outer", "kept inside", "inner", "deep")
        assert [_present(tx, n) for n in names] == [{False}, {False}, {False}, {True}]


def test_a_part_that_only_buffers_is_undone_too(store: SqlStore) -> None:
    case, entries = a_case("C1")
    with store.write() as tx:
        tx.cases.save(case, entries)
        with going_wrong(), tx.part():
            again = tx.cases.get("C1")
            assert again is not None
            entry = Entry(seq=2, at=NOW, kind="escalated", body={"level": "district"})
            apply(again, entry)
            tx.cases.save(again, [entry])
            tx.deadlines.arm([a_deadline("d", NOW)])
            raise WrongError
        current = tx.cases.get("C1")
        assert current is not None
        assert (current.version, current.level) == (1, None)
    with store.read() as tx:
        assert tx.cases.get("C1") == rebuild("C1", entries)
        assert tx.deadlines.pending() == 0


def test_a_reader_sees_one_moment_beside_a_writer(shared_url: str) -> None:
    store = open_store(shared_url)
    with store.write() as tx:
        _write_everything(tx, "a")
    with store.read() as reader:
        assert reader.cases.count(CaseFilter()) == 1
        with store.write() as writer:
            _write_everything(writer, "b")
        assert reader.cases.count(CaseFilter()) == 1
        assert _present(reader, "b") == {False}
    with store.read() as reader:
        assert reader.cases.count(CaseFilter()) == 2
    store.close()


def test_a_reader_cannot_write(shared_url: str) -> None:
    store = open_store(shared_url)
    with pytest.raises(Exception, match=r"(?i)read.?only"), store.read() as tx:
        tx.settings.put("a", "b")
    store.close()


def test_a_thread_that_would_wait_for_itself_is_told(file_url: str) -> None:
    store = open_store(file_url)
    with store.write(), pytest.raises(RuntimeError, match="already"), store.write():
        pass
    store.close()


@pytest.mark.parametrize("name", ["hexi.db", ":memory:"])
def test_writers_in_threads_queue(name: str, tmp_path: Path) -> None:
    store = open_store("sqlite:///:memory:" if name == ":memory:" else f"sqlite:///{tmp_path / name}")

    def add() -> None:
        for _ in range(25):
            with store.write() as tx:
                tx.settings.put("n", str(int(tx.settings.get("n") or 0) + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as tx:
        assert tx.settings.get("n") == "100"
    store.close()


def test_another_process_that_keeps_the_lock(file_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BUSY_MS", 50)
    store = open_store(file_url)
    other = sqlite3.connect(file_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError) as caught, store.write():
        pass
    assert caught.value.kind == "locked"
    other.execute("ROLLBACK")
    with store.write() as tx:
        tx.settings.put("works", "again")
    other.close()
    store.close()


@contextmanager
def _small_disk(size: int) -> Iterator[None]:
    """No file of this process may grow beyond a size; SQLite sees a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_database_that_may_not_grow_is_full(file_url: str) -> None:
    store = open_store(file_url)
    with store.write() as tx:
        [(pages,)] = tx.link.plain("PRAGMA page_count")
        list(tx.link.plain(f"PRAGMA max_page_count = {pages + 20}"))
    with pytest.raises(StoreError) as caught:
        _write_much(store)
    assert caught.value.kind == "full"
    with store.write() as tx:
        tx.settings.put("small", "fits")
    store.close()


def _write_much(store: SqlStore) -> None:
    for number in range(100):
        with store.write() as tx:
            tx.settings.put(f"big-{number}", "x" * 50_000)


def test_a_full_disk_loses_nothing_that_was_committed(file_url: str) -> None:
    store = open_store(file_url)
    with store.write() as tx:
        _write_everything(tx, "a")
    with _small_disk(400_000), pytest.raises(StoreError) as caught:
        _write_much(store)
    assert caught.value.kind in {"full", "broken"}
    with store.write() as tx:
        _write_everything(tx, "b")
        assert (_present(tx, "a"), _present(tx, "b")) == ({True}, {True})
    store.close()


def test_what_is_no_database_is_broken(tmp_path: Path) -> None:
    (tmp_path / "hexi.db").write_bytes(b"this is not a database" * 500)
    with pytest.raises(StoreError) as caught:
        open_store(f"sqlite:///{tmp_path / 'hexi.db'}")
    assert caught.value.kind == "broken"


@pytest.mark.parametrize("commits", [1, 7, 20])
def test_kill_9_leaves_the_last_commit_whole(shared_url: str, commits: int) -> None:
    command = [sys.executable, "-m", "tests.contract.worker", "take", shared_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline() or "-1") for _ in range(commits)]
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout]
    assert acknowledged == list(range(len(acknowledged))), "the process died by itself"
    store = open_store(shared_url)
    with store.write() as tx:
        ids = tx.cases.ids("", 1_000_000)
        assert acknowledged[-1] + 1 <= len(ids) <= acknowledged[-1] + 2
        for number, case_id in enumerate(ids):
            assert tx.cases.get(case_id) == rebuild(case_id, tx.cases.log(case_id))
            assert len(tx.deadlines.of_case(case_id)) == 1
            batch = [a_signal(f"{number}-{i}") for i in range(50)]
            assert tx.signals.claim(batch) == [Known.REPEAT] * 50
        assert tx.signals.claim([a_signal(f"{len(ids)}-0")]) == [Known.NEW]
    store.close()
