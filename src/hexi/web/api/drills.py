"""Drills: whoever runs one asks here for its cast, begins it, watches it and ends it."""

from __future__ import annotations

from random import SystemRandom
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from hexi.connectors.problem import ProblemError
from hexi.kernel.clock import LOCAL, Instant, to_datetime
from hexi.kernel.ports import CaseFilter, Transaction
from hexi.kernel.record import Record
from hexi.kernel.text import Text
from hexi.spine import drill
from hexi.spine.drill_plan import MOST_PEOPLE, DrillPlan
from hexi.spine.drill_report import Beginning, DrillReport, Seen, judge
from hexi.web.access.guards import Call, caller_in, may, platform_of
from hexi.web.access.permissions import Permission

Kind = Annotated[str, QueryParameter(max_length=40, description="Type of the devices, such as pendant.")]
Many = Annotated[int, QueryParameter(ge=1, le=MOST_PEOPLE, description="How many.")]

_LOOKED_AT = 2_000
_LIVE_IN_SINK = Text(
    zh="[drill] send = sink 时通知不会送达真人，不能 --live；请改为 mark",
    en='with [drill] send = "sink" no person is told, so --live cannot be; set it to "mark"',
)


class BeginBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A drill to begin; ``live``: real people answer it, and the siren rings."""

    plan: DrillPlan
    live: bool = False


@get(
    "/drills/cast", guards=may(Permission.DRILL_RUN), sync_to_thread=True, summary="Whom a drill may be about"
)
def cast(request: Call, device: FromQuery[Kind], many: FromQuery[Many] = 1) -> list[str]:
    """Devices of a type whose owners can be helped and have no open case, at random; references only."""
    with platform_of(request).store.read() as tx:
        fit = [
            record.ref
            for record in tx.records.find("device", device, _LOOKED_AT)
            if _fits(tx, record, device)
        ]
    chosen = SystemRandom().sample(fit, min(many, len(fit)))
    return sorted(chosen)


def _fits(tx: Transaction, device: Record, kind: str) -> bool:
    owner = str(device.data.get("owner") or "").removeprefix("person:")
    person = tx.records.get("person", owner) if owner and device.data.get("type") == kind else None
    if person is None or not person.data.get("steward"):
        return False
    return tx.cases.count(CaseFilter(open=True, subject=person.ref)) == 0


@post("/drills", guards=may(Permission.DRILL_RUN), summary="Begin a drill")
async def begin(request: Call, data: JSONBody[BeginBody]) -> Beginning:
    """Keep the plan and arm the end; the signals follow through the door of all signals."""
    platform, caller = platform_of(request), caller_in(request)
    send = request.app.state.settings.drill.send
    if data.live and send == "sink":
        raise ProblemError("refused", _LIVE_IN_SINK)
    begun = drill.Begun(by=caller.ref, at=platform.clock.now(), live=data.live, send=send)

    def keep(tx: Transaction) -> str:
        identity = _free_id(tx, begun.at)
        drill.begin(tx, identity, data.plan, begun)
        return identity

    identity = await platform.intake.call(keep)
    return Beginning(id=identity, source=f"drill:{identity}", send=send)


def _free_id(tx: Transaction, at: Instant) -> str:
    name = f"{to_datetime(at, LOCAL):%y%m%d-%H%M%S}"
    taken = [r.id for r in tx.records.find(drill.RECORD, limit=drill.KEPT_AT_MOST, text=name)]
    return name if name not in taken else f"{name}-{len(taken) + 1}"


@get(
    "/drills/{identity:str}",
    guards=may(Permission.DRILL_RUN),
    sync_to_thread=True,
    summary="A drill's report",
)
def get_drill(request: Call, identity: FromPath[str]) -> Seen:
    """How the drill stands against its promises, with every notice and its receipts."""
    platform = platform_of(request)
    with platform.store.read() as tx:
        return Seen(now=platform.clock.now(), report=report(tx, identity))


@post("/drills/{identity:str}/end", guards=may(Permission.DRILL_RUN), status_code=202, summary="End a drill")
async def end(request: Call, identity: FromPath[str]) -> None:
    """The drill's open cases close at once."""
    platform = platform_of(request)
    now = platform.clock.now()

    def finish(tx: Transaction) -> None:
        _found(tx, identity)
        drill.finish(tx, identity, now)

    await platform.intake.call(finish)


def report(tx: Transaction, identity: str) -> DrillReport:
    """The report of a drill from the logs of its cases; ProblemError when there is none."""
    state = _found(tx, identity)
    return judge(identity, state, [(case_id, tx.cases.log(case_id)) for case_id in state.cases])


def _found(tx: Transaction, identity: str) -> drill.DrillState:
    state = drill.find(tx, identity)
    if state is None:
        raise ProblemError("not-found", Text(zh=f"没有演练 {identity}", en=f"there is no drill {identity}"))
    return state


ROUTES: list[Any] = [cast, begin, get_drill, end]
