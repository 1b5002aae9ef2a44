"""The alarm desk: the queue, the open case, and who has not answered."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from hexi.kernel.case import Case, Rung
from hexi.kernel.clock import Instant
from hexi.kernel.directory import Roster, view
from hexi.kernel.ports import CaseFilter, Transaction
from hexi.kernel.record import MAX_TEXT
from hexi.kernel.response import Receipt
from hexi.spine.records import Shift, hand_over, take_over
from hexi.web.access.guards import caller_in, may
from hexi.web.access.looks import lies_within, look
from hexi.web.access.permissions import Caller, Permission
from hexi.web.screens.case_model import CaseView, case_view
from hexi.web.screens.names import Names
from hexi.web.screens.shell import Screens, Visit, area, html, speak, visitor_of
from hexi.web.screens.told import RUNGS


@get("/desk", guards=may(Permission.CASE_SEE), sync_to_thread=True)
def desk(
    request: Visit, screens: NamedDependency[Screens], case: FromQuery[str | None] = None
) -> Response[str]:
    """The whole desk, with the case that the address names."""
    speak(request)
    caller = visitor_of(request)
    with screens.platform.store.read() as tx:
        values = _queue(screens, tx, caller)
        opened = seen_view(screens, tx, case, caller) if case else None
        desks = _desks(tx, caller, screens.now())
    return screens.page(
        request,
        "desk.html",
        **values,
        view=opened,
        desks=desks,
        **panel_values(caller),
        version_now=screens.now(),
    )


@get("/desk/queue", guards=may(Permission.CASE_SEE))
async def queue(request: Visit, screens: NamedDependency[Screens]) -> Response[str]:
    """The queue alone; drawn once for each state of the cases, language and place."""
    return html(await screens.drawn_queue(request, visitor_of(request)))


@get("/desk/case/{case_id:str}", guards=may(Permission.CASE_SEE), sync_to_thread=True)
def panel(request: Visit, screens: NamedDependency[Screens], case_id: FromPath[str]) -> Response[str]:
    """The open case and who was told of it."""
    speak(request)
    caller = visitor_of(request)
    with screens.platform.store.read() as tx:
        opened = seen_view(screens, tx, case_id, caller)
    return screens.page(request, "desk_case.html", view=opened, **panel_values(caller))


@post("/desk/open/{case_id:str}", guards=may(Permission.CASE_ACT), status_code=204)
async def open_case(request: Visit, screens: NamedDependency[Screens], case_id: FromPath[str]) -> None:
    """A person has opened the case: the look is logged, the desk's notice is seen, sirens stop."""
    platform, caller = screens.platform, visitor_of(request)
    with platform.store.read() as tx:
        case = tx.cases.get(case_id)
    if case is None or not caller.covers(case.place.street, case.place.community):
        raise NotFoundException
    await look(platform, caller, f"case:{case_id}", "opened", case_id)
    for identity in _unseen_at_desk(case):
        seen = Receipt(notice_id=identity, at=screens.now(), rung=Rung.SEEN, evidence={"by": caller.ref})
        await platform.intake.receipt(seen)
    platform.hub.publish({case_id: case.version})


def _unseen_at_desk(case: Case) -> list[str]:
    return [i for i, n in case.notices.items() if n.way == "desk" and Rung.SEEN not in n.rungs]


@post("/desk/shift", guards=may(Permission.ROSTER_TAKE))
async def shift(request: Visit, screens: NamedDependency[Screens]) -> Redirect:
    """Take over a desk, or hand it over; the versions of the roster are the shift book."""
    form = await request.form()
    roster, person = str(form.get("roster", "")), str(form.get("person", "")).strip()
    told = Shift(person=person, at=screens.now(), note=str(form.get("note", ""))[:MAX_TEXT])
    step = hand_over if form.get("act") == "leave" else take_over
    kinds, caller = screens.catalogue.record_kinds, caller_in(request)

    def change(tx: Transaction) -> None:
        record = tx.records.get("roster", roster)
        if record is None or not lies_within(tx, record, caller) or tx.records.get("person", person) is None:
            raise NotFoundException
        step(tx, kinds, record, told)

    await screens.platform.intake.call(change)
    return Redirect("/desk", status_code=303)


def panel_values(caller: Caller) -> dict[str, Any]:
    """What the parts of a case need beside the case."""
    return {
        "rungs": RUNGS,
        "may_look": caller.may(Permission.PERSON_SENSITIVE),
        "may_act": caller.may(Permission.CASE_ACT),
    }


def seen_view(screens: Screens, tx: Transaction, case_id: str, caller: Caller) -> CaseView:
    """A case that the caller may see; NotFoundException for every other."""
    found = case_view(tx, screens.catalogue, case_id, screens.now())
    if found is None or not caller.covers(found.case.place.street, found.case.place.community):
        raise NotFoundException
    return found


def _queue(screens: Screens, tx: Transaction, caller: Caller) -> dict[str, Any]:
    wanted = CaseFilter(open=True, **area(caller))
    return {
        "rows": screens.queue.rows(tx, screens.catalogue, wanted, screens.now()),
        "total": tx.cases.count(wanted),
    }


def _desks(tx: Transaction, caller: Caller, now: Instant) -> list[dict[str, Any]]:
    names = Names(tx)
    records = tx.records.find("roster", limit=500, place=caller.place)
    district = tx.records.get("roster", "district") if caller.place else None
    rosters = [view(record, Roster) for record in (*records, *([district] if district else []))]
    return [_desk(roster, names, caller, now) for roster in sorted(rosters, key=_widest_first)]


def _widest_first(roster: Roster) -> tuple[int, str]:
    return (["district", "street", "community", "grid", "building"].index(roster.level), roster.id)


def _desk(roster: Roster, names: Names, caller: Caller, now: Instant) -> dict[str, Any]:
    known = dict.fromkeys([*roster.on_duty, *(s.person for s in roster.shifts)])
    return {
        "id": roster.id,
        "name": roster.name or roster.id,
        "people": [names.of(f"person:{identity}") for identity in roster.people(now)],
        "since": roster.since,
        "note": roster.note,
        "known": [(identity, names.of(f"person:{identity}")) for identity in known],
        "mine": roster.place == caller.place or (caller.person in known),
    }
