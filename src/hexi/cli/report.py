"""``hexi report``: the monthly report of promises kept, and that it follows from the logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from hexi.cli import common
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.ports import Store
from hexi.kernel.report import PROMISES, Asked, Difference, MonthReport, compare, span_of
from hexi.kernel.text import Text
from hexi.spine.report import check_rows, month_report

FORMS = (".pdf", ".xlsx", ".json")
NAMED = 20
"""Differences that are printed before the rest is only counted."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)


def report(
    month: Annotated[
        str, typer.Argument(help="A month such as 2026-11; with --verify also a report's .json.")
    ],
    out: Annotated[Path | None, typer.Option(help="Write it to a .pdf, .xlsx or .json file.")] = None,
    place: Annotated[str | None, typer.Option(help="Code of a street or community alone.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Count again from the case logs and name every difference.")
    ] = False,
    as_json: common.AsJson = False,
) -> None:
    """Report the promises kept in a month: 60 seconds, 180 seconds, 15 minutes."""
    if out and out.suffix not in FORMS:
        raise common.Fault(f"文件名应以 {' '.join(FORMS)} 结尾", f"the file must end in {', '.join(FORMS)}")
    with common.installation() as (_, catalogue, store):
        if verify:
            _verify(store, catalogue, month, as_json=as_json)
            return
        found = _count(store, Asked(_month(month), common.now(), place))
        if out:
            out.write_bytes(_written(store, catalogue, found, out.suffix))
            common.say(f"已写入 {out}", f"wrote {out}")
        elif as_json:
            common.print_json(found)
        else:
            _show(found)


def _month(said: str) -> str:
    try:
        span_of(said)
    except ValueError as error:
        raise common.Fault(
            f"{said} 不是月份，应如 2026-11", f"{said} is not a month such as 2026-11"
        ) from error
    return said


def _count(store: Store, asked: Asked) -> MonthReport:
    with store.read() as tx:
        return month_report(tx, asked)


def _written(store: Store, catalogue: Catalogue, found: MonthReport, form: str) -> bytes:
    from hexi.adapters.report import FontMissingError, write_pdf, write_xlsx  # noqa: PLC0415 -- loads slowly
    from hexi.adapters.report.words import labels_of  # noqa: PLC0415

    if form == ".json":
        plain = msgspec.to_builtins(found)
        return (json.dumps(plain, ensure_ascii=False, indent=2) + "\n").encode()
    titles = {name: scenario.title for name, scenario in catalogue.scenarios.items()}
    with store.read() as tx:
        labels = labels_of(tx, found, titles)
    try:
        return write_xlsx(found, labels) if form == ".xlsx" else write_pdf(found, labels)
    except FontMissingError as error:
        raise common.Fault(f"缺少字体：{error}", f"the font is missing: {error}", common.FAILED) from error


def _verify(store: Store, catalogue: Catalogue, said: str, *, as_json: bool) -> None:
    differences = (
        _against_file(store, Path(said))
        if said.endswith(".json")
        else _against_rows(store, catalogue, _month(said))
    )
    if as_json:
        common.print_json(differences)
    else:
        for one in differences[:NAMED]:
            common.warn(f"{one.where}: {one.told!r} != {one.counted!r}")
        common.warn_of_more(len(differences) - NAMED)
        common.say(
            f"按日志重算：{len(differences)} 处不一致",
            f"counted again from the logs: {len(differences)} differences",
        )
    if differences:
        raise typer.Exit(common.FAILED)


def _against_file(store: Store, file: Path) -> list[Difference]:
    """A report that was written earlier, against the same one counted now."""
    try:
        told = msgspec.json.decode(file.read_bytes(), type=MonthReport)
        asked = Asked(_month(told.month), told.as_of, told.place)
    except msgspec.DecodeError as error:
        raise common.Fault(f"{file} 不是月报：{error}", f"{file} is not a report: {error}") from error
    return compare(told, _count(store, asked))


def _against_rows(store: Store, catalogue: Catalogue, month: str) -> list[Difference]:
    """What screens and indicators show of the month's cases, against what their logs add up to."""
    with store.read() as tx:
        found = check_rows(tx, catalogue, month)
    return [Difference(where=f"{one.case_id} {one.what}", told="stored", counted="log") for one in found]


def _show(found: MonthReport) -> None:
    table = Table(box=None, pad_edge=False)
    heads = (
        ("承诺", "promise"),
        ("兑现", "kept"),
        ("计入", "counted"),
        ("兑现率", "share"),
        ("上月", "before"),
    )
    for zh, en in heads:
        table.add_column(common.words(Text(zh=zh, en=en)), no_wrap=True)
    titles = {promise.id: promise.title for promise in PROMISES}
    for line, before in zip(found.lines, found.before, strict=True):
        share, earlier = (_share(one.share) for one in (line, before))
        table.add_row(common.words(titles[line.promise]), str(line.kept), str(line.counted), share, earlier)
    common.out.print(table)
    covered = found.coverage
    common.say(
        f"案件 {covered.cases}，演练 {covered.drills} 不计，未兑现 {len(found.missed)}；"
        f"凭证 {found.evidence.sha256}",
        f"{covered.cases} cases, {covered.drills} drills left out, {len(found.missed)} promises missed; "
        f"evidence {found.evidence.sha256}",
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
