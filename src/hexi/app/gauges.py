"""The numbers about the machine and the store that are asked for whenever the metrics are read."""

from __future__ import annotations

import math
import shutil
import time
from functools import partial
from pathlib import Path

from hexi.adapters.certificates import ends_at
from hexi.adapters.clock import SystemClock
from hexi.adapters.metrics import Metrics
from hexi.kernel.clock import SECOND
from hexi.kernel.ports import StoreError
from hexi.settings import Settings
from hexi.settings.files import certificates
from hexi.spine.platform import Platform


def connect_gauges(metrics: Metrics, platform: Platform, settings: Settings) -> None:
    """From now on the metrics ask us. A number that cannot be had is NaN, never a lie."""
    metrics.ask(
        disk=lambda: float(shutil.disk_usage(settings.data_dir).free),
        step=lambda: _step(platform),
        tick=lambda: _tick_age(platform),
        overdue=lambda: _overdue(platform),
        backup=lambda: backup_age(settings.watch.backups),
    )
    for key, path in certificates(settings):
        metrics.certificate(key, partial(_seconds_left, path))


def backup_age(folder: Path | None) -> float:
    """Seconds since the newest backup in a folder: infinite without a backup, NaN without a folder."""
    if folder is None:
        return math.nan
    made = [path.stat().st_mtime for path in folder.glob("*.tar.gz")] if folder.is_dir() else []
    return max(0.0, time.time() - max(made)) if made else math.inf


def _step(platform: Platform) -> float:
    clock = platform.clock
    return clock.step() / SECOND if isinstance(clock, SystemClock) else 0.0


def _tick_age(platform: Platform) -> float:
    ticked = platform.intake.last_tick
    return math.nan if ticked is None else (platform.clock.now() - ticked) / SECOND


def _overdue(platform: Platform) -> float:
    try:
        with platform.store.read() as tx:
            due = tx.deadlines.next_due()
    except StoreError:
        return math.nan
    return 0.0 if due is None else max(0.0, (platform.clock.now() - due) / SECOND)


def _seconds_left(path: Path) -> float:
    try:
        ends = ends_at(path)
    except (OSError, ValueError):
        return math.nan
    return math.nan if ends is None else ends / SECOND - time.time()
