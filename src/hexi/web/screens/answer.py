"""The answer page behind a link in a notice: looking changes nothing, pressing does."""

from __future__ import annotations

from typing import NamedTuple

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from hexi.kernel.case import Rung
from hexi.kernel.ports import Transaction
from hexi.kernel.response import Receipt
from hexi.spine.links import BadLinkError, LinkClaim
from hexi.web.screens.acts import Actor, act_signal, do
from hexi.web.screens.arrival import hand_pass
from hexi.web.screens.names import Names
from hexi.web.screens.shell import Screens, Visit, speak
from hexi.web.screens.told import told
from hexi.web.screens.words import gettext, mark, say, word

MAY = ("set_off", "declined", "arrived", "acknowledged", "well", "help", "checked_in", "cancelled")
"""The acts that a link can carry; anything that ends a case needs a log-in."""

_STATE = {"expired": 410, "forged": 404}
_TROUBLE = {
    "expired": mark("This link is too old. Please call the duty desk."),
    "forged": mark("This link is not valid. Please call the duty desk."),
}
_SAID = mark("Noted: %(answer)s. Thank you.")


class Shown(NamedTuple):
    """What the bearer of a link sees: the notice, the answer so far, and what can be pressed."""

    text: str
    name: str
    place: str
    acts: list[tuple[str, str]]
    answer: str
    open: bool
    at: int | None


@get("/r/{token:str}", sync_to_thread=True)
def read_link(request: Visit, screens: NamedDependency[Screens], token: FromPath[str]) -> Response[str]:
    """Show the notice; previews of messengers do no more than this."""
    speak(request)
    return hand_pass(screens, _page(request, screens, token), token)


@post("/r/{token:str}", status_code=200)
async def press_link(
    request: Visit, screens: NamedDependency[Screens], token: FromPath[str]
) -> Response[str]:
    """Answer: on the way, cannot come, arrived."""
    speak(request)
    form = await request.form()
    act = str(form.get("act", ""))
    try:
        claim = screens.platform.links.read(token, screens.now())
    except BadLinkError:
        return _page(request, screens, token)
    if act not in MAY:
        return _page(request, screens, token)
    await screens.platform.intake.receipt(
        Receipt(notice_id=claim.notice_id, at=screens.now(), rung=Rung.ANSWERED, evidence={"by": "link"})
    )
    said = {"role": claim.role, "press": f"{claim.notice_id}/{act}"}
    taken = await do(
        screens, act_signal(screens, claim.case_id, act, Actor(claim.recipient, "link", "link"), said)
    )
    if taken.fate == "refused":
        return _page(request, screens, token, trouble=say(taken.error))
    return _page(request, screens, token, message=gettext(_SAID, answer=word("answer", act)))


def _page(
    request: Visit, screens: Screens, token: str, message: str = "", trouble: str = ""
) -> Response[str]:
    try:
        claim = screens.platform.links.read(token, screens.now())
    except BadLinkError as bad:
        said = gettext(_TROUBLE[bad.reason])
        return screens.page(request, "answer.html", _STATE[bad.reason], shown=None, trouble=said)
    with screens.platform.store.read() as tx:
        shown = _shown(tx, claim)
    return screens.page(
        request, "answer.html", 409 if trouble else 200, shown=shown, message=message, trouble=trouble
    )


def _shown(tx: Transaction, claim: LinkClaim) -> Shown | None:
    notice, case = tx.notices.get(claim.notice_id), tx.cases.get(claim.case_id)
    if notice is None or case is None:
        return None
    names = Names(tx)
    mine = next((p for p in told(case, tx, names) if p.ref == claim.recipient), None)
    acts = (
        dict.fromkeys([*notice.replies.values(), "arrived"])
        if notice.step != "ask"
        else notice.replies.values()
    )
    answered = mine.answer if mine else ""
    return Shown(
        text=notice.text,
        name=notice.name,
        place=names.where(case),
        acts=[(act, word("reply", act)) for act in acts if act in MAY and act != answered],
        answer=word("answer", answered) if answered else "",
        open=case.is_open,
        at=mine.answered_at if mine else None,
    )
