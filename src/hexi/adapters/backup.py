"""Backup of a running installation into one archive, and restore from it.

The archive holds the database as of one moment, then every other file of the data folder: evidence
files never change once written, so whatever that moment refers to is there.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy.engine import make_url

from hexi.adapters.sql import pgtools
from hexi.adapters.sql.backup import BackupError, backup
from hexi.adapters.sql.backup import restore as restore_sqlite

__all__ = ["BackupError", "Manifest", "back_up", "check_sqlite", "holding", "restore"]

DATABASE = "hexi.sqlite"
DUMP = "postgresql.dump"
LOCK = "lock"
_MANIFEST = "manifest.json"
_SKIPPED = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", LOCK)
_BLOCK = 1 << 20

Progress = Callable[[int], None]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds: the SHA-256 of every file by its path."""

    form: int = 1
    version: str
    made: str
    files: dict[str, str]


def back_up(data_dir: Path, url: str, target: Path, stamp: tuple[str, str], progress: Progress) -> Manifest:
    """Write an archive beside a running platform; it appears under its name only when it is whole.

    ``stamp`` is our version and the time. BackupError when the database cannot be copied.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as folder:
        database = _copy_database(url, Path(folder))
        files = {database.name: database} | {str(p.relative_to(data_dir)): p for p in _others(data_dir)}
        sums = {name: _sum(path) for name, path in files.items()}
        manifest = Manifest(version=stamp[0], made=stamp[1], files=sums)
        draft = Path(folder) / "archive"
        _pack(draft, manifest, files, progress)
        draft.chmod(0o600)
        draft.replace(target)
    return manifest


def _copy_database(url: str, folder: Path) -> Path:
    if _is_sqlite(url):
        backup(url, folder / DATABASE)
        return folder / DATABASE
    pgtools.dump(url, folder / DUMP)
    return folder / DUMP


def _is_sqlite(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def _others(data_dir: Path) -> Iterator[Path]:
    for path in sorted(data_dir.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(data_dir).parts)
        if path.is_file() and path.name not in _SKIPPED and not hidden:
            yield path


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack(target: Path, manifest: Manifest, files: dict[str, Path], progress: Progress) -> None:
    with target.open("wb") as raw:
        with (
            gzip.open(raw, "wb", compresslevel=3) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            head = msgspec.json.encode(manifest)
            entry = tarfile.TarInfo(_MANIFEST)
            entry.size = len(head)
            archive.addfile(entry, io.BytesIO(head))
            for done, (name, path) in enumerate(files.items(), 1):
                archive.add(path, name, recursive=False)
                progress(done)
        raw.flush()
        os.fsync(raw.fileno())


def restore(archive: Path, data_dir: Path, url: str, progress: Progress) -> Manifest:
    """Put an archive's contents into a data folder that is missing or empty.

    Everything is unpacked beside it and compared with the manifest first. BackupError when the
    archive is damaged or the folder has something in it.
    """
    if data_dir.exists() and any(p.name != LOCK for p in data_dir.iterdir()):
        raise BackupError(f"{data_dir} is not empty")
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=data_dir.parent, prefix=".restore-") as folder:
        unpacked = Path(folder) / "data"
        manifest = _unpack(archive, unpacked, progress)
        _check(unpacked, manifest)
        data_dir.mkdir(exist_ok=True)
        _bring_in(unpacked, url)
        for path in unpacked.iterdir():
            path.replace(data_dir / path.name)
    return manifest


def _unpack(archive: Path, folder: Path, progress: Progress) -> Manifest:
    try:
        with tarfile.open(archive, "r:gz") as packed:
            packed.extraction_filter = getattr(tarfile, "data_filter", None)
            first = packed.next()
            head = packed.extractfile(first) if first and first.name == _MANIFEST else None
            if head is None:
                raise BackupError(f"{archive} is not a backup of hexi")
            manifest = msgspec.json.decode(head.read(), type=Manifest)
            for done, entry in enumerate(packed):
                if entry.name == _MANIFEST:
                    continue
                if not (entry.isfile() or entry.isdir()) or not _inside(folder, entry.name):
                    raise BackupError(f"{archive} holds {entry.name}, which no backup of hexi does")
                packed.extract(entry, folder)
                progress(done)
    except (tarfile.TarError, msgspec.MsgspecError, EOFError, gzip.BadGzipFile, OSError) as error:
        raise BackupError(f"{archive} cannot be read: {error}") from error
    return manifest


def _check(folder: Path, manifest: Manifest) -> None:
    for name, wanted in manifest.files.items():
        path = folder / name
        if not path.is_file() or _sum(path) != wanted:
            raise BackupError(f"the archive is damaged: {name} is not what was backed up")


def check_sqlite(path: Path) -> str | None:
    """What SQLite finds wrong with a database file; None when it is sound."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        said = str(connection.execute("PRAGMA quick_check").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
    finally:
        connection.close()
    return None if said == "ok" else said


def _bring_in(folder: Path, url: str) -> None:
    """The database goes to where the settings say, through the code that checks it."""
    dump = folder / DUMP
    if dump.is_file() == _is_sqlite(url):
        kind = "PostgreSQL" if dump.is_file() else "SQLite"
        raise BackupError(f"the archive is of a {kind} database; the settings name another kind")
    if not dump.is_file():
        restore_sqlite(url, folder / DATABASE)
        (folder / DATABASE).unlink()
        return
    pgtools.restore(url, dump)
    dump.unlink()


@contextmanager
def holding(data_dir: Path, *, shared: bool = False) -> Iterator[None]:
    """Keep a data folder to this process, or to those that share it; BackupError when another one has it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"another process of hexi is using {data_dir}") from None
        yield


def _inside(folder: Path, name: str) -> bool:
    """Whether a name of an archive stays in the folder; the first Pythons 3.11 lack the filter for it."""
    return (folder / name).resolve().is_relative_to(folder.resolve())
