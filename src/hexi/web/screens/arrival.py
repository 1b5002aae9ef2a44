"""At the door: whoever scans the code there and belongs to the open case can prove the arrival."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath

from hexi.kernel.case import Case
from hexi.kernel.clock import SECOND, Instant
from hexi.kernel.ports import CaseFilter, Transaction
from hexi.spine.door import PASS_LIFE, DoorCodes, number_of
from hexi.spine.links import BadLinkError, LinkClaim
from hexi.web.access.looks import look
from hexi.web.access.permissions import Caller, Permission
from hexi.web.screens.acts import Actor, act_signal, do
from hexi.web.screens.names import Names
from hexi.web.screens.shell import Screens, Visit, speak, visitor_of
from hexi.web.screens.words import gettext, mark, say

PASS = "hexi_pass_"  # noqa: S105 -- the beginning of a cookie's name, one for each case
_MOST = 20
_WHO = mark("If a message called you here, open the link in it first and scan again. Staff log in.")
_FORGED = mark("This code is not one of ours. Please call the duty desk.")
_WITHDRAWN = mark("This label has been withdrawn. Please tell the duty desk that it still hangs here.")
_DONE = mark("Your arrival is noted, proven by the code. Thank you.")


class AtDoor(NamedTuple):
    """An open case of this home, and in whose name the visitor arrives at it."""

    case: Case
    actor: Actor
    role: str | None
    title: str
    subject: str
    where: str

    @property
    def due(self) -> Instant | None:
        """When the promised arrival falls due, while it is awaited."""
        promise = self.case.promises.get("arrived")
        return promise.due if promise and promise.pending else None

    @property
    def here(self) -> Instant | None:
        """When the visitor arrived."""
        times = (role.arrived.get(self.actor.by) for role in self.case.roles.values())
        return max((at for at in times if at), default=None)


class _TroubleError(Exception):
    """What the page says instead of a case."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status
        self.said = said


@get("/q/{token:str}")
async def read_code(request: Visit, screens: NamedDependency[Screens], token: FromPath[str]) -> Response[str]:
    """Show the open case of this home to those who belong to it. Looking changes nothing."""
    speak(request)
    return await _page(request, screens, token)


@post("/q/{token:str}", status_code=200)
async def press_code(
    request: Visit, screens: NamedDependency[Screens], token: FromPath[str]
) -> Response[str]:
    """I have arrived, proven by the code."""
    speak(request)
    form = await request.form()
    try:
        found = _find(request, screens, token)
    except _TroubleError:
        return await _page(request, screens, token)
    chosen = next((one for one in found if one.case.id == form.get("case")), None)
    if chosen is None:
        return await _page(request, screens, token)
    said = {"proof": "qr", "role": chosen.role, "press": form.get("press")}
    taken = await do(screens, act_signal(screens, chosen.case.id, "arrived", chosen.actor, said))
    if taken.fate == "refused":
        return await _page(request, screens, token, trouble=say(taken.error))
    return await _page(request, screens, token, message=gettext(_DONE))


def hand_pass(screens: Screens, response: Response[str], token: str) -> Response[str]:
    """Whoever has opened a valid answer link can use the code at the door of its case for some hours."""
    platform, now = screens.platform, screens.now()
    try:
        claim = platform.links.read(token, now)
    except BadLinkError:
        return response
    response.set_cookie(
        Cookie(
            key=PASS + claim.case_id,
            value=codes_of(screens).make_pass(claim, now),
            max_age=PASS_LIFE // SECOND,
            path="/q",
            httponly=True,
            secure=platform.base_url.startswith("https://"),
            samesite="lax",
        )
    )
    return response


def codes_of(screens: Screens) -> DoorCodes:
    """The door codes of this installation."""
    return DoorCodes(screens.platform.secret, screens.platform.base_url)


async def _page(
    request: Visit, screens: Screens, token: str, message: str = "", trouble: str = ""
) -> Response[str]:
    values = {"token": token, "found": [], "guest": False, "message": message}
    try:
        found = _find(request, screens, token)
    except _TroubleError as error:
        values["guest"] = error.status == 401
        return screens.page(request, "arrival.html", error.status, trouble=error.said, **values)
    caller = visitor_of(request)
    for one in found:
        if caller.login and one.case.subject:
            await look(screens.platform, caller, one.case.subject, "door", one.case.id)
    values["found"] = found
    return screens.page(request, "arrival.html", 409 if trouble else 200, trouble=trouble, **values)


def _find(request: Visit, screens: Screens, token: str) -> list[AtDoor]:
    """The open cases at this door to which the visitor belongs; nothing is said to anybody else."""
    caller, passes = visitor_of(request), list(_passes(request, screens))
    if not passes and not caller.may(Permission.CASE_ACT):
        raise _TroubleError(403 if caller.login else 401, gettext(_WHO))
    try:
        claim = codes_of(screens).read(token)
    except BadLinkError:
        raise _TroubleError(404, gettext(_FORGED)) from None
    with screens.platform.store.read() as tx:
        kind, _, identity = claim.ref.partition(":")
        if tx.records.get(kind, identity) is None or claim.number != number_of(tx, claim.ref):
            raise _TroubleError(410, gettext(_WITHDRAWN))
        known = (_at_door(screens, tx, case, (caller, passes)) for case in _open_at(tx, claim.ref))
        return [one for one in known if one]


def _passes(request: Visit, screens: Screens) -> Iterator[LinkClaim]:
    for name, value in request.cookies.items():
        if name.startswith(PASS):
            try:
                yield codes_of(screens).read_pass(value, screens.now())
            except BadLinkError:
                continue


def _open_at(tx: Transaction, ref: str) -> list[Case]:
    wanted = (
        CaseFilter(open=True, subject=ref) if ref.startswith("person:") else CaseFilter(open=True, device=ref)
    )
    cases = (tx.cases.get(row.id) for row in tx.cases.find(wanted, _MOST))
    return [case for case in cases if case]


def _at_door(
    screens: Screens, tx: Transaction, case: Case, visitor: tuple[Caller, list[LinkClaim]]
) -> AtDoor | None:
    caller, passes = visitor
    mine = next((p for p in passes if p.case_id in (case.id, *case.absorbed)), None)
    if caller.may(Permission.CASE_ACT) and caller.sees_case(case):
        actor, role = Actor(caller.ref), None
    elif mine:
        actor, role = Actor(mine.recipient, "link", "link"), mine.role
    else:
        return None
    names = Names(tx)
    title = say(screens.catalogue.title(case.scenario))
    return AtDoor(case, actor, role, title, names.subject(case), names.where(case))
