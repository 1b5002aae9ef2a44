"""The folder of the archive: names, checksums, whole files or none, and a manifest for each day.

``day=2026-05-01/20260430T16Z-1.parquet``: the district's day, the hour in UTC, the part. Every hour lies
in one day, since the district's time differs from UTC by whole hours. The manifest of a day says what the
database says, so that the folder alone can be read and checked. ``hours/`` holds the summaries
under the same names, with manifests of their own.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path

import msgspec

from hexi.adapters.durable import sync, write_private
from hexi.kernel.archive import SUMMARIES, ArchiveFile, FileState, of_signals, summaries
from hexi.kernel.clock import Instant, format_instant, from_datetime, local_day, to_datetime

MANIFEST = "manifest.json"
DRAFT = ".new-"
"""How a file begins that is not whole yet."""
_NAME = re.compile(r"(?:hours/)?day=(\d{4}-\d\d-\d\d)/(\d{8}T\d\d)Z-(\d+)\.parquet")


class DayManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the folder of a day holds."""

    form: int = 1
    day: str
    files: list[ManifestFile]


class ManifestFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file as the manifest names it."""

    name: str
    hour: str
    rows: int
    kinds: dict[str, int]
    bytes: int
    sha256: str
    state: FileState


def name_of(hour: Instant, part: int) -> str:
    """The path of a part of an hour within the archive."""
    return f"day={local_day(hour)}/{to_datetime(hour):%Y%m%dT%H}Z-{part}.parquet"


def part_of(name: str) -> int:
    """Which part of its hour a file is; 0 for a name that is not ours."""
    found = _NAME.fullmatch(name)
    return int(found[3]) if found else 0


def hour_of(name: str) -> Instant | None:
    """The hour that a file's name says; None for a name that is not ours."""
    found = _NAME.fullmatch(name)
    return from_datetime(datetime.strptime(found[2], "%Y%m%dT%H").replace(tzinfo=UTC)) if found else None


def day_of(file: ArchiveFile) -> date:
    """The district's day of a file."""
    return day_of_hour(file.hour)


def day_of_hour(hour: Instant) -> date:
    """The district's day of an hour."""
    return date.fromisoformat(local_day(hour))


def next_name(hour: Instant, files: Iterable[ArchiveFile]) -> str:
    """A name for a further part of an hour that no recorded file has, nor the summary of one."""
    return name_of(hour, 1 + max((part_of(f.name) for f in files if f.hour == hour), default=0))


def sum_of(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(folder: Path, file: ArchiveFile) -> bool:
    """Whether a file is there and its bytes are the recorded ones."""
    path = folder / file.name
    try:
        return path.stat().st_size == file.bytes and sum_of(path) == file.sha256
    except OSError:
        return False


def draft_of(folder: Path, name: str) -> Path:
    """Where a file is written until it is whole; its folder is made."""
    path = folder / name
    for missing in [
        home for home in reversed(path.parents) if home.is_relative_to(folder) and not home.exists()
    ]:
        missing.mkdir(exist_ok=True)
        sync(missing.parent)
    return path.with_name(f"{DRAFT}{os.getpid()}-{path.name}")


def settle(draft: Path, target: Path) -> None:
    """Give a written file its name once all of it is on the disk."""
    draft.chmod(0o600)
    sync(draft)
    draft.replace(target)
    sync(target.parent)


def write_manifests(folder: Path, files: Sequence[ArchiveFile], days: Iterable[date]) -> None:
    """Bring the manifests of some days to what is recorded."""
    wanted = set(days)
    for home, of_kind in ((folder, of_signals(files)), (folder / SUMMARIES, summaries(files))):
        told = sorted((f for f in of_kind if f.state is not FileState.GONE), key=lambda f: (f.hour, f.name))
        by_day = {day: list(of_day) for day, of_day in groupby(told, day_of)}
        for day in wanted:
            path = home / f"day={day}" / MANIFEST
            if day in by_day:
                _write_manifest(path, day, by_day[day])
            elif path.parent.exists():
                path.unlink(missing_ok=True)


def _write_manifest(path: Path, day: date, files: list[ArchiveFile]) -> None:
    entries = [
        ManifestFile(
            name=Path(f.name).name,
            hour=format_instant(f.hour),
            rows=f.rows,
            kinds=f.kinds,
            bytes=f.bytes,
            sha256=f.sha256,
            state=FileState.DAMAGED if f.state is FileState.DAMAGED else FileState.KEPT,
        )
        for f in files
    ]
    manifest = DayManifest(day=str(day), files=entries)
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    if not path.exists() or path.read_bytes() != content:
        write_private(path, content)


def strangers(folder: Path, files: Iterable[ArchiveFile]) -> Iterator[Path]:
    """Drafts and files under our names that nothing records: what a killed process left.

    Summaries first: their files say whether they are spare.
    """
    known = {file.name for file in files}
    for path in [*sorted(folder.glob(f"{SUMMARIES}day=*/*")), *sorted(folder.glob("day=*/*"))]:
        named = str(path.relative_to(folder))
        if path.name.startswith(".") or (_NAME.fullmatch(named) and named not in known):
            yield path


def remove_empty(folder: Path) -> None:
    """Drop the folders of days of which nothing is left."""
    for day in [*folder.glob("day=*"), *folder.glob(f"{SUMMARIES}day=*")]:
        if day.is_dir() and not any(day.iterdir()):
            day.rmdir()
