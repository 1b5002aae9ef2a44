"""A copy made while writing is whole, and comes back."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.contract.make import NOW, a_case, a_deadline

from hexi.adapters.sql import SCHEMA, BackupError, backup, open_store, restore
from hexi.kernel.fold import rebuild


def _fill(url: str, stop: threading.Event, started: threading.Event) -> None:
    store = open_store(url)
    number = 0
    while not stop.is_set():
        with store.write() as tx:
            case, entries = a_case(f"C{number:06}")
            tx.cases.save(case, entries)
            tx.deadlines.arm([a_deadline(case.id, NOW, case_id=case.id)])
            tx.settings.put("count", str(number + 1))
        number += 1
        if number == 20:
            started.set()
    store.close()


def _count(url: str) -> int:
    """How many cases there are, after checking that each is whole."""
    store = open_store(url)
    with store.read() as tx:
        ids = tx.cases.ids("", 1_000_000)
        assert tx.settings.get("count") == str(len(ids))
        assert tx.deadlines.pending() == len(ids)
        for case_id in ids:
            assert tx.cases.get(case_id) == rebuild(case_id, tx.cases.log(case_id))
    store.close()
    return len(ids)


def test_backup_while_writing(file_url: str, tmp_path: Path) -> None:
    stop, started = threading.Event(), threading.Event()
    writer = threading.Thread(target=_fill, args=(file_url, stop, started))
    writer.start()
    try:
        assert started.wait(30)
        for number in range(3):
            backup(file_url, tmp_path / "copies" / f"{number}.db")
    finally:
        stop.set()
        writer.join()
    counts = [_count(f"sqlite:///{tmp_path / 'copies' / f'{number}.db'}") for number in range(3)]
    assert 20 <= counts[0] <= counts[1] <= counts[2] <= _count(file_url)


def test_restore_puts_the_old_state_back(file_url: str, tmp_path: Path) -> None:
    store = open_store(file_url)
    with store.write() as tx:
        tx.settings.put("state", "old")
    backup(file_url, tmp_path / "copy.db")
    with store.write() as tx:
        tx.settings.put("state", "new")
    with pytest.raises(BackupError, match="in use"):
        restore(file_url, tmp_path / "copy.db")
    store.close()
    restore(file_url, tmp_path / "copy.db")
    store = open_store(file_url)
    with store.write() as tx:
        assert tx.settings.get("state") == "old"
        tx.settings.put("state", "newer")
    store.close()


def test_restore_over_a_damaged_database(file_url: str, tmp_path: Path) -> None:
    open_store(file_url).close()
    backup(file_url, tmp_path / "copy.db")
    database = Path(file_url.removeprefix("sqlite:///"))
    database.write_bytes(b"damaged" * 1000)
    restore(file_url, tmp_path / "copy.db")
    store = open_store(file_url)
    assert store.schema_version == SCHEMA
    store.close()


def test_restoring_what_is_no_backup_changes_nothing(file_url: str, tmp_path: Path) -> None:
    store = open_store(file_url)
    with store.write() as tx:
        tx.settings.put("state", "kept")
    store.close()
    (tmp_path / "junk.db").write_bytes(b"junk" * 1000)
    for name, said in (("junk.db", "not a database"), ("none.db", "no backup")):
        with pytest.raises(BackupError, match=said):
            restore(file_url, tmp_path / name)
    store = open_store(file_url)
    with store.read() as tx:
        assert tx.settings.get("state") == "kept"
    store.close()


@pytest.mark.parametrize(("least", "taken"), [(SCHEMA, True), ("9999", False)])
def test_a_copy_of_a_newer_build_comes_back_where_this_one_may_work_on_it(
    file_url: str, tmp_path: Path, *, least: str, taken: bool
) -> None:
    open_store(file_url).close()
    backup(file_url, tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy, copy:
        copy.execute("UPDATE alembic_version SET version_num = '9999'")
        copy.execute("UPDATE setting SET value = ? WHERE name = 'schema.compatible'", (least,))
    if taken:
        restore(file_url, tmp_path / "copy.db")
        open_store(file_url).close()
    else:
        with pytest.raises(BackupError, match="newer"):
            restore(file_url, tmp_path / "copy.db")


def test_what_cannot_be_copied_is_said(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="pg_dump"):
        backup("postgresql://localhost/hexi", tmp_path / "x")
    with pytest.raises(BackupError, match="memory"):
        backup("sqlite:///:memory:", tmp_path / "x")
    with pytest.raises(BackupError, match="no database"):
        backup(f"sqlite:///{tmp_path / 'none.db'}", tmp_path / "x")
