"""The label at a door: printed on A6, without a name, and withdrawn by making a new one."""

from __future__ import annotations

from io import BytesIO

import segno
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect
from markupsafe import Markup

from hexi.kernel.access import Look
from hexi.kernel.ports import Transaction
from hexi.kernel.record import Record
from hexi.spine.door import number_of, renew
from hexi.web.access.guards import may
from hexi.web.access.looks import lies_within, look
from hexi.web.access.permissions import Permission
from hexi.web.screens.arrival import codes_of
from hexi.web.screens.shell import Screens, Visit, speak, visitor_of

_RIGHTS = may(Permission.RECORD_SEE, Permission.RECORD_EDIT)
_PATHS = ["/people/{identity:str}/door-code", "/devices/{identity:str}/door-code"]


@get(_PATHS, guards=_RIGHTS)
async def door_code(
    request: Visit, screens: NamedDependency[Screens], identity: FromPath[str]
) -> Response[str]:
    """The sheet to print. That it was looked at is logged: whoever has it can copy it."""
    speak(request)
    with screens.platform.store.read() as tx:
        record = _found(request, tx, identity)
        number = number_of(tx, record.ref)
    await look(screens.platform, visitor_of(request), record.ref, "door label")
    address = codes_of(screens).sign(record.ref, number)
    return screens.page(
        request, "door_code.html", record=record, number=number, drawing=draw(address), address=address
    )


@post(_PATHS, guards=_RIGHTS)
async def renew_code(request: Visit, screens: NamedDependency[Screens], identity: FromPath[str]) -> Redirect:
    """Withdraw what was printed before; the next sheet has a new code."""
    caller, now = visitor_of(request), screens.now()

    def change(tx: Transaction) -> None:
        record = _found(request, tx, identity)
        number = renew(tx, record.ref)
        tx.access.looked(Look(at=now, by=caller.ref, record=record.ref, what=f"door label renewed: {number}"))

    await screens.platform.intake.call(change)
    return Redirect(request.url.path, status_code=303)


def draw(address: str) -> Markup:
    """An address as the SVG of a QR code; a quarter of it may be scratched or dirty."""
    drawn = BytesIO()
    segno.make_qr(address, error="q").save(
        drawn, kind="svg", xmldecl=False, svgns=False, omitsize=True, border=4, svgclass="door-drawing"
    )
    return Markup(drawn.getvalue().decode())  # noqa: S704 -- made here of squares alone


def _found(request: Visit, tx: Transaction, identity: str) -> Record:
    kind = "person" if request.url.path.startswith("/people/") else "device"
    record = tx.records.get(kind, identity)
    if record is None or not lies_within(tx, record, visitor_of(request)):
        raise NotFoundException
    return record
