"""``hexi query``: one SELECT over hot and archived signals and the views of the store."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Column, Table

from hexi.adapters.durable import write_private
from hexi.cli import common
from hexi.kernel.access import Look
from hexi.kernel.archive import of_signals, summaries
from hexi.kernel.clock import HOUR, SECOND, format_instant, parse_duration
from hexi.kernel.text import Text
from hexi.settings import Settings


class Form(StrEnum):
    """Forms of an answer."""

    TABLE = "table"
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"
    PARQUET = "parquet"


MOST = {Form.TABLE: 1_000, Form.CSV: 5_000_000, Form.XLSX: 1_000_000, Form.JSON: 1_000_000}
"""Rows that a form takes unless ``--limit`` says fewer; a sheet ends at 1,048,576."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("query")(query)


def query(
    sql: Annotated[
        str, typer.Argument(help="One SELECT over the views of docs/reference/views.md; - reads it.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file; its ending says the form.")
    ] = None,
    form: Annotated[Form | None, typer.Option("--format", help="Form of the answer.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most rows.")] = None,
    timeout: Annotated[str, typer.Option(help="A query that takes longer is stopped.")] = "60s",
    personal: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Show personal data too; the reason goes into the log of looks."),
    ] = None,
    bom: Annotated[
        bool, typer.Option("--bom/--no-bom", help="The mark by which spreadsheets show a CSV's Chinese.")
    ] = True,
) -> None:
    """Ask hot and archived signals, cases and figures in SQL; nothing can be changed."""
    from hexi.adapters.archive.query import Desk, Question  # noqa: PLC0415 -- 0.2 s for this command alone

    wanted = _form(form, out)
    with common.installation() as (settings, catalogue, store):
        if personal is not None:
            _log(store, personal)
        question = Question(
            sql=sys.stdin.read() if sql == "-" else sql,
            personal=personal is not None,
            limit=min(limit or MOST.get(wanted, 1), MOST.get(wanted, 1)),
            seconds=_length(timeout) / SECOND,
            memory=settings.archive.memory,
        )
        desk = Desk(store, _folder(settings), catalogue, common.now())
        left_out = _answer(desk, question, wanted, out, bom=bom)
        _say_until(store, question.sql)
    for name in left_out:
        common.warn(
            Text(
                zh=f"归档文件损坏，未读取：{name}",
                en=f"this file of the archive is damaged and was left out: {name}",
            )
        )
    if left_out:
        raise typer.Exit(common.FAILED)


def _say_until(store: Any, sql: str) -> None:
    """Up to when there are summaries: later hours, and files not summarised yet, are in ``signals`` alone."""
    from hexi.adapters.archive.query import named  # noqa: PLC0415 -- as above

    if "signal_hours" not in named(sql):
        return
    with store.read() as tx:
        files = [f for f in tx.archive.files() if f.is_read]
    counted = summaries(files)
    names = {f.name for f in counted}
    lacking = sum(f.summary not in names for f in of_signals(files))
    until = format_instant(max(f.hour for f in counted) + HOUR)[:16] + "Z" if counted else "-"
    common.warn(
        Text(
            zh=f"小时汇总截至 {until}；尚未汇总的归档文件：{lacking}；其余见 signals",
            en=f"signal_hours ends at {until}, {lacking} files are not summarised; the rest is in signals",
        )
    )


def _folder(settings: Settings) -> Path:
    return settings.archive_dir.absolute()


def _form(form: Form | None, out: Path | None) -> Form:
    if form is None and out is not None:
        ending = out.suffix.lower().removeprefix(".")
        if ending not in set(Form) - {Form.TABLE}:
            raise common.Fault(
                f"不知道 {out} 的格式", f"{out}: use .csv, .xlsx, .json or .parquet, or --format"
            )
        return Form(ending)
    if form is Form.PARQUET and out is None:
        raise common.Fault("parquet 需要 --out", "parquet needs --out")
    return form or Form.TABLE


def _length(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise common.Fault(f"时长有误：{text}", f"--timeout: {error}") from error


def _log(store: Any, reason: str) -> None:
    """Personal data are asked for: who and why is kept before anything is shown."""
    if not reason.strip():
        raise common.Fault("请写明查看个人信息的理由", "say why personal data are needed")
    look = Look(at=common.now(), by="user:cli", record="query", what=reason.strip())
    with store.write() as tx:
        tx.access.looked(look)


def _answer(desk: Any, question: Any, form: Form, out: Path | None, *, bom: bool) -> list[str]:
    """Give the answer in its form; the damaged files that were left out."""
    from hexi.adapters.archive.query import ask, ask_into  # noqa: PLC0415 -- as above

    if form is Form.PARQUET and out is not None:
        with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}.") as own:
            draft = Path(own, "answer")  # nobody else may open this folder while the answer is written
            left_out = ask_into(desk, question, draft)
            draft.chmod(0o600)
            draft.replace(out)
        common.say(f"已写入 {out}", f"wrote {out}")
        return left_out
    answer = ask(desk, question)
    if form is Form.TABLE:
        _print(answer)
    else:
        _give(_content(answer, form, bom=bom), out, len(answer.rows))
    if answer.more:
        common.warn(
            Text(
                zh=f"只给出前 {len(answer.rows):,} 行，还有更多",
                en=f"the first {len(answer.rows):,} rows; there are more",
            )
        )
    return answer.left_out


def _give(content: bytes, out: Path | None, rows: int) -> None:
    if out is None:
        sys.stdout.buffer.write(content)
        return
    write_private(out, content)
    common.say(f"已写入 {rows:,} 行到 {out}", f"wrote {rows:,} rows to {out}")


def _print(answer: Any) -> None:
    table = Table(*(Column(name, overflow="fold") for name in answer.columns))
    for row in answer.rows:
        table.add_row(*(str(_cell(value)) for value in row))
    common.out.print(table, markup=False)


def _content(answer: Any, form: Form, *, bom: bool) -> bytes:
    from hexi.adapters.sheets import write_csv, write_xlsx  # noqa: PLC0415 -- as above

    if form is Form.JSON:
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        return msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n"
    if form is Form.XLSX:
        return write_xlsx(_lines(answer), "query")
    content = write_csv(_lines(answer))
    return content if bom else content.removeprefix(b"\xef\xbb\xbf")


def _lines(answer: Any) -> Iterator[list[str | float]]:
    yield answer.columns
    for row in answer.rows:
        yield [_cell(value) for value in row]


def _cell(value: Any) -> str | float:
    """A value as a cell shows it; a time as ISO 8601, what is nested as JSON."""
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    if isinstance(value, int | float | str):
        return value
    if isinstance(value, datetime):
        return value.isoformat(" ", "milliseconds")
    if isinstance(value, dict | list | tuple):
        return msgspec.json.encode(value).decode()
    return str(value)
