"""The language of a page, and the words for what the kernel names with codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path
from typing import Final

from hexi.kernel.text import Text

LOCALE = Path(__file__).resolve().parent.parent / "locale"
LANGUAGE: ContextVar[str] = ContextVar("language", default="zh")
"""Set once for each page that is rendered."""


def mark(message: str) -> str:
    """The message itself; marks it for extraction where it cannot be translated yet."""
    return message


@cache
def _translations(language: str) -> NullTranslations:
    folder = {"zh": "zh_CN"}.get(language, language)
    return translation("messages", LOCALE, [folder], fallback=True)


def gettext(message: str, **values: object) -> str:
    """The message in the language of the page, with its ``%(holes)s`` filled."""
    said = _translations(LANGUAGE.get()).gettext(message) if message else ""
    return said % values if values else said


def say(text: Text | Mapping[str, str] | None) -> str:
    """A text of two languages in that of the page."""
    if text is None:
        return ""
    if isinstance(text, Text):
        return text.get(LANGUAGE.get())
    return text.get(LANGUAGE.get()) or text.get("zh", "")


def listed(items: Iterable[str]) -> str:
    """Several words as one list, with the comma of the page's language."""
    return ("、" if LANGUAGE.get() == "zh" else ", ").join(items)


def choose_language(cookie: str | None, accept: str) -> str:
    """The visitor's own choice of zh and en, else the first of the browser's languages that we speak."""
    if cookie in {"zh", "en"}:
        return cookie
    for part in accept.split(","):
        code = part.split(";")[0].strip().lower()[:2]
        if code in {"zh", "en"}:
            return code
    return "zh"


STATE: Final = {
    "reported": mark("Reported"),
    "accepted": mark("Accepted"),
    "opened": mark("Opened"),
    "dispatched": mark("Dispatched"),
    "handled": mark("Handled"),
    "verified": mark("Verified"),
    "closed": mark("Closed"),
    "rejected": mark("Rejected"),
    "merged": mark("Merged"),
    "reopened": mark("Reopened"),
}
SEVERITY: Final = {
    "extreme": mark("Extreme"),
    "severe": mark("Severe"),
    "moderate": mark("Moderate"),
    "minor": mark("Minor"),
}
SEVERITIES: Final = tuple(SEVERITY)
PROMISE: Final = {
    "acknowledged": mark("Acknowledge"),
    "set_off": mark("Set off"),
    "arrived": mark("Arrive"),
    "handled": mark("Handle"),
    "verified": mark("Verify"),
    "closed": mark("Close"),
}
WAY: Final = {
    "call": mark("Call"),
    "sms": mark("SMS"),
    "app": mark("App"),
    "mail": mark("Mail"),
    "group": mark("Group chat"),
    "webhook": mark("Webhook"),
    "desk": mark("Desk"),
    "web": mark("Web"),
    "link": mark("Link"),
}
RUNG: Final = {
    "L0": mark("Written down"),
    "L1": mark("Handed over"),
    "L2": mark("On the device"),
    "L3": mark("Seen"),
    "L4": mark("Answered"),
    "L5": mark("On the way"),
    "L6": mark("Arrived"),
}
ROLE: Final = {
    "family": mark("Family"),
    "steward": mark("Steward"),
    "centre": mark("Service centre"),
    "duty": mark("Duty desk"),
    "subject": mark("The person"),
    "unit": mark("Unit"),
    "desk": mark("Desk"),
    "street": mark("Street duty"),
    "community": mark("Community duty"),
    "district": mark("District duty"),
    "grid": mark("Grid duty"),
    "operator": mark("Operator"),
}
RECIPIENT: Final = {
    "subject": mark("the person"),
    "subject.contacts": mark("family and contacts"),
    "subject.steward": mark("the steward"),
    "nearest:service_centre": mark("the nearest open service centre"),
    "grid.duty": mark("grid duty desk"),
    "community.duty": mark("community duty desk"),
    "street.duty": mark("street duty desk"),
    "district.duty": mark("district duty desk"),
}
ANSWER: Final = {
    "acknowledged": mark("Acknowledged"),
    "declined": mark("Cannot come"),
    "set_off": mark("On the way"),
    "arrived": mark("Arrived"),
    "well": mark("I am well"),
    "help": mark("I need help"),
}
REPLY: Final = {
    "acknowledged": mark("I have got it"),
    "declined": mark("I cannot come"),
    "set_off": mark("I am on my way"),
    "arrived": mark("I have arrived"),
    "well": mark("I am well"),
    "help": mark("I need help"),
    "cancelled": mark("Cancel the alarm"),
}
FLAG: Final = {
    "unknown_person": mark("unknown person"),
    "unknown_device": mark("unknown device"),
    "unknown_kind": mark("unknown kind of signal"),
    "clock_wrong": mark("the device's clock is wrong"),
    "id_reused": mark("an id was used again"),
    "condition_failed": mark("a condition could not be decided"),
    "drill": mark("drill"),
}
EVIDENCE: Final = {
    "arrival": mark("arrival"),
    "outcome": mark("outcome"),
    "text": mark("text"),
    "photo": mark("photo"),
    "location": mark("location"),
}
LEVEL: Final = {
    "district": mark("district"),
    "street": mark("street"),
    "community": mark("community"),
    "grid": mark("grid"),
    "building": mark("building"),
}
ORIGIN: Final = {
    "signal": mark("its own position"),
    "device": mark("where the device is fixed"),
    "home": mark("registered home"),
    "unknown": mark("not known"),
}
TABLES: Final = {
    "state": STATE,
    "severity": SEVERITY,
    "promise": PROMISE,
    "way": WAY,
    "rung": RUNG,
    "role": ROLE,
    "recipient": RECIPIENT,
    "answer": ANSWER,
    "reply": REPLY,
    "flag": FLAG,
    "evidence": EVIDENCE,
    "level": LEVEL,
    "origin": ORIGIN,
}


def word(table: str, code: object) -> str:
    """The word for a code in the language of the page; the code itself when there is none."""
    known = TABLES[table].get(str(code))
    return gettext(known) if known else str(code)
