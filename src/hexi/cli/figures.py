"""``hexi indicators`` and ``hexi rebuild``: the numbers, and that they follow from the logs."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from hexi.cli import common
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.indicator import Figure, Indicator
from hexi.kernel.ports import CaseFilter, MeasureFilter, Store
from hexi.kernel.text import Text
from hexi.spine.count import cases_behind, read
from hexi.spine.rebuild import Report, rebuild_all

Day = Annotated[str | None, typer.Option(help="A day such as 2026-05-01, included.")]


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command("indicators")(indicators)
    app.command("rebuild")(rebuild)


def indicators(
    name: Annotated[str | None, typer.Argument(help="One indicator, with the cases behind it.")] = None,
    since: Day = None,
    until: Day = None,
    street: Annotated[str | None, typer.Option(help="Code of a street.")] = None,
    community: Annotated[str | None, typer.Option(help="Code of a community.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Recompute from the logs and compare.")] = False,
    as_json: common.AsJson = False,
) -> None:
    """Show every indicator, or one with its cases; --verify recomputes all of them from the case logs."""
    with common.installation() as (_, catalogue, store):
        if verify:
            report = _walk(store, catalogue, repair=False)
            _tell(report, repair=False, as_json=as_json)
            return
        wanted = MeasureFilter(since=since, until=until, street=street, community=community)
        if name is None:
            _show_all(store, catalogue, wanted, as_json=as_json)
        else:
            _show_one(store, catalogue, name, wanted, as_json=as_json)


def rebuild(
    check: Annotated[bool, typer.Option("--check", help="Only compare; write nothing.")] = False,
    as_json: common.AsJson = False,
) -> None:
    """Derive every case row and indicator again from the logs; what differs is written anew and named."""
    with common.installation() as (_, catalogue, store):
        report = _walk(store, catalogue, repair=not check)
    _tell(report, repair=not check, as_json=as_json)


def _walk(store: Store, catalogue: Catalogue, *, repair: bool) -> Report:
    with store.read() as tx:
        total = tx.cases.count(CaseFilter())
    with common.progress("重算案件", "rebuilding cases", total) as done:
        finished = 0

        def step(count: int) -> None:
            nonlocal finished
            finished += count
            done(finished)

        return rebuild_all(store, catalogue, repair=repair, progress=step)


def _tell(report: Report, *, repair: bool, as_json: bool) -> None:
    if as_json:
        common.print_json(report)
    else:
        for difference in report.differences:
            common.warn(f"{difference.case_id}: {difference.what}")
        common.say(
            f"{report.cases} 件案件、{report.entries} 条日志：{len(report.differences)} 处不一致",
            f"{report.cases} cases, {report.entries} log entries: {len(report.differences)} differences",
        )
        if report.differences and repair:
            common.say("已按日志改正", "corrected from the logs")
    if report.differences and not repair:
        raise typer.Exit(common.FAILED)


def _show_all(store: Store, catalogue: Catalogue, wanted: MeasureFilter, *, as_json: bool) -> None:
    with store.read() as tx:
        rows = [(i, read(tx, catalogue, i.id, wanted)) for i in catalogue.indicators.values()]
    if as_json:
        common.print_json([_plain(indicator, figure) for indicator, figure in rows])
        return
    table = Table(box=None, pad_edge=False)
    for zh, en in (("指标", "indicator"), ("数值", "value"), ("计入", "counted")):
        table.add_column(common.words(Text(zh=zh, en=en)), no_wrap=True)
    table.add_column("")
    for indicator, figure in rows:
        title = indicator.title.get(common.chosen.language or "zh")
        table.add_row(indicator.id, shown(indicator, figure), str(figure.counted), title)
    common.out.print(table)


def _show_one(store: Store, catalogue: Catalogue, name: str, wanted: MeasureFilter, *, as_json: bool) -> None:
    indicator = catalogue.indicators.get(name)
    if indicator is None:
        raise common.Fault(
            f"没有指标 {name}，见 hexi indicators", f"there is no indicator {name}; see hexi indicators"
        )
    with store.read() as tx:
        figure = read(tx, catalogue, name, wanted)
        hits, misses = (cases_behind(tx, name, wanted, hit=hit) for hit in (True, False))
    if as_json:
        common.print_json(_plain(indicator, figure) | {"hits": hits, "misses": misses})
        return
    common.say(
        f"{indicator.title.zh}：{shown(indicator, figure)}（计入 {figure.counted} 件）",
        f"{indicator.title.en}: {shown(indicator, figure)} ({figure.counted} counted)",
    )
    for zh, en, cases in (("达到", "hit", hits), ("未达到", "missed", misses)):
        if cases:
            common.say(f"{zh}：{' '.join(cases)}", f"{en}: {' '.join(cases)}")


def _plain(indicator: Indicator, figure: Figure) -> dict[str, Any]:
    return {
        "indicator": indicator.id,
        "title": {"zh": indicator.title.zh, "en": indicator.title.en},
        "measure": indicator.rule.measure,
        "value": figure.value,
        "counted": figure.counted,
        "hits": figure.hits,
        "target": indicator.rule.target,
    }


def shown(indicator: Indicator, figure: Figure) -> str:
    """A figure as people read it: a share in per cent, a percentile in seconds."""
    if figure.value is None:
        return "-"
    if indicator.rule.measure == "share":
        return f"{figure.value:.1%}"
    if indicator.rule.measure == "percentile":
        return f"{figure.value:.3g} s"
    return f"{figure.value:g}"
