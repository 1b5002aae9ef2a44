"""Every look at personal data is logged, with who, at what, and on which case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hexi.kernel.access import Look
from hexi.kernel.ports import Transaction
from hexi.kernel.record import Privacy, Record, RecordKind, whereabouts
from hexi.spine.platform import Platform
from hexi.web.access.permissions import Caller, Permission


async def look(
    platform: Platform, caller: Caller, record: str, what: str, case_id: str | None = None
) -> None:
    """Log a look at a record (``person:E1``); ``what`` names the fields or the screen."""
    entry = Look(at=platform.clock.now(), by=caller.ref, record=record, what=what, case_id=case_id)

    def keep(tx: Transaction) -> None:
        tx.access.looked(entry)

    await platform.intake.call(keep)


def visible(kind: RecordKind, data: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """The fields of a record that the caller may see; unknown fields count as sensitive."""
    return {name: value for name, value in data.items() if caller.may(_needed(kind, name))}


_NEEDED = {
    Privacy.PUBLIC: Permission.RECORD_SEE,
    Privacy.PERSONAL: Permission.PERSON_SEE,
    Privacy.SENSITIVE: Permission.PERSON_SENSITIVE,
}


def _needed(kind: RecordKind, name: str) -> Permission:
    field = kind.field.get(name)
    return _NEEDED[field.privacy if field else Privacy.SENSITIVE]


def personal_fields(kind: RecordKind, data: Mapping[str, Any]) -> list[str]:
    """The fields of some data that hold personal data, in order of name."""
    return sorted(
        name
        for name, value in data.items()
        if value not in (None, "") and _needed(kind, name) is not Permission.RECORD_SEE
    )


def lies_within(tx: Transaction, record: Record, caller: Caller) -> bool:
    """Whether a record lies in the caller's place: its own street or community, else its person's."""
    if caller.place is None:
        return True
    codes, owner = whereabouts(record)
    person = tx.records.get("person", owner) if owner else None
    return caller.place in (whereabouts(person).codes if person else codes)
