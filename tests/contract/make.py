"""Small things to store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hexi.kernel.case import Case, Entry
from hexi.kernel.deadline import Deadline, DeadlineKind
from hexi.kernel.fold import apply
from hexi.kernel.indicator import Measure
from hexi.kernel.record import Record
from hexi.kernel.response import Notice
from hexi.kernel.signal import Signal


class WrongError(Exception):
    """Something goes wrong inside a transaction."""


@contextmanager
def going_wrong() -> Iterator[None]:
    """The block must end with a ``WrongError``."""
    with pytest.raises(WrongError):
        yield


NOW = 1_780_000_000_000


def a_signal(identity: str, **changes: Any) -> Signal:
    """A quiet reading of a radar."""
    values = {"source": "radar", "kind": "radar.presence", "received": NOW, "subject": "device:D1"}
    return Signal(**values | {"id": identity, "data": {"moving": True}} | changes)


def reported(case_id: str, **changes: Any) -> Entry:
    """The entry that opens a case."""
    body = {
        "scenario": "elder_care.pendant_sos",
        "version": "abc",
        "matter": "elder.emergency",
        "fold_key": f"elder.emergency/{case_id}",
        "severity": "extreme",
        "subject": "person:E1",
        "signal": {"id": "S1", "source": "pendant", "received": NOW},
        "place": {"street": "120105001", "community": "120105001001", "point": {"lon": 117.2, "lat": 39.1}},
        "promises": {"arrived": NOW + 900_000, "closed": NOW + 14_400_000},
    }
    at = changes.pop("at", NOW)
    signal = body["signal"] | {"received": at}
    return Entry(seq=1, at=at, kind="reported", body=body | {"signal": signal} | changes)


def folded(case_id: str, entries: Iterable[Entry]) -> Case:
    """What the entries add up to."""
    case = Case(id=case_id)
    for entry in entries:
        apply(case, entry)
    return case


def a_case(case_id: str, **changes: Any) -> tuple[Case, list[Entry]]:
    """An open case and its log."""
    entries = [reported(case_id, **changes)]
    return folded(case_id, entries), entries


def a_deadline(key: str, due_at: int, **changes: Any) -> Deadline:
    """Something that falls due."""
    return Deadline(
        key=key, due_at=due_at, **{"kind": DeadlineKind.PROMISE, "body": {"name": "到场"}} | changes
    )


def a_notice(identity: str, **changes: Any) -> Notice:
    """A notice to the daughter."""
    values = {
        "case_id": "C1",
        "step": "family",
        "role": "family",
        "recipient": "contact:K1",
        "name": "李娜",
        "way": "call",
        "address": "+8613800000000",
        "text": "老人求助",
        "language": "zh",
        "t0": NOW,
    }
    return Notice(**values | {"id": identity, "replies": {"1": "set_off"}, "else_by": ("sms",)} | changes)


def a_measure(indicator: str, case_id: str, **changes: Any) -> Measure:
    """One case's part in one indicator."""
    values = {"day": "2026-05-01", "street": "120105001", "community": None, "grid": None, "hit": 1}
    return Measure(indicator=indicator, case_id=case_id, **values | changes)


def a_record(kind: str, identity: str, **data: Any) -> Record:
    """A record, not yet stored."""
    return Record(kind=kind, id=identity, version=0, data=data, at=NOW, by="user:admin")
