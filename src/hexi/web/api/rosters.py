"""Duty desks: taking over and handing over a shift."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import post
from litestar.params import FromPath, JSONBody

from hexi.connectors.problem import ProblemError
from hexi.kernel.ports import Transaction
from hexi.kernel.record import MAX_TEXT, Record
from hexi.kernel.text import Text
from hexi.spine.records import Shift, hand_over, take_over
from hexi.web.access.guards import Call, caller_in, demand, may, platform_of
from hexi.web.access.looks import lies_within
from hexi.web.access.permissions import Caller, Permission


class ShiftBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Who; the person of the caller's own account when left out."""

    person: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    note: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] = ""
    """What the others at the desk should know."""


class Desk(msgspec.Struct, kw_only=True):
    """Who is on duty at a desk now, and since when (milliseconds UTC)."""

    id: str
    on_duty: list[str]
    since: int | None
    version: int


@post("/rosters/{identity:str}/take-over", guards=may(Permission.ROSTER_TAKE), status_code=200)
async def take(request: Call, identity: FromPath[str], data: JSONBody[ShiftBody]) -> Desk:
    """A person takes over a desk."""
    return await _change(request, identity, data, take_over)


@post("/rosters/{identity:str}/hand-over", guards=may(Permission.ROSTER_TAKE), status_code=200)
async def hand(request: Call, identity: FromPath[str], data: JSONBody[ShiftBody]) -> Desk:
    """A person leaves a desk; when nobody is left the regular shifts count again."""
    return await _change(request, identity, data, hand_over)


async def _change(request: Call, identity: str, data: ShiftBody, step: Any) -> Desk:
    platform, caller = platform_of(request), caller_in(request)
    person = _person(caller, data)
    shift = Shift(person=person, at=platform.clock.now(), note=data.note)
    kinds = platform.spine.catalogue.record_kinds

    def change(tx: Transaction) -> Record:
        roster = tx.records.get("roster", identity)
        if roster is None or not lies_within(tx, roster, caller):
            raise ProblemError("not-found", Text(zh=f"没有值班台 {identity}", en=f"no desk {identity}"))
        if tx.records.get("person", person) is None:
            raise ProblemError("invalid", Text(zh=f"没有人员 {person}", en=f"there is no person {person}"))
        record: Record = step(tx, kinds, roster, shift)
        return record

    stored = await platform.intake.call(change)
    data_now = stored.data
    return Desk(
        id=stored.id,
        on_duty=data_now.get("on_duty", []),
        since=data_now.get("since"),
        version=stored.version,
    )


def _person(caller: Caller, data: ShiftBody) -> str:
    """One may put oneself on duty; somebody else only with the right to edit records."""
    if data.person and data.person != caller.person:
        demand(caller, Permission.RECORD_EDIT)
    person = data.person or caller.person
    if person is None:
        raise ProblemError("bad-request", Text(zh="请注明人员 person", en="say which person"))
    return person


ROUTES: list[Any] = [take, hand]
