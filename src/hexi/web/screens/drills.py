"""Drills that were run, and the report of each: counted anew from the logs of its cases."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from hexi.adapters.report.words import length
from hexi.kernel.ports import Transaction
from hexi.spine import drill
from hexi.spine.drill_report import CaseJudged, DrillReport, NoticeSeen, PromiseJudged, judge
from hexi.web.access.guards import may
from hexi.web.access.permissions import Caller, Permission
from hexi.web.screens.names import Names
from hexi.web.screens.shell import Screens, Visit, speak, visitor_of
from hexi.web.screens.words import gettext, mark, say, word

SHOWN = 30
"""Drills on the list, the latest first."""

MEASURED: Final = {
    "told": mark("Everyone told"),
    "told_spread": mark("Told at the same moment"),
    "answered": mark("Somebody answered"),
    "escalated": mark("Gone one level up"),
}


@get("/drills", guards=may(Permission.CASE_SEE), sync_to_thread=True)
def drill_list(request: Visit, screens: NamedDependency[Screens]) -> Response[str]:
    """The latest drills with what became of their promises."""
    speak(request)
    caller = visitor_of(request)
    with screens.platform.store.read() as tx:
        found = [_seen(tx, record.id, caller) for record in drill.every(tx, SHOWN)]
    return screens.page(request, "drills.html", rows=[_row(one) for one in found if one])


@get("/drills/{identity:str}", guards=may(Permission.CASE_SEE), sync_to_thread=True)
def drill_page(request: Visit, screens: NamedDependency[Screens], identity: FromPath[str]) -> Response[str]:
    """One drill: each promise, each notice with its receipts, and what was missed and why."""
    speak(request)
    with screens.platform.store.read() as tx:
        found = _seen(tx, identity, visitor_of(request))
        if found is None:
            raise NotFoundException
        names = Names(tx)
        cases = [_case(screens, names, case) for case in found.cases]
    return screens.page(request, "drill.html", row=_row(found), cases=cases)


def _seen(tx: Transaction, identity: str, caller: Caller) -> DrillReport | None:
    """The report of a drill, of the cases in the caller's place alone; None when there are none."""
    state = drill.find(tx, identity)
    if state is None:
        return None
    cases = [
        (case, found) for case in state.cases if (found := tx.cases.get(case)) and caller.sees_case(found)
    ]
    if state.cases and not cases:
        return None
    return judge(identity, state, [(case, tx.cases.log(case)) for case, _ in cases])


def _row(found: DrillReport) -> dict[str, Any]:
    return {
        "report": found,
        "title": say(found.title),
        "passed": None if found.ended is None else found.passed,
        "cases": len(found.cases),
    }


def _case(screens: Screens, names: Names, case: CaseJudged) -> dict[str, Any]:
    return {
        "case": case,
        "title": say(screens.catalogue.title(case.scenario)),
        "place": " ".join(filter(None, (names.place(case.street), names.place(case.community)))),
        "spread": length(case.told_spread),
        "promises": [_promise(promise) for promise in case.promises],
        "notices": [_notice(notice) for notice in case.notices],
    }


def _promise(promise: PromiseJudged) -> dict[str, Any]:
    known = MEASURED.get(promise.name)
    return {
        "name": gettext(known) if known else word("promise", promise.name),
        "within": length(promise.within),
        "took": length(promise.took),
        "held": promise.held,
        "why": say(promise.why),
    }


def _notice(notice: NoticeSeen) -> dict[str, Any]:
    return {
        "role": word("role", notice.role),
        "recipient": notice.recipient,
        "way": word("way", notice.way),
        "owed": length(notice.owed_after),
        "receipts": [
            (word("rung", rung), length(at)) for rung, at in notice.receipts.items() if rung != "L0"
        ],
        "failed": notice.failed,
    }
