"""Indicators: every number, by place and period, and the cases behind it."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from hexi.connectors.problem import ProblemError
from hexi.kernel.indicator import Figure, Indicator, Measure, figure
from hexi.kernel.ports import MeasureFilter
from hexi.kernel.text import Text
from hexi.spine.count import cases_behind, read
from hexi.web.access.guards import Call, caller_in, may, platform_of
from hexi.web.access.permissions import Permission
from hexi.web.api.cases import Name
from hexi.web.api.common import Day, zone


class Number(msgspec.Struct, kw_only=True):
    """An indicator with its value; ``cases`` is the address of what it counts."""

    id: str
    title: Text
    measure: str
    target: float | None
    value: float | None
    counted: int
    hits: int
    cases: str


class Group(msgspec.Struct, kw_only=True):
    """The value for one place or one day; ``key`` is None where the place is not known."""

    key: str | None
    value: float | None
    counted: int
    hits: int


Level = Literal["street", "community", "grid", "day"]


def area(
    since: Day = None, until: Day = None, street: Name = None, community: Name = None, grid: Name = None
) -> MeasureFilter:
    """The filter on days (inclusive) and place."""
    return MeasureFilter(since=since, until=until, street=street, community=community, grid=grid)


def _allowed(request: Call, wanted: MeasureFilter) -> MeasureFilter:
    allowed = zone(caller_in(request), wanted.street, wanted.community)
    if allowed.empty:
        raise ProblemError("forbidden", Text(zh="不在您的辖区", en="this lies outside your place"))
    return msgspec.structs.replace(wanted, street=allowed.street, community=allowed.community)


def _indicator(request: Call, indicator: str) -> Indicator:
    known = platform_of(request).spine.catalogue.indicators.get(indicator)
    if known is None:
        raise ProblemError("not-found", Text(zh=f"没有指标 {indicator}", en=f"there is no {indicator}"))
    return known


@get("/indicators", guards=may(Permission.WALL_SEE), sync_to_thread=True, summary="All indicators")
def list_indicators(request: Call, wanted: NamedDependency[MeasureFilter]) -> list[Number]:
    """Every indicator's value for a place and a period."""
    asked, catalogue = _allowed(request, wanted), platform_of(request).spine.catalogue
    with platform_of(request).store.read() as tx:
        found = {name: read(tx, catalogue, name, asked) for name in catalogue.indicators}
    return [_number(catalogue.indicators[name], value) for name, value in found.items()]


def _number(indicator: Indicator, found: Figure) -> Number:
    return Number(
        id=indicator.id,
        title=indicator.title,
        measure=indicator.rule.measure,
        target=indicator.rule.target,
        value=found.value,
        counted=found.counted,
        hits=found.hits,
        cases=f"/api/v1/indicators/{indicator.id}/cases",
    )


@get("/indicators/{indicator:str}", guards=may(Permission.WALL_SEE), sync_to_thread=True, summary="By place")
def get_indicator(
    request: Call,
    indicator: FromPath[str],
    wanted: NamedDependency[MeasureFilter],
    by: FromQuery[Level] = "street",
) -> list[Group]:
    """One indicator by place level or by day."""
    known, asked = _indicator(request, indicator), _allowed(request, wanted)
    groups: defaultdict[str | None, list[Measure]] = defaultdict(list)
    with platform_of(request).store.read() as tx:
        for row in tx.measures.rows(indicator, asked):
            groups[getattr(row, by)].append(row)
    return [_group(known, key, rows) for key, rows in sorted(groups.items(), key=lambda g: g[0] or "")]


def _group(indicator: Indicator, key: str | None, rows: list[Measure]) -> Group:
    found = figure(indicator.rule, indicator.id, ((row.hit, row.value) for row in rows))
    return Group(key=key, value=found.value, counted=found.counted, hits=found.hits)


@get(
    "/indicators/{indicator:str}/cases",
    guards=may(Permission.WALL_SEE, Permission.CASE_SEE),
    sync_to_thread=True,
    summary="The cases behind a number",
)
def get_indicator_cases(
    request: Call,
    indicator: FromPath[str],
    wanted: NamedDependency[MeasureFilter],
    hit: FromQuery[bool | None] = None,
) -> list[str]:
    """The ids of the cases a number counts: all, or only the hits or the misses."""
    _indicator(request, indicator)
    asked = _allowed(request, wanted)
    with platform_of(request).store.read() as tx:
        return cases_behind(tx, indicator, asked, hit=hit)
