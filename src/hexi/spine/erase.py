"""Erase: a person's own data goes; the cases and the numbers counted from them stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from hexi.kernel.access import Look
from hexi.kernel.clock import Instant
from hexi.kernel.fold import rebuild
from hexi.kernel.ports import CaseFilter, Transaction
from hexi.kernel.record import NOTE, Privacy, Record, RecordKind, ref_of
from hexi.spine.records import keep

_PAGE = 500
_DOOR = frozenset({"address", "building", "point"})
"""What of a place leads to one home; grid, community and street stay for the numbers."""


class Erasure(msgspec.Struct, kw_only=True):
    """What was erased, by id, and what still names the person."""

    person: str
    versions: int = 0
    """Versions of the person's own record."""
    contacts: list[str] = []
    devices: list[str] = []
    """They stay, without their owner and whatever else is personal in them."""
    cases: list[str] = []
    """Ended cases about the person: they stay, without notes, words, readings and the door."""
    notes: int = 0
    notices: int = 0
    signals: int = 0
    """In the store; those in the archive are not counted."""
    files: list[str] = []
    """Digests of the evidence of those cases: kept, since other cases may hold the same file."""
    named_by: list[str] = []
    """Records and accounts that still name the person by id."""


class OpenCaseError(Exception):
    """The person has an open case, whose helpers need the data; ``cases`` names them."""

    def __init__(self, cases: list[str]) -> None:
        super().__init__(", ".join(cases))
        self.cases = cases


def erase_person(
    tx: Transaction, kinds: Mapping[str, RecordKind], person: str, by: str, at: Instant
) -> Erasure:
    """Erase a person with their contacts and the words of their cases, and log who did it.

    KeyError when no such person was ever kept, OpenCaseError while a case is open.
    """
    ref = ref_of("person", person)
    if not tx.records.history("person", person):
        raise KeyError(person)
    open_cases = [row.id for row in tx.cases.find(CaseFilter(open=True, subject=ref), _PAGE)]
    if open_cases:
        raise OpenCaseError(open_cases)
    done = Erasure(person=person)
    for case_id in _ended(tx, ref):
        _erase_case(tx, case_id, done, at)
    _erase_contacts(tx, done)
    _strip_devices(tx, kinds, done, by, at)
    _erase_signals(tx, ref, done, at)
    done.notices += tx.notices.erase(recipient=ref)
    done.versions = tx.records.erase("person", person)
    done.named_by = [*_naming(tx, kinds, person)]
    tx.access.looked(Look(at=at, by=by, record=ref, what="erased"))
    return done


def _ended(tx: Transaction, ref: str) -> list[str]:
    wanted, found = CaseFilter(open=False, subject=ref), list[str]()
    while page := tx.cases.find(wanted, _PAGE, len(found)):
        found += [row.id for row in page]
    return found


def _erase_signals(tx: Transaction, ref: str, done: Erasure, at: Instant) -> None:
    """In the store now; in the archive no query shows them from now on, and its files are rewritten soon."""
    done.signals += tx.signals.erase(ref)
    tx.archive.erase(ref, at)


def _erase_case(tx: Transaction, case_id: str, done: Erasure, at: Instant) -> None:
    log = tx.cases.log(case_id)
    notes = {str(e.body["note"]) for e in log if e.body.get("note")}
    bare = [msgspec.structs.replace(entry, body=_bare(entry.body)) for entry in log]
    case = rebuild(case_id, bare)
    tx.cases.redact(case, bare)
    done.cases.append(case_id)
    done.notes += sum(1 for note in notes if tx.records.erase(NOTE, note))
    done.notices += tx.notices.erase(case_id=case_id)
    _erase_signals(tx, ref_of("case", case_id), done, at)
    done.files += [e.file for e in case.evidence if e.file]


def _bare(body: dict[str, Any]) -> dict[str, Any]:
    """What an entry says without what a device reported, and without the door it came from."""
    kept = dict(body)
    if isinstance(body.get("signal"), dict):
        kept["signal"] = {**body["signal"], "data": {}}
    if isinstance(body.get("place"), dict):
        kept["place"] = {name: code for name, code in body["place"].items() if name not in _DOOR}
    return kept


def _erase_contacts(tx: Transaction, done: Erasure) -> None:
    for contact in tx.records.linked("contact", "person", done.person):
        done.contacts.append(contact.id)
        done.notices += tx.notices.erase(recipient=contact.ref)
        tx.records.erase("contact", contact.id)


def _strip_devices(
    tx: Transaction, kinds: Mapping[str, RecordKind], done: Erasure, by: str, at: Instant
) -> None:
    """A device goes on being watched, but nothing says any more whose it was."""
    fields = kinds["device"].field
    for device in tx.records.linked("device", "owner", done.person):
        done.devices.append(device.id)
        _erase_signals(tx, device.ref, done, at)
        tx.records.erase("device", device.id)
        data = {k: v for k, v in device.data.items() if k in fields and fields[k].privacy is Privacy.PUBLIC}
        keep(tx, kinds, Record(kind="device", id=device.id, version=0, data=data, at=at, by=by))


def _naming(tx: Transaction, kinds: Mapping[str, RecordKind], person: str) -> Iterator[str]:
    """What still names the person: other people's steward, a desk's shifts, an account."""
    for kind in kinds.values():
        for field, target in kind.refs():
            if target == "person":
                yield from (record.ref for record in tx.records.linked(kind.id, field, person))
    for roster in tx.records.find("roster", person, _PAGE):
        shifts = {str(shift.get("person")) for shift in roster.data.get("shifts") or ()}
        if person in shifts | set(roster.data.get("on_duty") or ()):
            yield roster.ref
    yield from (ref_of("account", a.login) for a in tx.access.accounts() if a.person == person)
