"""The wall: the district with its live cases, figures that open their cases, arrivals and closings."""

from __future__ import annotations

from typing import Any, NamedTuple

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from hexi.kernel.clock import DAY, Instant
from hexi.kernel.indicator import Figure, Indicator
from hexi.kernel.ports import CaseFilter, CaseRow, MeasureFilter, Transaction
from hexi.spine.count import read
from hexi.web.access.guards import may
from hexi.web.access.permissions import Caller, Permission
from hexi.web.screens.cases import today
from hexi.web.screens.names import Names
from hexi.web.screens.shell import Screens, Visit, area, html, speak, visitor_of
from hexi.web.screens.words import SEVERITIES, gettext, mark, say, word

MOST_POINTS = 1_000
MOST_NEWS = 14
_LATELY = 60
_SECONDS = mark("%(value)s s")
_OF = mark("%(hits)s of %(counted)s")
_COUNTED = mark("%(counted)s counted")
_TARGET = mark("target %(target)s")


class Shown(NamedTuple):
    """A figure as the wall shows it."""

    id: str
    title: str
    value: str
    note: str
    missed: bool


class News(NamedTuple):
    """Somebody has arrived, or a case has closed."""

    at: Instant
    case_id: str
    what: str
    subject: str
    took: int
    kept: bool


@get("/wall", guards=may(Permission.WALL_SEE), sync_to_thread=True)
def wall(request: Visit, screens: NamedDependency[Screens], view: FromQuery[str] = "") -> Response[str]:
    """The whole wall; ``view=table`` is the same without a map."""
    return screens.page(request, "wall.html", table=view == "table", **_data(request, screens))


@get("/wall/live", guards=may(Permission.WALL_SEE), sync_to_thread=True)
def wall_live(request: Visit, screens: NamedDependency[Screens], view: FromQuery[str] = "") -> Response[str]:
    """Its moving parts."""
    return html(
        screens.render(request, "parts/wall_live.html", table=view == "table", **_data(request, screens))
    )


@get("/wall/points", guards=may(Permission.CASE_SEE), sync_to_thread=True)
def points(request: Visit, screens: NamedDependency[Screens]) -> list[dict[str, Any]]:
    """Where the open cases are."""
    speak(request)
    with screens.platform.store.read() as tx:
        rows = tx.cases.find(CaseFilter(open=True, **area(visitor_of(request))), MOST_POINTS)
        names = Names(tx)
        return [_point(screens, names, row) for row in rows if row.lon is not None]


@get("/wall/map", guards=may(Permission.CASE_SEE), sync_to_thread=True)
def outlines(screens: NamedDependency[Screens]) -> dict[str, Any]:
    """The outlines of the streets, as GeoJSON."""
    with screens.platform.store.read() as tx:
        district = tx.records.get("roster", "district")
        code = str(district.data.get("place", "")) if district else ""
        streets = tx.records.linked("place", "parent", code)
    features = [
        {
            "type": "Feature",
            "properties": {"code": street.id, "name": street.data.get("name", street.id)},
            "geometry": street.data["polygon"],
        }
        for street in streets
        if street.data.get("polygon")
    ]
    return {"type": "FeatureCollection", "features": features}


def _point(screens: Screens, names: Names, row: CaseRow) -> dict[str, Any]:
    title = say(screens.catalogue.title(row.scenario))
    severity = SEVERITIES[row.severity]
    said = f"{word('severity', severity)} {title} {names.of(row.subject or row.device)}"
    return {"id": row.id, "lon": row.lon, "lat": row.lat, "severity": severity, "said": said}


def _data(request: Visit, screens: Screens) -> dict[str, Any]:
    speak(request)
    caller = visitor_of(request)
    with screens.platform.store.read() as tx:
        wanted = CaseFilter(open=True, **area(caller))
        rows = screens.queue.rows(tx, screens.catalogue, wanted, screens.now())
        return {
            "rows": rows[:MOST_NEWS],
            "total": tx.cases.count(wanted),
            "by_severity": {s: sum(row.severity == s for row in rows) for s in SEVERITIES},
            "figures": _figures(screens, tx, today(screens, caller)),
            "news": _news(screens, tx, caller),
        }


def _figures(screens: Screens, tx: Transaction, wanted: MeasureFilter) -> list[Shown]:
    catalogue = screens.catalogue
    district = [i for i in catalogue.indicators.values() if not i.id.startswith("core.")]
    return [_figure(i, read(tx, catalogue, i.id, wanted)) for i in district or catalogue.indicators.values()]


def _figure(indicator: Indicator, figure: Figure) -> Shown:
    rule, value = indicator.rule, figure.value
    if rule.measure == "share":
        note = gettext(_OF, hits=figure.hits, counted=figure.counted)
    else:
        note = gettext(_COUNTED, counted=figure.counted)
    if rule.target is not None:
        note += " · " + gettext(_TARGET, target=f"{rule.target:.1%}")
    missed = rule.target is not None and value is not None and value < rule.target
    return Shown(indicator.id, say(indicator.title), _value(rule.measure, value), note, missed)


def _value(measure: str, value: float | None) -> str:
    if value is None:
        return "—"
    if measure == "share":
        return f"{value:.1%}"
    if measure == "percentile":
        return gettext(_SECONDS, value=f"{value:.3g}")
    return f"{value:.0f}"


def _news(screens: Screens, tx: Transaction, caller: Caller) -> list[News]:
    """What was reached lately, the latest first."""
    names, found = Names(tx), []
    lately = CaseFilter(since=screens.now() - DAY, **area(caller))
    closed = CaseFilter(open=False, since=screens.now() - DAY, **area(caller))
    rows = {row.id: row for wanted in (lately, closed) for row in tx.cases.find(wanted, _LATELY)}
    for row in rows.values():
        case = tx.cases.get(row.id)
        for name in ("arrived", "closed") if case and not case.drill else ():
            at = case.milestones.get(name) if case else None
            if case and at:
                promise = case.promises.get(name)
                kept = promise is None or at <= promise.due
                found.append(
                    News(
                        at,
                        case.id,
                        word("state", "closed") if name == "closed" else word("answer", name),
                        names.subject(case),
                        at - case.opened_at,
                        kept,
                    )
                )
    return sorted(found, reverse=True)[:MOST_NEWS]
