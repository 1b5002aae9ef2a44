"""Finding people: owners of devices, contacts, desks, the nearest open centre."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from hexi.kernel.case import Case
from hexi.kernel.clock import Instant
from hexi.kernel.directory import (
    VIEWS,
    Centre,
    Contact,
    Device,
    Entry,
    Person,
    Recipient,
    Roster,
    home_of,
    open_at,
    recipient_of,
    view,
)
from hexi.kernel.place import UPWARD, Level, Location, Point, Walk, walk
from hexi.kernel.ports import Transaction
from hexi.kernel.record import Record

_View = TypeVar("_View", bound=msgspec.Struct)


def _read(record: Record, as_type: type[_View]) -> _View | None:
    """The typed entry; a record that cannot be read is as good as none, and stops nobody's alarm."""
    try:
        return view(record, as_type)
    except msgspec.ValidationError:
        return None


MOST_KEPT = 20_000
"""Entries kept in memory, about 1 kB each; beyond it all are read again."""


class Views:
    """What was read of the directory. Good for as long as no record has changed: then ``forget``."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Read everything again."""
        self.entries: dict[str, Any] = {}
        """By reference: an entry, None for one that is not there or cannot be read, a person's contacts."""
        self.centres: list[Centre] = []
        """All of them, once they have been read."""

    def keep(self, ref: str, entry: object) -> None:
        """Remember what was found under a reference."""
        if len(self.entries) >= MOST_KEPT:
            self.forget()
        self.entries[ref] = entry


class Whose(NamedTuple):
    """Whom and what a signal's subject means, as far as the directory knows."""

    device: Device | None
    person: Person | None
    home: Location | None


class Directory:
    """Typed look-ups for one transaction; ``views`` are shared by those between which no record changed."""

    def __init__(self, tx: Transaction, now: Instant, views: Views | None = None) -> None:
        self._tx = tx
        self._now = now
        self._views = views or Views()

    def _get(self, kind: str, identity: str, as_type: type[_View]) -> _View | None:
        ref = f"{kind}:{identity}"
        try:
            found = self._views.entries[ref]
        except KeyError:
            record = self._tx.records.get(kind, identity)
            found = _read(record, as_type) if record else None
            self._views.keep(ref, found)
        return found if isinstance(found, as_type) else None

    def read_ahead(self, subjects: Iterable[str]) -> None:
        """Read whom several signals are about, in a few statements rather than in some for each."""
        named = [subject.partition(":") for subject in subjects]
        devices = self._load("device", [identity for kind, _, identity in named if kind == "device"], Device)
        people = [identity for kind, _, identity in named if kind == "person"]
        people += [device.owner for device in devices if device.owner]
        self._load("person", people, Person)
        unknown = [person for person in people if f"contacts of {person}" not in self._views.entries]
        contacts = self._tx.records.linked_to("contact", "person", unknown)
        for person in unknown:
            self._keep_contacts(person, contacts.get(person, ()))

    def _load(self, kind: str, identities: Sequence[str], as_type: type[_View]) -> list[_View]:
        unknown = [i for i in identities if f"{kind}:{i}" not in self._views.entries]
        records = {record.id: record for record in self._tx.records.load(kind, unknown)}
        for identity in unknown:
            found = _read(records[identity], as_type) if identity in records else None
            self._views.keep(f"{kind}:{identity}", found)
        return [found for i in identities if (found := self._get(kind, i, as_type))]

    def person(self, identity: str) -> Person | None:
        """A person by id."""
        return self._get("person", identity, Person)

    def device(self, identity: str) -> Device | None:
        """A device by id."""
        return self._get("device", identity, Device)

    def whose(self, subject: str) -> Whose:
        """The device and the person of a signal's subject, and the person's registered home."""
        ref = f"whose {subject}"
        known: Whose | None = self._views.entries.get(ref)
        if known is None:
            known = self._look_up(subject)
            self._views.keep(ref, known)
        return known

    def _look_up(self, subject: str) -> Whose:
        kind, _, identity = subject.partition(":")
        device = self.device(identity) if kind == "device" else None
        owner = device.owner if device else identity if kind == "person" else None
        person = self.person(owner) if owner else None
        return Whose(device, person, home_of(person) if person else None)

    def roster(self, level: Level, code: str | None) -> Roster | None:
        """The duty desk of a place."""
        identity = "district" if level is Level.DISTRICT else f"{level.value}-{code}"
        return self._get("roster", identity, Roster)

    def contacts(self, person: str) -> list[Contact]:
        """A person's contacts in their order."""
        ref = f"contacts of {person}"
        known: tuple[Contact, ...] | None = self._views.entries.get(ref)
        if known is None:
            known = self._keep_contacts(person, self._tx.records.linked("contact", "person", person))
        return list(known)

    def _keep_contacts(self, person: str, records: Iterable[Record]) -> tuple[Contact, ...]:
        found = [contact for contact in (_read(r, Contact) for r in records) if contact]
        for contact in found:
            self._views.keep(f"contact:{contact.id}", contact)
        kept = tuple(sorted(found, key=lambda c: (c.order, c.id)))
        self._views.keep(f"contacts of {person}", kept)
        return kept

    def centres(self, near: Point) -> list[tuple[Walk, Centre]]:
        """Service centres that are open now, the shortest walk first."""
        if not self._views.centres:
            read = (_read(r, Centre) for r in self._tx.records.find("centre", limit=1_000))
            self._views.centres.extend(centre for centre in read if centre)
        open_now = [c for c in self._views.centres if open_at(c.hours, self._now)]
        return sorted(
            ((walk(Point(c.lon, c.lat), near), c) for c in open_now), key=lambda pair: pair[0].seconds
        )

    def recipient(self, ref: str) -> Recipient | None:
        """Anyone by reference, with the addresses to tell them by."""
        kind, _, identity = ref.partition(":")
        entry = self._get(kind, identity, VIEWS.get(kind, Entry))
        return recipient_of(ref, entry, self._now) if isinstance(entry, Entry) else None

    def desk(self, level: Level, case: Case) -> list[Recipient]:
        """The staffed desk of a level: whoever is on duty and the desk itself; else the next level up."""
        step: Level | None = level
        while step:
            roster = self.roster(step, case.place.code(step))
            if roster and roster.staffed:
                return self._at_desk(roster)
            step = UPWARD[step]
        return []

    def _at_desk(self, roster: Roster) -> list[Recipient]:
        people = [self.recipient(f"person:{identity}") for identity in roster.people(self._now)]
        desk = [recipient_of(f"roster:{roster.id}", roster, self._now)]
        return desk + [person for person in people if person]


Resolver = Callable[[Directory, Case], list[Recipient]]


def _subject(directory: Directory, case: Case) -> list[Recipient]:
    found = directory.recipient(case.subject) if case.subject else None
    return [found] if found else []


def _contacts(directory: Directory, case: Case) -> list[Recipient]:
    if not case.subject or not case.subject.startswith("person:"):
        return []
    contacts = directory.contacts(case.subject.removeprefix("person:"))
    found = [directory.recipient(f"contact:{contact.id}") for contact in contacts]
    return [recipient for recipient in found if recipient]


def _steward(directory: Directory, case: Case) -> list[Recipient]:
    if not case.subject or not case.subject.startswith("person:"):
        return []
    person = directory.person(case.subject.removeprefix("person:"))
    found = directory.recipient(f"person:{person.steward}") if person and person.steward else None
    return [found] if found else []


def _nearest_centre(directory: Directory, case: Case) -> list[Recipient]:
    if case.place.point is None:
        return []
    for _, centre in directory.centres(case.place.point):
        found = directory.recipient(f"centre:{centre.id}")
        return [found] if found else []
    return []


def _desk(level: Level) -> Resolver:
    return lambda directory, case: directory.desk(level, case)


WHO: dict[str, Resolver] = {
    "subject": _subject,
    "subject.contacts": _contacts,
    "subject.steward": _steward,
    "nearest:service_centre": _nearest_centre,
    **{f"{level.value}.duty": _desk(level) for level in Level if level is not Level.BUILDING},
}
"""The recipients a scenario may name; also ``unit:<id>``, ``person:<id>`` and a pack's own."""


def resolve(expression: str, directory: Directory, case: Case) -> list[Recipient]:
    """Whom an expression of ``tell`` means for a case; empty when there is nobody."""
    known = WHO.get(expression)
    if known:
        return known(directory, case)
    if ":" in expression:
        found = directory.recipient(expression)
        return [found] if found else []
    return []
