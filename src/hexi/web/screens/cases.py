"""The case page, the list of cases, and the cases behind a number."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from hexi.kernel.case import Case
from hexi.kernel.clock import local_day
from hexi.kernel.ports import CaseFilter, CaseRow, MeasureFilter, Transaction
from hexi.web.access.guards import may
from hexi.web.access.looks import look
from hexi.web.access.permissions import Caller, Permission
from hexi.web.screens.desk import panel_values, seen_view
from hexi.web.screens.explain import explain
from hexi.web.screens.names import Names
from hexi.web.screens.shell import Screens, Visit, area, html, speak, visitor_of
from hexi.web.screens.words import SEVERITIES, say

PAGE_SIZE = 50
MOST_PEOPLE = 40


@get("/cases/{case_id:str}", guards=may(Permission.CASE_SEE), sync_to_thread=True)
def case_page(request: Visit, screens: NamedDependency[Screens], case_id: FromPath[str]) -> Response[str]:
    """One case: its past and plan on one line, its people, place, evidence, and why this plan."""
    speak(request)
    caller = visitor_of(request)
    with screens.platform.store.read() as tx:
        view = seen_view(screens, tx, case_id, caller)
    plan = explain(view.scenario) if view.scenario else []
    return screens.page(request, "case.html", view=view, plan=plan, **panel_values(caller))


@get("/cases/{case_id:str}/live", guards=may(Permission.CASE_SEE), sync_to_thread=True)
def live(request: Visit, screens: NamedDependency[Screens], case_id: FromPath[str]) -> Response[str]:
    """What a change of the case redraws; what somebody is typing stays."""
    speak(request)
    caller = visitor_of(request)
    with screens.platform.store.read() as tx:
        view = seen_view(screens, tx, case_id, caller)
    return html(screens.render(request, "parts/live.html", view=view, buttons=True, **panel_values(caller)))


@post("/cases/{case_id:str}/look", guards=may(Permission.PERSON_SENSITIVE), status_code=200)
async def look_at(
    request: Visit, screens: NamedDependency[Screens], case_id: FromPath[str]
) -> Response[str] | Redirect:
    """Key-holder, door code and medical note; the look is in the log before anything is shown."""
    speak(request)
    platform, caller = screens.platform, visitor_of(request)
    with platform.store.read() as tx:
        view = seen_view(screens, tx, case_id, caller)
    if view.person is None:
        raise NotFoundException
    fields = "key_holder, door_code, medical_note"
    await look(platform, caller, f"person:{view.person.id}", fields, case_id)
    return screens.page(request, "parts/private.html", person=view.person, case_id=case_id, may_look=True)


@get("/cases", guards=may(Permission.CASE_SEE), sync_to_thread=True)
def case_list(request: Visit, screens: NamedDependency[Screens], page: FromQuery[int] = 1) -> Response[str]:
    """Cases by search, or those behind an indicator."""
    speak(request)
    caller = visitor_of(request)
    text, which, indicator = (request.query_params.get(name, "") for name in ("text", "which", "indicator"))
    skip = max(0, page - 1) * PAGE_SIZE
    with screens.platform.store.read() as tx:
        if indicator:
            rows, total, title = _behind(screens, tx, indicator, caller)
            rows = rows[skip : skip + PAGE_SIZE]
        else:
            found, total = _search(tx, _wanted(text, which, caller), skip)
            rows, title = [_row(screens, Names(tx), row) for row in found], ""
    values: dict[str, Any] = {"text": text, "which": which, "indicator": indicator, "title": title}
    pages = {"page": page, "pages": -(-total // PAGE_SIZE), "total": total}
    template = "parts/case_rows.html" if request.headers.get("hx-request") else "cases.html"
    return screens.page(request, template, rows=rows, **values, **pages)


def _search(tx: Transaction, wanted: CaseFilter, skip: int) -> tuple[list[CaseRow], int]:
    """Cases whose number or scenario contains the text, and those of people whose record does."""
    if wanted.text is None:
        return tx.cases.find(wanted, PAGE_SIZE, skip), tx.cases.count(wanted)
    people = tx.records.find("person", wanted.text, MOST_PEOPLE)
    of_people = [msgspec.structs.replace(wanted, text=None, subject=person.ref) for person in people]
    rows = {row.id: row for each in (wanted, *of_people) for row in tx.cases.find(each, skip + PAGE_SIZE)}
    ranked = sorted(rows.values(), key=lambda row: (row.closed_at is not None, -row.opened_at))
    return ranked[skip : skip + PAGE_SIZE], max(len(ranked), tx.cases.count(wanted))


def _wanted(text: str, which: str, caller: Caller) -> CaseFilter:
    state = {"open": True, "closed": False}.get(which)
    return CaseFilter(open=state, text=text.strip() or None, **area(caller))


def _row(screens: Screens, names: Names, row: CaseRow, hit: int | None = None) -> dict[str, Any]:
    parts = [names.place(row.street), names.place(row.community)]
    return {
        "id": row.id,
        "state": row.state,
        "severity": SEVERITIES[row.severity],
        "title": say(screens.catalogue.title(row.scenario)),
        "subject": names.of(row.subject or row.device),
        "place": " ".join(part for part in parts if part),
        "opened_at": row.opened_at,
        "closed_at": row.closed_at,
        "next_due": row.next_due,
        "drill": row.drill,
        "hit": hit,
    }


def _behind(
    screens: Screens, tx: Transaction, indicator: str, caller: Caller
) -> tuple[list[dict[str, Any]], int, str]:
    """The cases counted today in an indicator: those that missed first, then the newest."""
    known = screens.catalogue.indicators.get(indicator)
    if known is None:
        raise NotFoundException
    measures = tx.measures.rows(indicator, today(screens, caller))
    measures.sort(key=lambda m: (m.hit is None, m.hit or 0))
    names = Names(tx)
    found = [(tx.cases.get(measure.case_id), measure) for measure in measures]
    rows = [_row(screens, names, row_of(case), measure.hit) for case, measure in found if case]
    return rows, len(rows), say(known.title)


def today(screens: Screens, caller: Caller) -> MeasureFilter:
    """What was opened today in the visitor's part of the district."""
    day = local_day(screens.now())
    return MeasureFilter(since=day, until=day, **area(caller))


def row_of(case: Case) -> CaseRow:
    """A case as lists show it."""
    point = case.place.point
    return CaseRow(
        id=case.id,
        version=case.version,
        state=case.state.value,
        severity=case.severity.rank,
        scenario=case.scenario,
        matter=case.matter,
        subject=case.subject,
        device=case.device,
        street=case.place.street,
        community=case.place.community,
        grid=case.place.grid,
        lon=point.lon if point else None,
        lat=point.lat if point else None,
        opened_at=case.opened_at,
        closed_at=case.closed_at,
        next_due=case.next_due,
        drill=case.drill,
    )
