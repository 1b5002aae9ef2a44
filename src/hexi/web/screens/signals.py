"""Signals that nobody could place, the latest signals, and quarantine with its second try."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from hexi.connectors.problem import ProblemError
from hexi.kernel.ports import Quarantined, Transaction
from hexi.kernel.signal import Signal
from hexi.web.access.guards import may
from hexi.web.access.looks import look
from hexi.web.access.permissions import Caller, Permission
from hexi.web.api.signals import replay as take_again
from hexi.web.screens.names import Names
from hexi.web.screens.records import address
from hexi.web.screens.shell import Screens, Visit, speak, visitor_of
from hexi.web.screens.words import gettext, mark, say

MOST = 100
_HEAD_BYTES = 2_000
_TAKEN = mark("Read and taken: %(count)s signals.")


@get("/signals", guards=may(Permission.SIGNAL_SEE))
async def signals(
    request: Visit, screens: NamedDependency[Screens], which: FromQuery[str] = "unmatched"
) -> Response[str]:
    """Signals of unknown persons, devices or kinds; or simply the latest."""
    speak(request)
    caller = visitor_of(request)
    with screens.platform.store.read() as tx:
        rows = _rows(screens, tx, which, caller)
    await look(screens.platform, caller, "signal:*", f"signals, {len(rows)}")
    return screens.page(request, "signals.html", rows=rows, which=which)


def _rows(screens: Screens, tx: Transaction, which: str, caller: Caller) -> list[dict[str, Any]]:
    names = Names(tx)
    if which == "unmatched":
        found = [(s, tx.signals.case_of(s.key)) for s in tx.signals.unmatched(MOST)]
    else:
        found = tx.signals.recent(None, MOST)
    rows = [_row(screens, names, signal, case) for signal, case in found]
    return rows if caller.place is None else [row for row in rows if row["case"] and _seen(tx, row, caller)]


def _seen(tx: Transaction, row: dict[str, Any], caller: Caller) -> bool:
    case = tx.cases.get(row["case"])
    return case is not None and caller.sees_case(case)


def _row(screens: Screens, names: Names, signal: Signal, case: str | None) -> dict[str, Any]:
    kind, _, identity = (signal.subject or "").partition(":")
    info = screens.catalogue.kinds.get(signal.kind)
    known = names.record(signal.subject) is not None
    return {
        "signal": signal,
        "title": say(info.title) if info else signal.kind,
        "name": names.of(signal.subject) if signal.subject else "—",
        "known": known,
        "address": address(kind, identity) if known else "",
        "add": f"/records/{kind}/new" if kind in screens.catalogue.record_kinds and not known else "",
        "case": case,
    }


@get("/quarantine", guards=may(Permission.QUARANTINE_SEE))
async def quarantine(request: Visit, screens: NamedDependency[Screens]) -> Response[str]:
    """What could not be decoded, with the reason and the beginning of its bytes."""
    caller = visitor_of(request)
    await look(screens.platform, caller, "quarantine:*", "list")
    return _quarantine(request, screens)


def _quarantine(request: Visit, screens: Screens, message: str = "", trouble: str = "") -> Response[str]:
    speak(request)
    with screens.platform.store.read() as tx:
        items = [_item(item) for item in tx.quarantine.find(MOST)]
    values = {"items": items, "may_send": visitor_of(request).may(Permission.SIGNAL_SEND)}
    return screens.page(
        request, "quarantine.html", 409 if trouble else 200, message=message, trouble=trouble, **values
    )


def _item(item: Quarantined) -> dict[str, Any]:
    return {
        "id": item.id,
        "received": item.received,
        "link": item.link,
        "type": item.content_type,
        "reason": item.reason,
        "bytes": len(item.raw),
        "head": item.raw[:_HEAD_BYTES].decode("utf-8", "backslashreplace"),
        "replayed_at": item.replayed_at,
    }


@post(
    "/quarantine/{number:int}/replay",
    guards=may(Permission.QUARANTINE_SEE, Permission.SIGNAL_SEND),
    status_code=200,
)
async def replay(request: Visit, screens: NamedDependency[Screens], number: FromPath[int]) -> Response[str]:
    """Try to read one again, and take it."""
    speak(request)
    try:
        done = await take_again.fn(request, number)
    except ProblemError as problem:
        return _quarantine(request, screens, trouble=say(problem.detail or problem.title))
    return _quarantine(request, screens, message=gettext(_TAKEN, count=len(done.results)))
