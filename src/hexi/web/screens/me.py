"""The inbox of a member of staff on a telephone: my cases, answer, arrive with a photo and a position."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from hexi.kernel.case import Rung
from hexi.kernel.ports import Transaction
from hexi.kernel.response import Notice, Receipt
from hexi.web.access.guards import may
from hexi.web.access.permissions import Permission
from hexi.web.screens.acts import Actor, act_signal, do, read_form
from hexi.web.screens.names import Names
from hexi.web.screens.plan import promises
from hexi.web.screens.shell import Screens, Visit, speak, visitor_of
from hexi.web.screens.told import told
from hexi.web.screens.words import say, word

MOST = 60
MAY = frozenset({"acknowledged", "set_off", "arrived", "declined", "checked_in", "evidence", "commented"})


@get("/me", guards=may(Permission.CASE_SEE))
async def inbox(
    request: Visit, screens: NamedDependency[Screens], trouble: FromQuery[str] = ""
) -> Response[str]:
    """What I was sent, open cases first. Showing a notice here is the proof that it was seen."""
    speak(request)
    person = visitor_of(request).person
    if person is None:
        return screens.page(request, "me.html", cards=[], person=None)
    with screens.platform.store.read() as tx:
        notices = tx.notices.of_recipient(f"person:{person}", MOST)
        cards = _cards(screens, tx, notices, f"person:{person}")
        unseen = _unseen(tx, notices)
    for identity in unseen:
        seen = Receipt(notice_id=identity, at=screens.now(), rung=Rung.SEEN, evidence={"by": "inbox"})
        await screens.platform.intake.receipt(seen)
    return screens.page(request, "me.html", cards=cards, person=person, trouble=trouble)


def _unseen(tx: Transaction, notices: list[Notice]) -> list[str]:
    cases = {n.case_id: tx.cases.get(n.case_id) for n in notices if n.way == "app"}
    known = [(identity, trace) for case in cases.values() if case for identity, trace in case.notices.items()]
    mine = {notice.id for notice in notices}
    return [i for i, trace in known if i in mine and trace.way == "app" and Rung.SEEN not in trace.rungs]


def _cards(screens: Screens, tx: Transaction, notices: list[Notice], ref: str) -> list[dict[str, Any]]:
    latest: dict[str, Notice] = {}
    for notice in notices:
        latest.setdefault(notice.case_id, notice)
    cards = [_card(screens, tx, notice, ref) for notice in latest.values()]
    return sorted((c for c in cards if c), key=lambda c: (not c["case"].is_open, -c["case"].opened_at))


def _card(screens: Screens, tx: Transaction, notice: Notice, ref: str) -> dict[str, Any]:
    case = tx.cases.get(notice.case_id)
    if case is None:
        return {}
    names = Names(tx)
    mine = next((person for person in told(case, tx, names) if person.ref == ref), None)
    return {
        "case": case,
        "title": say(screens.catalogue.title(case.scenario)),
        "subject": names.subject(case),
        "where": names.where(case),
        "text": notice.text,
        "due": next(iter(promises(case)), None),
        "answer": mine.answer if mine else "",
        "answer_word": word("answer", mine.answer) if mine and mine.answer else "",
        "at": mine.answered_at if mine else None,
        "checks_in": "checked_in" in notice.replies.values(),
    }


@post("/me/{case_id:str}/{act:str}", guards=may(Permission.CASE_ACT), status_code=200)
async def answer(
    request: Visit, screens: NamedDependency[Screens], case_id: FromPath[str], act: FromPath[str]
) -> Response[str] | Redirect:
    """My answer; an arrival may carry a position and a photo."""
    speak(request)
    caller = visitor_of(request)
    said = await read_form(request, screens)
    if caller.person is None or act not in MAY:
        return Redirect("/me", status_code=303)
    actor = Actor(caller.ref, "app")
    photo = said.pop("file", None)
    taken = await do(screens, act_signal(screens, case_id, act, actor, said))
    if photo and taken.fate != "refused":
        proof = {"type": "photo", "file": photo, "press": f"{said.get('press')}/photo"}
        taken = await do(screens, act_signal(screens, case_id, "evidence", actor, proof))
    if taken.fate == "refused":
        refused: Response[str] = await inbox.fn(request, screens, say(taken.error))
        return refused
    return Redirect("/me", status_code=303)
