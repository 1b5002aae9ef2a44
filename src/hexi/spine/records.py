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
        tx.deadlines.arm([silence(record.ref, record.at + length, since=record.at)])


def take_over(
    tx: Transaction, kinds: Mapping[str, RecordKind], roster: Record, person: str, at: Instant
) -> Record:
    """A person takes over a desk: from now on the desk is theirs too. The history is the shift book."""
    on_duty = [*roster.data.get("on_duty", []), person]
    data = {**roster.data, "on_duty": list(dict.fromkeys(on_duty)), "since": at}
    return keep(tx, kinds, msgspec.structs.replace(roster, data=data, at=at, by=f"person:{person}"))


def hand_over(
    tx: Transaction, kinds: Mapping[str, RecordKind], roster: Record, person: str, at: Instant
) -> Record:
    """A person leaves a desk; when nobody is left the regular shifts count again."""
    on_duty = [one for one in roster.data.get("on_duty", []) if one != person]
    data = {**roster.data, "on_duty": on_duty, "since": at}
    return keep(tx, kinds, msgspec.structs.replace(roster, data=data, at=at, by=f"person:{person}"))
