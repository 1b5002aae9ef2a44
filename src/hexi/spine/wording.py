"""Wording: the sentences of notices, filled from the case for one reader."""

from __future__ import annotations

from collections.abc import Callable

from hexi.kernel.case import Case
from hexi.kernel.clock import LOCAL, to_datetime
from hexi.kernel.place import Point
from hexi.kernel.record import split_ref
from hexi.kernel.text import Text
from hexi.spine.work import Work

STANDARD = Text(
    zh="{scenario}：{subject}，{place}。回复 1 表示您正赶去，2 表示无法前往。",
    en="{scenario}: {subject}, {place}. Reply 1 if you are on your way, 2 if you cannot come.",
)
DESK = Text(
    zh="{scenario}：{subject}，{place}。案件 {case} 尚无人按时处置，请接手。回复 1 表示接手。",
    en="{scenario}: {subject}, {place}. Case {case} was not answered in time. Reply 1 to take it.",
)
_DRILL = Text(zh="【演练】", en="[DRILL] ")
_UNKNOWN_PLACE = Text(zh="位置不明", en="place unknown")
_SOMEBODY = Text(zh="一位未登记的人员", en="someone not registered")


def fill(work: Work, case: Case, text: Text, language: str) -> str:
    """The sentence in the reader's language; a drill says so first."""
    values = {name: _VALUES[name](work, case, language) for name in text.holes() & _VALUES.keys()}
    sentence = text.fill(values, language)
    mark = _DRILL.get(language) if case.drill else ""
    return sentence if sentence.startswith(mark) else mark + sentence


def subject_name(work: Work, case: Case, language: str) -> str:
    """The person's name, or words for somebody unknown."""
    if case.subject and case.subject.startswith("person:"):
        person = work.directory.person(split_ref(case.subject)[1])
        if person:
            return person.name or person.id
    return (case.subject or "").removeprefix("device:") or _SOMEBODY.get(language)


def place_name(work: Work, case: Case, language: str) -> str:
    """The registered address, else the places that contain the position."""
    place = case.place
    address = _address(work, case)
    if address:
        return address
    names = [_name_of(work, code) for code in (place.street, place.community) if code]
    if names:
        return "".join(names) if language == "zh" else " ".join(names)
    point = place.point
    return f"{point.lat:.5f},{point.lon:.5f}" if point else _UNKNOWN_PLACE.get(language)


def _name_of(work: Work, code: str) -> str:
    record = work.tx.records.get("place", code)
    return str(record.data.get("name", code)) if record else code


def _address(work: Work, case: Case) -> str:
    """The address of the person's home when that is the place; it is never in the log itself."""
    if case.place.origin != "home" or not case.subject:
        return ""
    person = work.directory.person(split_ref(case.subject)[1])
    return (person.address if person else None) or ""


def _device(work: Work, case: Case, _: str) -> str:
    device = work.directory.device(split_ref(case.device)[1]) if case.device else None
    return (device.name if device else "") or (case.device or "").removeprefix("device:")


def _room(work: Work, case: Case, _: str) -> str:
    device = work.directory.device(split_ref(case.device)[1]) if case.device else None
    return (device.room if device else None) or ""


def _nearest(work: Work, case: Case) -> tuple[str, str]:
    """The nearest open centre and the minutes it walks."""
    point: Point | None = case.place.point
    for way, centre in work.directory.centres(point)[:1] if point else ():
        return centre.name, str(max(1, round(way.seconds / 60)))
    return "", ""


_VALUES: dict[str, Callable[[Work, Case, str], str]] = {
    "subject": subject_name,
    "place": place_name,
    "address": place_name,
    "device": _device,
    "room": _room,
    "time": lambda _, case, __: f"{to_datetime(case.opened_at, LOCAL):%H:%M}",
    "scenario": lambda work, case, language: work.catalogue.title(case.scenario).get(language),
    "case": lambda _, case, __: case.id,
    "centre": lambda work, case, _: _nearest(work, case)[0],
    "walk": lambda work, case, _: _nearest(work, case)[1],
}
HOLES = frozenset(_VALUES)
"""What a notice's text may name in braces."""
