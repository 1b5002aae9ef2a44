"""``hexi archive``: the signals that have left the database for Parquet files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from hexi.cli import common
from hexi.kernel.archive import ArchiveFile, FileState, of_signals, summaries
from hexi.kernel.clock import HOUR, format_instant
from hexi.kernel.text import Text

if TYPE_CHECKING:
    from hexi.adapters.archive.plan import Plan, Report
    from hexi.kernel.catalogue import Catalogue
    from hexi.kernel.ports import Store
    from hexi.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(archive, name="archive")


archive = typer.Typer(no_args_is_help=True, help="Signals in Parquet files: what there is, and is it whole.")


@archive.callback()
def _group() -> None:
    """Signals in Parquet files: what there is, and is it whole."""


@archive.command("list")
def list_files(
    last: Annotated[int, typer.Option(min=1, help="So many of the latest files.")] = 48,
    as_json: common.AsJson = False,
) -> None:
    """List the files of the archive with their hours, signals and sizes."""
    with common.installation() as (_, _catalogue, store), store.read() as tx:
        present = [f for f in tx.archive.files() if f.state is not FileState.GONE]
    files = of_signals(present)
    if as_json:
        common.print_json(files)
        return
    table = Table(Column("file", overflow="fold"), "hour", "signals", "bytes", "state")
    for file in files[-last:]:
        table.add_row(
            file.name, format_instant(file.hour)[:13], f"{file.rows:,}", f"{file.bytes:,}", file.state
        )
    if files:
        common.out.print(table)
    _sum_up(files)
    _sum_up_hours(summaries(present))


def _sum_up(files: list[ArchiveFile]) -> None:
    rows, size = sum(f.rows for f in files), sum(f.bytes for f in files)
    each = f"{size / rows:.1f}" if rows else "-"
    common.say(
        f"{len(files)} 个文件，{rows:,} 个信号，{size:,} 字节，每个信号 {each} 字节",
        f"{len(files)} files, {rows:,} signals, {size:,} bytes, {each} bytes a signal",
    )


def _sum_up_hours(files: list[ArchiveFile]) -> None:
    until = max((f.hour + HOUR for f in files), default=None)
    if until is not None:
        size, told = sum(f.bytes for f in files), format_instant(until)[:13]
        common.say(
            f"{len(files)} 个小时汇总，{size:,} 字节，截至 {told}Z",
            f"{len(files)} hourly summaries, {size:,} bytes, until {told}Z",
        )


@archive.command("run")
def run_once(as_json: common.AsJson = False) -> None:
    """Do now what the running platform does each minute: move, expire, erase, check."""
    from hexi.adapters.archive.plan import NotOursError  # noqa: PLC0415 -- 0.2 s for this group alone
    from hexi.adapters.archive.work import work  # noqa: PLC0415

    with common.installation() as (settings, catalogue, store):
        try:
            report = work(_plan(settings, catalogue, store))
        except NotOursError:
            raise common.Fault(
                "另一个进程正在归档，请稍后再试",
                "another process works on the archive; try again in a moment",
                common.FAILED,
            ) from None
    if as_json:
        common.print_json(report)
    else:
        common.say(
            f"移出 {report.moved:,} 个信号，新文件 {len(report.written)}，新汇总 {len(report.summarised)}，"
            f"换下或过期 {len(report.gone)}",
            f"moved {report.moved:,} signals, wrote {len(report.written)} files and "
            f"{len(report.summarised)} summaries, {len(report.gone)} replaced or expired",
        )
    for name in report.unknown:
        common.warn(
            Text(zh=f"没有登记、信号别处也没有：{name}", en=f"not recorded, its signals nowhere else: {name}")
        )
    if report.stopped:
        raise common.Fault(f"未完成：{report.stopped}", f"ended early: {report.stopped}", common.FAILED)
    _name_damaged(report)


@archive.command("verify")
def verify_all(as_json: common.AsJson = False) -> None:
    """Compare each file with its checksum and its summary; queries leave out what is damaged."""
    from hexi.adapters.archive.plan import Report  # noqa: PLC0415 -- as above
    from hexi.adapters.archive.tidy import verify  # noqa: PLC0415

    report = Report()
    with common.installation() as (settings, catalogue, store):
        plan = _plan(settings, catalogue, store)
        verify(plan, report, everything=True)
        with store.read() as tx:
            files = tx.archive.files()
    report.damaged = [f.name for f in files if f.state is FileState.DAMAGED]
    if as_json:
        common.print_json(
            {"damaged": report.damaged, "repaired": report.repaired, "differing": report.differing}
        )
    else:
        good, counted = (sum(f.is_read for f in some) for some in (of_signals(files), summaries(files)))
        common.say(
            f"{good} 个文件完好，{counted} 个小时汇总完好",
            f"{good} files are whole, {counted} hourly summaries too",
        )
        for name in report.repaired:
            common.say(f"已恢复：{name}", f"right again: {name}")
    _name_damaged(report)


def _name_damaged(report: Report) -> None:
    for name in report.damaged:
        common.warn(Text(zh=f"损坏：{name}", en=f"damaged: {name}"))
    for name in report.differing:
        common.warn(Text(zh=f"汇总与文件不符：{name}", en=f"its summary counts something else: {name}"))
    if report.damaged or report.differing:
        raise typer.Exit(common.FAILED)


def _plan(settings: Settings, catalogue: Catalogue, store: Store) -> Plan:
    from hexi.adapters.archive.plan import Plan  # noqa: PLC0415 -- as above
    from hexi.adapters.clock import SystemClock  # noqa: PLC0415
    from hexi.app.archiver import counted_kinds  # noqa: PLC0415

    return Plan(
        store=store,
        folder=settings.archive_dir,
        settings=settings.archive,
        clock=SystemClock(),
        horizon=settings.seen_horizon,
        counted=counted_kinds(catalogue),
    )
