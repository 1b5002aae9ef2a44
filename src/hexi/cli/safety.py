"""``hexi backup`` and ``hexi restore``."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from hexi.adapters.backup import BackupError, back_up, holding, restore
from hexi.cli import common
from hexi.kernel.clock import LOCAL, format_instant, to_datetime


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command("backup")(make_backup)
    app.command("restore")(restore_backup)


def make_backup(
    file: Annotated[Path | None, typer.Argument(help="The archive; else hexi-<time>.tar.gz here.")] = None,
) -> None:
    """Back up database, evidence files and secret into one archive, beside a running platform."""
    of = common.settings()
    at = common.now()
    target = file or Path(f"hexi-{to_datetime(at, LOCAL):%Y%m%d-%H%M%S}.tar.gz")
    stamp = (version("hexi"), format_instant(at))
    try:
        with common.progress("备份", "backing up", None) as done:
            manifest = back_up(of.data_dir, of.database_url(), target, stamp, done)
    except BackupError as error:
        raise common.Fault(f"无法备份：{error}", f"cannot back up: {error}", common.FAILED) from error
    size = target.stat().st_size
    common.say(
        f"已备份 {len(manifest.files)} 个文件到 {target}（{size:,} 字节）",
        f"backed up {len(manifest.files)} files to {target} ({size:,} bytes)",
    )


def restore_backup(
    file: Annotated[Path, typer.Argument(help="An archive made by hexi backup.")],
    force: Annotated[
        bool, typer.Option("--force", help="Put the present data folder aside when it is not empty.")
    ] = False,
) -> None:
    """Put a backup into the data folder, checked first. The platform must be stopped."""
    of = common.settings()
    aside = None
    try:
        if force:
            aside = _put_aside(of.data_dir)
        with common.progress("恢复", "restoring", None) as done:
            manifest = restore(file, of.data_dir, of.database_url(), done)
    except BackupError as error:
        if aside:
            aside.replace(of.data_dir)
        raise common.Fault(f"无法恢复：{error}", f"cannot restore: {error}", common.FAILED) from error
    if aside:
        common.say(f"原数据在 {aside}", f"the former data is in {aside}")
    common.say(
        f"已恢复 {len(manifest.files)} 个文件（{manifest.made} 的备份）",
        f"restored {len(manifest.files)} files of the backup of {manifest.made}",
    )


def _put_aside(data_dir: Path) -> Path | None:
    if not data_dir.is_dir():
        return None
    aside = data_dir.with_name(f"{data_dir.name}-{to_datetime(common.now(), LOCAL):%Y%m%d-%H%M%S}")
    with holding(data_dir):
        data_dir.rename(aside)
    return aside
