"""Copying a database while it is in use, and putting a copy back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import make_url

from hexi.adapters.durable import sync
from hexi.adapters.sql.schema import COMPATIBLE_NAME, SCHEMA, Standing


class BackupError(Exception):
    """The copy could not be made or is not one of ours."""


def backup(url: str, to: Path) -> None:
    """Copy a SQLite database, also while it is being written, to one file that appears when it is whole.

    BackupError for PostgreSQL (see ``pgtools``) and when the copy fails. Evidence files are a
    folder of their own: copy it after the database, so that no case names a missing file.
    """
    source = _file_of(url)
    if not source.exists():
        raise BackupError(f"there is no database at {source}")
    _copy(source, to)


def restore(url: str, source: Path) -> None:
    """Put a backup in the place of a database that no process has open.

    BackupError when ``source`` is not a whole database of this build or an earlier one.
    """
    target = _file_of(url)
    _check(source)
    _put_to_rest(target)
    _copy(source, target)


def _file_of(url: str) -> Path:
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        raise BackupError("PostgreSQL is backed up with its own tool: pg_dump (restore: pg_restore)")
    if address.database in {None, "", ":memory:"}:
        raise BackupError("a database in memory has no file")
    return Path(str(address.database))


def _copy(source: Path, target: Path) -> None:
    """Through a temporary file beside the target, renamed when it is on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".part")
    temporary.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(source)) as whole, closing(sqlite3.connect(temporary)) as copy:
            whole.execute("BEGIN")  # one snapshot, so that writers do not make the copy start again
            whole.execute("SELECT count(*) FROM sqlite_master")
            whole.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        sync(temporary)
        temporary.replace(target)
        sync(target.parent)
    except (sqlite3.Error, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise BackupError(f"{source} -> {target}: {error}") from error


def _put_to_rest(target: Path) -> None:
    """Make sure nobody uses the old database, and that no write-ahead log of it is left for the new one."""
    if not target.exists():
        return
    try:
        with closing(sqlite3.connect(target, timeout=0)) as old:
            old.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        raise BackupError(f"{target} is in use; stop hexi before restoring") from error
    except sqlite3.DatabaseError:  # damaged, which is why it is restored
        for suffix in ("-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)


def _check(source: Path) -> None:
    if not source.exists():
        raise BackupError(f"there is no backup at {source}")
    try:
        with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as copy:
            state = copy.execute("PRAGMA quick_check").fetchone()[0]
            version = copy.execute("SELECT version_num FROM alembic_version").fetchone()[0]
            least = copy.execute("SELECT value FROM setting WHERE name = ?", (COMPATIBLE_NAME,)).fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise BackupError(f"{source} is not a database of hexi: {error}") from error
    if state != "ok":
        raise BackupError(f"{source} is damaged: {state}")
    if not (version <= SCHEMA or Standing(version, least and least[0]).usable):
        raise BackupError(f"{source} is at schema {version}, newer than this build's {SCHEMA}")
