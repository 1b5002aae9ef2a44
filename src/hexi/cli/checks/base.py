"""What a check is: a small function over the installation that yields findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from hexi.adapters.backup import BackupError, holding
from hexi.adapters.packs.load import Loaded
from hexi.adapters.sql import SqlStore
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import Instant
from hexi.kernel.ports import StoreError
from hexi.kernel.process import living
from hexi.kernel.record import Record
from hexi.kernel.text import Text
from hexi.settings import Settings

NAMED = 8
"""How many are named before the rest is only counted."""


class Finding(msgspec.Struct, frozen=True):
    """What one check found, and what to do next when it is not in order."""

    level: Literal["ok", "warning", "error"]
    message: Text
    todo: Text | None = None
    runbook: str | None = None
    """The page of docs/runbooks that helps on."""
    check: str = ""


@dataclass(frozen=True)
class Installation:
    """What can be looked at even when its database cannot be opened."""

    settings: Settings
    loaded: Loaded
    catalogue: Catalogue


@dataclass(frozen=True)
class Patient(Installation):
    """An installation with its open store."""

    store: SqlStore


BareCheck = Callable[[Installation, Instant], Iterable[Finding]]
Check = Callable[[Patient, Instant], Iterable[Finding]]


def ok(zh: str, en: str) -> Finding:
    """In order."""
    return Finding("ok", Text(zh=zh, en=en))


def warning(zh: str, en: str, todo: tuple[str, str] | None = None, runbook: str | None = None) -> Finding:
    """Not as it should be, and people are still told."""
    return Finding("warning", Text(zh=zh, en=en), _text(todo), runbook)


def error(zh: str, en: str, todo: tuple[str, str] | None = None, runbook: str | None = None) -> Finding:
    """An alarm may fail until this is mended."""
    return Finding("error", Text(zh=zh, en=en), _text(todo), runbook)


def _text(todo: tuple[str, str] | None) -> Text | None:
    return Text(zh=todo[0], en=todo[1]) if todo else None


def examine(patient: Patient, checks: Sequence[Check], now: Instant) -> list[Finding]:
    """Every finding of every check, in order; a check that cannot look says so and stops nobody else."""
    return [found for check in checks for found in _findings(check.__name__, lambda: check(patient, now))]  # noqa: B023


def examine_bare(patient: Installation, checks: Sequence[BareCheck], now: Instant) -> list[Finding]:
    """The same for what needs no store."""
    return [found for check in checks for found in _findings(check.__name__, lambda: check(patient, now))]  # noqa: B023


def _findings(name: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        for found in look():
            yield msgspec.structs.replace(found, check=name)
    except StoreError as fault:
        told = error(f"“{name}”检查不了：{fault}", f"{name} could not be looked at: {fault}")
        yield msgspec.structs.replace(told, check=name)


def is_running(patient: Patient, now: Instant) -> bool:
    """Whether the platform runs: on SQLite its one process holds the data folder, else it gives signs."""
    if patient.store.dialect == "sqlite":
        try:
            with holding(patient.settings.data_dir):
                return False
        except BackupError:
            return True
    with patient.store.read() as tx:
        return bool(living(tx.processes.all(), now))


def names(records: list[Record], language: str) -> str:
    """The first ids, and how many more there are."""
    shown = ", ".join(record.id for record in records[:NAMED])
    left = len(records) - NAMED
    if left <= 0:
        return shown
    return shown + (f" 等 {len(records)} 个" if language == "zh" else f" and {left} more")
