"""Before an upgrade: may this build take over? Looks at the data without touching it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from hexi.adapters.sql.questions import stands_at
from hexi.adapters.sql.schema import SCHEMA
from hexi.cli.checks.base import Finding, Installation, error, ok
from hexi.kernel.clock import Instant

_ROOM = 3
"""Times the database's size: the backup, its draft, and what a migration writes anew."""
_AT_LEAST = 256 * 1024**2


def room(patient: Installation, _: Instant) -> Iterator[Finding]:
    """There is room for the backup and the migration."""
    folder = patient.settings.data_dir.resolve()
    file = folder / "hexi.sqlite"
    needed = max(_AT_LEAST, _ROOM * (file.stat().st_size if file.exists() else 0))
    free = shutil.disk_usage(_nearest(folder)).free
    zh = f"{folder}：剩余 {free >> 20} MB，需要 {needed >> 20} MB"
    en = f"{folder}: {free >> 20} MB free, {needed >> 20} MB needed"
    yield (
        ok(zh, en)
        if free >= needed
        else error(f"空间不足：{zh}", f"too little room: {en}", None, "disk-full")
    )


def _nearest(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def tables(patient: Installation, _: Instant) -> Iterator[Finding]:
    """From where to where the tables will go."""
    present = stands_at(patient.settings.database_url()).present
    yield ok(f"数据库结构 {present} -> {SCHEMA}", f"the tables go from {present} to {SCHEMA}")
