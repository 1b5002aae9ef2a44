"""Cases: the list, one with all that belongs to it, and acts."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from hexi.connectors.problem import ProblemError
from hexi.kernel.case import Act, Case, Entry
from hexi.kernel.deadline import Deadline
from hexi.kernel.ports import CaseFilter, CaseRow, Transaction
from hexi.kernel.response import Notice
from hexi.kernel.signal import ACT_PREFIX, Signal
from hexi.kernel.text import Text
from hexi.web.access.guards import Call, caller_in, may, platform_of
from hexi.web.access.looks import look
from hexi.web.access.permissions import Caller, Permission
from hexi.web.api.common import Limit, Moment, Offset, case_for, moment, zone

Name = Annotated[str | None, QueryParameter(max_length=200)]


class CasePage(msgspec.Struct, kw_only=True):
    """Some cases out of ``total``."""

    items: list[CaseRow]
    total: int
    limit: int
    offset: int


class CaseDetail(msgspec.Struct, kw_only=True):
    """A case with its log, notices, deadlines, and the words that people have said on it."""

    case: Case
    state: str
    log: list[Entry]
    notices: list[Notice]
    deadlines: list[Deadline]
    notes: dict[str, str]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of cases asks for."""

    open: bool | None = None
    scenario: str | None = None
    subject: str | None = None
    device: str | None = None
    text: str | None = None


def wanted(
    open: FromQuery[bool | None] = None,  # noqa: A002 -- the name in the query
    scenario: Name = None,
    subject: Name = None,
    device: Name = None,
    q: Name = None,
) -> Wanted:
    """The filter on what a case is about."""
    return Wanted(open=open, scenario=scenario, subject=subject, device=device, text=q)


def where(
    street: Name = None, community: Name = None, since: Moment = None, until: Moment = None
) -> CaseFilter:
    """The filter on place and time of opening."""
    return CaseFilter(
        street=street, community=community, since=moment("since", since), until=moment("until", until)
    )


@get("/cases", guards=may(Permission.CASE_SEE), sync_to_thread=True, summary="Cases by filters")
def list_cases(
    request: Call,
    about: NamedDependency[Wanted],
    area: NamedDependency[CaseFilter],
    limit: Limit = 50,
    offset: Offset = 0,
) -> CasePage:
    """Open cases by time left and severity, others newest first."""
    allowed = zone(caller_in(request), area.street, area.community)
    if allowed.empty:
        return CasePage(items=[], total=0, limit=limit, offset=offset)
    asked = msgspec.structs.replace(
        area,
        street=allowed.street,
        community=allowed.community,
        **msgspec.structs.asdict(about),
    )
    with platform_of(request).store.read() as tx:
        items, total = tx.cases.find(asked, limit, offset), tx.cases.count(asked)
    return CasePage(items=items, total=total, limit=limit, offset=offset)


@get("/cases/{case_id:str}", guards=may(Permission.CASE_SEE), summary="One case with its log")
async def get_case(request: Call, case_id: FromPath[str]) -> CaseDetail:
    """Everything of a case. A look at the person it is about is logged."""
    platform, caller = platform_of(request), caller_in(request)
    detail = await asyncio.to_thread(_read, request, case_id)
    if caller.may(Permission.PERSON_SEE):
        await look(platform, caller, detail.case.subject or f"case:{case_id}", "case", case_id)
        return detail
    return _without_people(detail)


def _read(request: Call, case_id: str) -> CaseDetail:
    with platform_of(request).store.read() as tx:
        case = case_for(tx, case_id, caller_in(request))
        log = tx.cases.log(case_id)
        return CaseDetail(
            case=case,
            state=case.state,
            log=log,
            notices=tx.notices.of_case(case_id),
            deadlines=tx.deadlines.of_case(case_id),
            notes=_notes(tx, log),
        )


def _notes(tx: Transaction, log: list[Entry]) -> dict[str, str]:
    ids = [str(entry.body["note"]) for entry in log if entry.body.get("note")]
    found = {identity: tx.records.get("note", identity) for identity in ids}
    return {identity: str(record.data["text"]) for identity, record in found.items() if record}


def _without_people(detail: CaseDetail) -> CaseDetail:
    """For those who may see cases but no personal data."""
    hidden = [msgspec.structs.replace(n, name="", address="", text="") for n in detail.notices]
    return msgspec.structs.replace(detail, notices=hidden, notes={})


class ActBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What is done. ``id`` makes a repeat harmless: one press, one id."""

    act: Act
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    by: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    role: str | None = None
    text: str | None = None
    reason: str | None = None
    outcome: str | None = None
    type: str | None = None
    file: str | None = None
    proof: str | None = None
    lon: float | None = None
    lat: float | None = None
    unit: str | None = None
    within: str | None = None
    number: str | None = None
    said: str | None = None
    into: str | None = None
    task: str | None = None


class ActDone(msgspec.Struct, kw_only=True):
    """The act is part of the case; ``repeat`` when it already was."""

    id: str
    case: str
    status: str


@post("/cases/{case_id:str}/acts", guards=may(Permission.CASE_ACT), status_code=200, summary="Do an act")
async def do_act(request: Call, case_id: FromPath[str], data: JSONBody[ActBody]) -> ActDone:
    """Acknowledge, arrive, whistle, close ...; a problem ``refused`` (409) says why it is not allowed now."""
    platform, caller = platform_of(request), caller_in(request)
    await asyncio.to_thread(_demand_case, request, case_id)
    signal = act_signal(caller, case_id, data, platform.clock.now())
    (taken,) = await platform.intake.submit([signal])
    if taken.fate == "refused":
        raise ProblemError("refused", taken.error)
    return ActDone(id=data.id or signal.id, case=taken.case_id or case_id, status=taken.fate)


def _demand_case(request: Call, case_id: str) -> None:
    with platform_of(request).store.read() as tx:
        case_for(tx, case_id, caller_in(request))


def act_signal(caller: Caller, case_id: str, body: ActBody, now: int) -> Signal:
    """The act as a signal. Only a program may act in somebody's name or vouch for a scanned code."""
    said: dict[str, Any] = msgspec.to_builtins(body)
    kind, identity = said.pop("act"), said.pop("id", None) or secrets.token_urlsafe(12)
    if not caller.by_token:
        said.pop("by", None)
        if said.get("proof") == "qr":
            raise ProblemError(
                "forbidden", Text(zh="扫码凭证需由系统提供", en="a scan is proven by a program")
            )
    return Signal(
        id=f"{caller.login}/{identity}",
        source="api" if caller.by_token else "web",
        kind=ACT_PREFIX + kind,
        received=now,
        subject=f"case:{case_id}",
        data={"by": caller.ref, "via": "app" if caller.by_token else "web", **said},
    )
