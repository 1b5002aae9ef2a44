"""``hexi import`` and ``hexi export``: records from and to CSV and XLSX."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hexi.adapters.durable import write_private
from hexi.adapters.sheets import read_sheet
from hexi.adapters.tabular import (
    ImportOrder,
    ImportReport,
    RowProblem,
    all_records,
    export_records,
    import_sheet,
)
from hexi.cli import common
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.record import RecordKind
from hexi.kernel.text import Text

SHOWN = 50
"""Problems printed before the rest is only counted; --json has all."""


class Form(StrEnum):
    """Forms of a table in a file."""

    CSV = "csv"
    XLSX = "xlsx"


Kind = Annotated[str, typer.Argument(help="Kind of record: person, contact, device, centre, roster ...")]


class _TableUnlessNamed(TyperGroup):
    """``hexi import person people.csv`` is short for ``hexi import table person people.csv``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is named, else the import of a table."""
        named = bool(args) and args[0] in self.commands
        return super().resolve_command(ctx, args if named else ["table", *args])


importing = typer.Typer(
    cls=_TableUnlessNamed,
    no_args_is_help=True,
    help="Bring in records from a table (hexi import KIND FILE), a map layer, or the district's frame.",
)


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.add_typer(importing, name="import")
    importing.command("table")(import_table)
    app.command("export")(export_table)


def kind_of(catalogue: Catalogue, name: str) -> RecordKind:
    """A kind of record by name; Fault with the names there are."""
    kind = catalogue.record_kinds.get(name)
    if kind is None:
        known = ", ".join(sorted(catalogue.record_kinds))
        raise common.Fault(
            f"没有“{name}”这种记录；有：{known}", f"there is no kind of record {name!r}; there are {known}"
        )
    return kind


def import_table(
    kind: Kind,
    file: Annotated[Path, typer.Argument(help="A CSV (UTF-8 or GBK) or XLSX file.")],
    key: Annotated[
        str | None, typer.Option(help="Field that finds the record when there is no id column.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and count, store nothing.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Store the good rows of a file with bad ones.")
    ] = False,
    as_json: common.AsJson = False,
) -> None:
    """Add or update records from a table, all rows or none. An empty cell leaves a field as it is.

    The word ``table`` may be left out.
    """
    sheet = read_sheet(file.read_bytes())
    with common.installation() as (_, catalogue, store):
        of_kind = kind_of(catalogue, kind)
        order = ImportOrder(by="user:cli", at=common.now(), key=key, dry_run=dry_run, skip_bad=skip_bad)
        with common.progress("导入", "importing", len(sheet.rows)) as done:
            report = import_sheet(store, of_kind, sheet, order, done)
    if as_json:
        common.print_json(report)
    else:
        _print_report(report, dry_run=dry_run)
    if report.problems:
        raise typer.Exit(common.FAILED)


def _print_report(report: ImportReport, *, dry_run: bool) -> None:
    for column in report.unknown_columns:
        meant = report.hints.get(column)
        common.warn(
            Text(
                zh=f"不认识的列“{column}”，未导入" + (f"；是不是“{meant}”？" if meant else ""),
                en=f'unknown column "{column}" was left out' + (f'; is it "{meant}"?' if meant else ""),
            )
        )
    _print_rows(report.notes)
    _print_rows(report.problems)
    common.say(
        f"{report.rows} 行：新增 {report.new}，更新 {report.changed}，无变化 {report.unchanged}，"
        f"有误 {report.bad_rows}",
        f"{report.rows} rows: {report.new} new, {report.changed} changed, {report.unchanged} unchanged, "
        f"{report.bad_rows} bad",
    )
    refused = bool(report.problems) and not report.written
    common.say_stored(report.written, dry_run=dry_run, refused=refused)


def _print_rows(problems: list[RowProblem]) -> None:
    for problem in problems[:SHOWN]:
        where = f"“{problem.column}”" + (f" {problem.value}" if problem.value else "")
        common.warn(
            Text(
                zh=f"第 {problem.row} 行 {where}：{problem.message.zh}",
                en=f"row {problem.row}, {where}: {problem.message.en}",
            )
        )
    common.warn_of_more(len(problems) - SHOWN)


def export_table(
    kind: Kind,
    file: Annotated[Path | None, typer.Argument(help="Where to write; by its ending CSV or XLSX.")] = None,
    form: Annotated[
        Form | None, typer.Option("--format", help="Form when the file's ending does not say.")
    ] = None,
    no_personal: Annotated[
        bool, typer.Option("--no-personal", help="Leave out fields of the classes personal and sensitive.")
    ] = False,
    template: Annotated[bool, typer.Option("--template", help="Only the head row, to be filled in.")] = False,
) -> None:
    """Write all records of a kind as a table that import reads back; to standard output without a file."""
    wanted = form or (Form.XLSX if file and file.suffix.lower() == ".xlsx" else Form.CSV)
    language = common.chosen.language or "zh"
    with common.installation() as (_, catalogue, store):
        of_kind = kind_of(catalogue, kind)
        with store.read() as tx:
            records = [] if template else list(all_records(tx, kind))
        content = export_records(of_kind, records, wanted.value, language, personal=not no_personal)
    if file is None:
        sys.stdout.buffer.write(content)
        return
    write_private(file, content)
    common.say(f"已导出 {len(records)} 条到 {file}", f"exported {len(records)} to {file}")
