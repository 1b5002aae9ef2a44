"""The machine: interpreter, disk, clock, certificates, backups."""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from hexi.adapters.certificates import ends_at
from hexi.app.gauges import backup_age
from hexi.cli.checks.base import Finding, Installation, error, ok, warning
from hexi.kernel.clock import DAY, MINUTE, SECOND, Instant, format_duration, to_datetime
from hexi.settings.files import certificates

LEAST_FREE = 2 * 1024**3
"""Bytes below which somebody should make room; the platform itself opens a case at 512 MB."""

_LAST_DAYS = 21 * DAY
_TIME_ERROR = 5
"""What adjtimex(2) returns while nothing keeps the clock right."""
_TIMEX = 512
"""Bytes; struct timex is smaller everywhere."""


def python(_: Installation, __: Instant) -> Iterator[Finding]:
    """The interpreter."""
    said = ".".join(map(str, sys.version_info[:3]))
    yield ok(f"Python {said}", f"Python {said}")


def data_folder(patient: Installation, _: Instant) -> Iterator[Finding]:
    """The folder can be written and has room."""
    folder = patient.settings.data_dir.resolve()
    if not os.access(folder, os.W_OK):
        yield error(
            f"数据目录 {folder} 不可写",
            f"the data folder {folder} cannot be written",
            ("把目录交给运行 hexi 的用户：chown -R", "give it to the user who runs hexi: chown -R"),
            "disk-full",
        )
        return
    free = shutil.disk_usage(folder).free
    zh, en = f"{folder}：剩余 {free / 1024**3:.1f} GB", f"{folder}: {free / 1024**3:.1f} GB free"
    todo = ("先移走旧备份和日志，再扩容", "move old backups and logs away, then enlarge it")
    short = warning(f"磁盘快满：{zh}", f"little disk left: {en}", todo, "disk-full")
    yield ok(zh, en) if free >= LEAST_FREE else short


def clock_kept(_: Installation, __: Instant) -> Iterator[Finding]:
    """Something keeps the machine's clock right."""
    kept = clock_is_kept()
    if kept is None:
        yield ok("无法得知时钟是否同步（非 Linux）", "whether the clock is kept right cannot be told here")
    elif kept:
        yield ok("系统时钟已与时间服务器同步", "the clock is kept right by a time server")
    else:
        yield warning(
            "系统时钟没有与任何时间服务器同步",
            "nothing keeps the clock right",
            (
                "启用 chrony 或 systemd-timesyncd，并用 timedatectl 查看",
                "enable chrony or systemd-timesyncd, and look with timedatectl",
            ),
            "clock-wrong",
        )


def clock_is_kept() -> bool | None:
    """What the kernel says of its clock (adjtimex(2)); None where there is no such call."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (AttributeError, OSError):
        return None
    state = int(adjtimex(ctypes.create_string_buffer(_TIMEX)))
    return None if state < 0 else state != _TIME_ERROR


def certificates_end(patient: Installation, now: Instant) -> Iterator[Finding]:
    """No certificate that the settings name has ended or is about to."""
    for key, path in certificates(patient.settings):
        yield from _certificate(key, path, now)


def _certificate(key: str, path: Path, now: Instant) -> Iterator[Finding]:
    todo = (
        f"换上新证书 {path} 并重启 hexi",
        f"put a new certificate to {path} and restart hexi",
    )
    try:
        ends = ends_at(path)
    except (OSError, ValueError) as fault:
        yield error(f"{key}：{path} 读不出：{fault}", f"{key}: {path} cannot be read: {fault}", todo)
        return
    if ends is None:
        yield error(f"{key}：{path} 里没有证书", f"{key}: there is no certificate in {path}", todo)
        return
    shown = to_datetime(ends).date().isoformat()
    zh, en = f"{key}：证书有效期至 {shown}", f"{key}: the certificate is good until {shown}"
    if ends <= now:
        zh, en = f"{key}：证书已于 {shown} 过期", f"{key}: the certificate ended on {shown}"
        yield error(zh, en, todo, "certificate-expired")
    else:
        soon = warning(f"即将到期：{zh}", f"ends soon: {en}", todo, "certificate-expired")
        yield soon if ends < now + _LAST_DAYS else ok(zh, en)


def backups(patient: Installation, _: Instant) -> Iterator[Finding]:
    """The newest backup is young enough."""
    watch = patient.settings.watch
    age = backup_age(watch.backups)
    todo = (
        "看 systemctl status hexi-backup.timer，并立即做一次 hexi backup",
        "look at systemctl status hexi-backup.timer, and make one now: hexi backup",
    )
    if math.isnan(age):
        told = ("设置 watch.backups 后即可检查", "set watch.backups, so that this can be looked at")
        yield warning("不知道备份放在哪里", "nobody has said where backups lie", told)
    elif math.isinf(age):
        yield error(
            f"{watch.backups} 里没有备份",
            f"there is no backup in {watch.backups}",
            todo,
            "restore-from-backup",
        )
    else:
        shown = format_duration(int(age) // 60 * MINUTE)
        zh, en = f"最新备份距今 {shown}", f"the newest backup is {shown} old"
        old = error(f"备份太旧：{zh}", f"backups have stopped: {en}", todo, "restore-from-backup")
        yield old if age * SECOND > watch.backup_age else ok(zh, en)
