"""``hexi import layer`` and ``hexi import district``: the map of a deployer, and a frame to start with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hexi.adapters.geojson import FeatureProblem, MapImport, MapLayer, read_layer
from hexi.adapters.tabular import Tally
from hexi.cli import common
from hexi.cli.table import SHOWN, importing
from hexi.kernel.place import Level
from hexi.kernel.ports import Transaction
from hexi.kernel.record import Record
from hexi.kernel.text import Text
from hexi.sim.frame import frame
from hexi.spine.records import keep

DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and count, store nothing.")]


class LayerReport(Tally, kw_only=True):
    """What an import of places did."""

    features: int
    problems: list[FeatureProblem] = msgspec.field(default_factory=list)


def register(_: typer.Typer) -> None:
    """Add both commands to ``hexi import``."""
    importing.command("layer")(import_layer)
    importing.command("district")(import_district)


def import_layer(
    file: Annotated[Path, typer.Argument(help="A GeoJSON FeatureCollection.")],
    level: Annotated[Level, typer.Option(help="What its polygons are.")],
    code: Annotated[str, typer.Option(help="Property with the official code.")] = "code",
    name: Annotated[str, typer.Option(help="Property with the name.")] = "name",
    parent: Annotated[str, typer.Option(help="Property with the code one level up.")] = "parent",
    gcj02: Annotated[bool, typer.Option("--gcj02", help="Drawn on a Chinese web map: convert it.")] = False,
    dry_run: DryRun = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Store the good features of a file with bad ones.")
    ] = False,
    as_json: common.AsJson = False,
) -> None:
    """Add or update places from one layer of a map, all features or none."""
    layer = MapLayer(level=level, code=code, name=name, parent=parent, gcj02=gcj02)
    try:
        found = read_layer(file.read_bytes(), layer, common.now(), "user:cli")
    except ValueError as error:
        raise common.Fault(f"{file} 不是 GeoJSON 图层：{error}", f"{file}: {error}") from error
    report = _report(found)
    fatal = any(problem.fatal for problem in report.problems)
    with common.installation() as (_, _catalogue, store), store.write() as tx:
        wanted = _changed(tx, found.records, report)
        if not dry_run and (skip_bad or not fatal):
            _store(tx, wanted, report)
    if as_json:
        common.print_json(report)
    else:
        _tell_problems(report.problems)
        _tell(report, dry_run=dry_run, refused=fatal and not skip_bad)
    if fatal:
        raise typer.Exit(common.FAILED)


def import_district(
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="With made-up polygons, marked so: to try it, not to use it.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Add the real district, its 14 streets and 149 communities; a place that is there stays as it is."""
    records = list(frame(common.now(), "user:cli", synthetic=synthetic))
    report = LayerReport(features=len(records))
    with common.installation() as (_, _catalogue, store), store.write() as tx:
        wanted = [r for r in records if _lacking(tx.records.get("place", r.id), synthetic=synthetic)]
        report.unchanged = len(records) - len(wanted)
        wanted = _changed(tx, wanted, report)
        if not dry_run:
            _store(tx, wanted, report)
    _tell(report, dry_run=dry_run, refused=False)


def _lacking(known: Record | None, *, synthetic: bool) -> bool:
    """Whether the frame has something to add: a polygon of one's own is never overwritten."""
    return known is None or (synthetic and not known.data.get("polygon"))


def _report(found: MapImport) -> LayerReport:
    bad = sum(1 for problem in found.problems if problem.fatal)
    return LayerReport(features=len(found.records) + bad, problems=found.problems)


def _changed(tx: Transaction, records: Iterable[Record], report: LayerReport) -> list[Record]:
    """The records that are new or differ; what a layer does not say of a known place stays."""
    wanted = []
    for record in records:
        known = tx.records.get("place", record.id)
        said = {name: value for name, value in record.data.items() if value is not None}
        data = {**known.data, **said} if known else record.data
        if known and data == known.data:
            report.unchanged += 1
            continue
        report.changed += 1 if known else 0
        report.new += 0 if known else 1
        wanted.append(msgspec.structs.replace(record, data=data))
    return wanted


def _store(tx: Transaction, records: list[Record], report: LayerReport) -> None:
    for record in records:
        keep(tx, {}, record)
    report.written = len(records)


def _tell_problems(problems: list[FeatureProblem]) -> None:
    for problem in problems[:SHOWN]:
        said = problem.message
        common.warn(
            Text(zh=f"第 {problem.feature} 个要素：{said.zh}", en=f"feature {problem.feature}: {said.en}")
        )
    common.warn_of_more(len(problems) - SHOWN)


def _tell(report: LayerReport, *, dry_run: bool, refused: bool) -> None:
    bad = sum(1 for problem in report.problems if problem.fatal)
    common.say(
        f"{report.features} 个地点：新增 {report.new}，更新 {report.changed}，"
        f"无变化 {report.unchanged}，有误 {bad}",
        f"{report.features} places: {report.new} new, {report.changed} changed, "
        f"{report.unchanged} unchanged, {bad} bad",
    )
    common.say_stored(report.written, dry_run=dry_run, refused=refused)
