"""Wording: the sentences of notices, filled from the case for one reader."""

from __future__ import annotations

from hexi.kernel.case import Case
from hexi.kernel.clock import LOCAL, to_datetime
from hexi.kernel.place import Point, walk
from hexi.kernel.record import split_ref
from hexi.kernel.text import Text
from hexi.spine.work import Work

HOLES = frozenset(
    {"subject", "place", "address", "device", "room", "time", "scenario", "case", "centre", "walk", "value"}
)
"""What a notice's text may name in braces."""

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
    sentence = text.fill(_values(work, case, language), language)
    return _DRILL.get(language) + sentence if case.drill else sentence


def _values(work: Work, case: Case, language: str) -> dict[str, str]:
    centre, minutes = _nearest(work, case)
    device = work.directory.device(split_ref(case.device)[1]) if case.device else None
    return {
        "subject": subject_name(work, case, language),
        "place": place_name(work, case, language),
        "address": case.place.address or place_name(work, case, language),
        "device": (device.name if device else "") or (case.device or "").removeprefix("device:"),
        "room": (device.room if device else None) or "",
        "time": f"{to_datetime(case.opened_at, LOCAL):%H:%M}",
        "scenario": work.catalogue.title(case.scenario).get(language),
        "case": case.id,
        "centre": centre,
        "walk": minutes,
        "value": "",
    }


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
    if place.address:
        return place.address
    names = [_name_of(work, code) for code in (place.street, place.community) if code]
    if names:
        return "".join(names) if language == "zh" else " ".join(names)
    point = place.point
    return f"{point.lat:.5f},{point.lon:.5f}" if point else _UNKNOWN_PLACE.get(language)


def _name_of(work: Work, code: str) -> str:
    record = work.tx.records.get("place", code)
    return str(record.data.get("name", code)) if record else code


def _nearest(work: Work, case: Case) -> tuple[str, str]:
    point: Point | None = case.place.point
    if point is None:
        return "", ""
    for _, centre in work.directory.centres(point)[:1]:
        way = walk(Point(centre.lon, centre.lat), point)
        return centre.name, str(max(1, round(way.seconds / 60)))
    return "", ""
