"""The demo: the elder's pendant, and the telephones of everyone who is told."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from hexi.kernel.case import Case, Rung
from hexi.kernel.ports import CaseFilter, Transaction
from hexi.kernel.record import Record
from hexi.kernel.response import Notice, Receipt
from hexi.kernel.signal import Signal
from hexi.spine.directory import Directory
from hexi.web.screens.acts import Actor, act_signal, do
from hexi.web.screens.names import Names
from hexi.web.screens.shell import Screens, Visit, html, speak
from hexi.web.screens.told import ToldPerson, told
from hexi.web.screens.words import gettext, mark, word

ELDER = "E00001"
"""The elder whom newcomers meet, unless the setting ``demo.person`` names another."""

PENDANT = "pendant"
MOST_READ, MOST_SHOWN = 30, 3
_QUIET = mark("All is well. Press the red button if you need help.")
_CALLED = mark("Your call has gone out. %(count)s people have been told. Please wait, help is coming.")
_ANSWERED = mark("%(name)s has answered and knows about you.")
_COMING = mark("%(name)s is on the way to you.")
_THERE = mark("%(name)s has arrived.")


class Home(NamedTuple):
    """The elder of the demo with the pendant and the latest case."""

    person: str
    name: str
    device: str | None
    case: Case | None
    told: list[ToldPerson]

    @property
    def coming(self) -> list[ToldPerson]:
        """Those who have answered, the nearest first."""
        order = ("arrived", "set_off", "acknowledged")
        return sorted((p for p in self.told if p.answer in order), key=lambda p: order.index(p.answer))


class Bubble(NamedTuple):
    """A notice on a telephone: what it says, and what can be answered."""

    notice: Notice
    ways: list[str]
    replies: list[tuple[str, str, str]]
    answer: str
    open: bool


class Phone(NamedTuple):
    """One telephone."""

    ref: str
    name: str
    role: str
    bubbles: list[Bubble]
    more: int


@get("/demo", sync_to_thread=True)
def start(request: Visit, screens: NamedDependency[Screens]) -> Response[str]:
    """Where a newcomer begins."""
    return screens.page(request, "demo.html", **_values(request, screens))


@get("/demo/pendant", sync_to_thread=True)
def pendant(request: Visit, screens: NamedDependency[Screens]) -> Response[str]:
    """The elder's page: one sentence, two buttons."""
    return screens.page(request, "pendant.html", **_values(request, screens))


@get("/demo/pendant/live", sync_to_thread=True)
def pendant_live(request: Visit, screens: NamedDependency[Screens]) -> Response[str]:
    """The sentence and who is coming."""
    values = _values(request, screens)
    return html(screens.render(request, "parts/pendant_live.html", **values))


@post("/demo/pendant/{what:str}", status_code=200)
async def press(
    request: Visit, screens: NamedDependency[Screens], what: FromPath[str]
) -> Response[str] | Redirect:
    """呼救 or 我没事."""
    speak(request)
    with screens.platform.store.read() as tx:
        home = _home(tx)
    if what == "help":
        await screens.platform.intake.submit([_cry(screens, home)])
    elif home.case and home.case.is_open:
        said: dict[str, str] = {}
        actor = Actor(f"person:{home.person}", "app", "demo")
        await do(screens, act_signal(screens, home.case.id, "well", actor, said))
    if not request.headers.get("hx-request"):
        return Redirect("/demo/pendant", status_code=303)
    return html(screens.render(request, "parts/pendant_live.html", **_values(request, screens)))


def _cry(screens: Screens, home: Home) -> Signal:
    subject = f"device:{home.device}" if home.device else f"person:{home.person}"
    return Signal(
        id=secrets.token_urlsafe(12),
        source="demo",
        kind="pendant.sos",
        received=screens.now(),
        subject=subject,
    )


@get("/demo/phones", sync_to_thread=True)
def phones(request: Visit, screens: NamedDependency[Screens]) -> Response[str]:
    """What everyone received, and their answers."""
    return screens.page(request, "phones.html", **_phones(request, screens))


@get("/demo/phones/live", sync_to_thread=True)
def phones_live(request: Visit, screens: NamedDependency[Screens]) -> Response[str]:
    """The telephones alone."""
    return html(screens.render(request, "parts/phones_live.html", **_phones(request, screens)))


@post("/demo/phones/{notice_id:str}/{act:str}", status_code=200)
async def answer(
    request: Visit, screens: NamedDependency[Screens], notice_id: FromPath[str], act: FromPath[str]
) -> Response[str] | Redirect:
    """Somebody answers on their telephone."""
    speak(request)
    with screens.platform.store.read() as tx:
        notice = tx.notices.get(notice_id)
    if notice and act in {*notice.replies.values(), "arrived"}:
        for rung in (Rung.SEEN, Rung.ANSWERED):
            proof = Receipt(
                notice_id=notice_id, at=screens.now(), rung=rung, evidence={"by": "demo telephone"}
            )
            await screens.platform.intake.receipt(proof)
        said = {"role": notice.role, "press": f"{notice_id}/{act}"}
        await do(
            screens,
            act_signal(screens, notice.case_id, act, Actor(notice.recipient, notice.way, "demo"), said),
        )
    if not request.headers.get("hx-request"):
        return Redirect("/demo/phones", status_code=303)
    return html(screens.render(request, "parts/phones_live.html", **_phones(request, screens)))


def _values(request: Visit, screens: Screens) -> dict[str, Any]:
    speak(request)
    with screens.platform.store.read() as tx:
        home = _home(tx)
    return {"home": home, "sentence": _sentence(home)}


def _home(tx: Transaction) -> Home:
    record = _elder(tx)
    if record is None:
        return Home(ELDER, ELDER, None, None, [])
    names = Names(tx)
    devices = tx.records.linked("device", "owner", record.id)
    device = next((d.id for d in devices if d.data.get("type") == PENDANT), None)
    rows = tx.cases.find(CaseFilter(subject=record.ref, since=0), 1)
    case = tx.cases.get(rows[0].id) if rows else None
    people = told(case, tx, names) if case and case.is_open else []
    return Home(record.id, str(record.data.get("name", record.id)), device, case, people)


def _elder(tx: Transaction) -> Record | None:
    named = tx.records.get("person", tx.settings.get("demo.person") or ELDER)
    if named:
        return named
    pendants = tx.records.find("device", PENDANT, 1)
    return tx.records.get("person", str(pendants[0].data.get("owner"))) if pendants else None


def _sentence(home: Home) -> str:
    if home.case is None or not home.case.is_open:
        return gettext(_QUIET)
    if not home.coming:
        return gettext(_CALLED, count=len({p.ref for p in home.told}))
    first = home.coming[0]
    form = {"arrived": _THERE, "set_off": _COMING}.get(first.answer, _ANSWERED)
    return gettext(form, name=first.name)


def _phones(request: Visit, screens: Screens) -> dict[str, Any]:
    speak(request)
    with screens.platform.store.read() as tx:
        home, names = _home(tx), Names(tx)
        roles = {person.ref: person.role_word for person in home.told}
        refs = dict.fromkeys([*_family(tx, home, screens), *roles])
        found = [_phone(tx, names, home, (ref, roles.get(ref, ""))) for ref in refs]
    return {"home": home, "phones": found}


def _family(tx: Transaction, home: Home, screens: Screens) -> list[str]:
    directory = Directory(tx, screens.now())
    person = directory.person(home.person)
    refs = [f"contact:{contact.id}" for contact in directory.contacts(home.person)]
    return refs + ([f"person:{person.steward}"] if person and person.steward else [])


def _phone(tx: Transaction, names: Names, home: Home, who: tuple[str, str]) -> Phone:
    ref, role = who
    contact = names.contact(ref)
    messages: dict[tuple[str, str], list[Notice]] = {}
    for notice in tx.notices.of_recipient(ref, MOST_READ):
        messages.setdefault((notice.case_id, notice.step), []).append(notice)
    bubbles = [_bubble(tx, names, group) for group in messages.values() if _about(tx, home, group[0])]
    bubbles = _latest_answerable(bubbles)
    said = (contact.relation if contact else "") or role
    return Phone(ref, names.of(ref), said, bubbles[:MOST_SHOWN], max(0, len(bubbles) - MOST_SHOWN))


def _latest_answerable(bubbles: list[Bubble]) -> list[Bubble]:
    """Of several messages about one case only the newest can still be answered."""
    newest = {bubble.notice.case_id: bubble for bubble in reversed(bubbles)}
    return [b if newest[b.notice.case_id] is b else b._replace(open=False) for b in bubbles]


def _about(tx: Transaction, home: Home, notice: Notice) -> bool:
    case = tx.cases.get(notice.case_id)
    return case is not None and case.subject == f"person:{home.person}"


def _bubble(tx: Transaction, names: Names, group: list[Notice]) -> Bubble:
    """One message, by however many ways it came."""
    notice = group[0]
    case = tx.cases.get(notice.case_id)
    people = told(case, tx, names) if case else []
    mine = next((p for p in people if p.ref == notice.recipient and p.role == notice.role), None)
    acts = {act: key for key, act in notice.replies.items()}
    if notice.step != "ask":
        acts.setdefault("arrived", "")
    replies = [(key, act, word("reply", act)) for act, key in acts.items()]
    ways = [one.way for one in reversed(group)]
    return Bubble(notice, ways, replies, mine.answer if mine else "", bool(case and case.is_open))
