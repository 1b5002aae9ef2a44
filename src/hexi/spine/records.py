"""Records: a change is checked, stored as the next version, and arms what it has to."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hexi.kernel.clock import Instant
from hexi.kernel.directory import Device, view
from hexi.kernel.ports import Transaction
from hexi.kernel.record import Problem, Record, RecordKind, check_record
from hexi.spine.watch import silence


class BadRecordError(ValueError):
    """A record that cannot be stored; ``problems`` names each field."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{p.field} {p.message.en}" for p in problems))
        self.problems = problems


def keep(tx: Transaction, kinds: Mapping[str, RecordKind], record: Record) -> Record:
    """Store the next version of a record; BadRecordError when its data is wrong."""
    kind = kinds.get(record.kind)
    if kind and not record.deleted:
        problems = check_record(kind, record.data)
        if problems:
            raise BadRecordError(problems)
    stored = tx.records.put(record)
    if record.kind == "device":
        _look_after(tx, stored)
    return stored


def _look_after(tx: Transaction, record: Record) -> None:
    """A device that owes a heartbeat is missed when it does not come, from now on."""
    device = None if record.deleted else view(record, Device)
    length = device.silent_after if device else None
    if length is None:
        tx.deadlines.cancel([f"silence/{record.ref}"])
    else:
        before = tx.deadlines.get(f"silence/{record.ref}")
        link = before.body.get("link") if before else None
        tx.deadlines.arm([silence(record.ref, record.at + length, since=record.at, link=link)])


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """Who comes to a desk or leaves it, when, and what the others should know."""

    person: str
    at: Instant
    note: str = ""


def take_over(tx: Transaction, kinds: Mapping[str, RecordKind], roster: Record, shift: Shift) -> Record:
    """A person takes over a desk: from now on the desk is theirs too. The history is the shift book."""
    on_duty = [*roster.data.get("on_duty", []), shift.person]
    return _change(tx, kinds, roster, shift, list(dict.fromkeys(on_duty)))


def hand_over(tx: Transaction, kinds: Mapping[str, RecordKind], roster: Record, shift: Shift) -> Record:
    """A person leaves a desk; when nobody is left the regular shifts count again."""
    on_duty = [one for one in roster.data.get("on_duty", []) if one != shift.person]
    return _change(tx, kinds, roster, shift, on_duty)


def _change(
    tx: Transaction, kinds: Mapping[str, RecordKind], roster: Record, shift: Shift, on_duty: list[str]
) -> Record:
    data = {**roster.data, "on_duty": on_duty, "since": shift.at}
    if shift.note.strip():
        data["note"] = shift.note.strip()
    by = f"person:{shift.person}"
    return keep(tx, kinds, msgspec.structs.replace(roster, data=data, at=shift.at, by=by))
