"""The numbers about the machine and the store that are asked for whenever the metrics are read."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hexi.adapters.certificates import ends_at
from hexi.adapters.clock import DatabaseClock, SystemClock
from hexi.adapters.metrics import Metrics
from hexi.adapters.sql import SqlStore
from hexi.adapters.sql.questions import oldest_signal
from hexi.app.roles import Role
from hexi.kernel.clock import SECOND, Clock, Duration
from hexi.kernel.ports import StoreError
from hexi.kernel.process import Process, living, played
from hexi.settings import Settings
from hexi.settings.files import certificates
from hexi.spine.platform import Platform


def connect_gauges(metrics: Metrics, platform: Platform, store: SqlStore, settings: Settings) -> None:
    """From now on the metrics ask us. A number that cannot be had is NaN, never a lie."""
    metrics.ask(
        disk=lambda: float(shutil.disk_usage(settings.data_dir).free),
        step=lambda: step_of(platform.clock),
        tick=lambda: _tick_age(platform),
        overdue=lambda: _or_nan(lambda: _overdue(platform)),
        backup=lambda: backup_age(settings.watch.backups),
        behind=lambda: _or_nan(lambda: _behind(platform, store, settings.archive.hot)),
        processes=lambda: _or_nan(lambda: len(_present(store)) or math.nan),
        standbys=lambda: _or_nan(lambda: sum(process.standby for process in _present(store))),
        missing=lambda: _or_nan(lambda: _missing(store)),
    )
    for key, path in certificates(settings):
        metrics.certificate(key, partial(_seconds_left, path))


def backup_age(folder: Path | None) -> float:
    """Seconds since the newest backup in a folder: infinite without a backup, NaN without a folder."""
    if folder is None:
        return math.nan
    made = [path.stat().st_mtime for path in folder.glob("*.tar.gz")] if folder.is_dir() else []
    return max(0.0, time.time() - max(made)) if made else math.inf


def step_of(clock: Clock) -> float:
    """Seconds by which the time that a clock follows has been set since the start."""
    return clock.step() / SECOND if isinstance(clock, SystemClock | DatabaseClock) else 0.0


def _tick_age(platform: Platform) -> float:
    ticked = platform.intake.last_tick
    return math.nan if ticked is None else (platform.clock.now() - ticked) / SECOND


def _or_nan(ask: Callable[[], float]) -> float:
    """What the store says; NaN while it does not answer."""
    try:
        return ask()
    except StoreError:
        return math.nan


def _overdue(platform: Platform) -> float:
    with platform.store.read() as tx:
        due = tx.deadlines.next_due()
    return 0.0 if due is None else max(0.0, (platform.clock.now() - due) / SECOND)


def _behind(platform: Platform, store: SqlStore, hot: Duration) -> float:
    with store.read() as tx:
        oldest = oldest_signal(tx)
    if not hot or oldest is None:
        return 0.0
    return max(0.0, (platform.clock.now() - hot - oldest) / SECOND)


def _present(store: SqlStore) -> list[Process]:
    """The processes that live, by the time of whoever gave a sign last: we are one of them."""
    with store.read() as tx:
        known = tx.processes.all()
    return living(known, max((process.seen_at for process in known), default=0))


def _missing(store: SqlStore) -> float:
    present = _present(store)
    return len({str(role) for role in Role} - played(present)) if present else math.nan


def _seconds_left(path: Path) -> float:
    try:
        ends = ends_at(path)
    except (OSError, ValueError):
        return math.nan
    return math.nan if ends is None else ends / SECOND - time.time()
