"""The directory: the people, contacts, units, centres, devices and desks that a case needs.

These are typed views of records; the records themselves are described in ``packs/core/records``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from hexi.kernel.clock import LOCAL, Duration, Instant, parse_duration, to_datetime
from hexi.kernel.hours import closes_at, is_open, parse_hours
from hexi.kernel.place import Level, Location, Point
from hexi.kernel.record import Record

WAYS = ("call", "sms", "app", "mail", "group", "webhook", "desk")
"""The ways a person can be told; settings bind each way to a channel."""


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to one person: ``by`` names the way, ``to`` the address in it."""

    by: str
    to: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What every record of the directory that can be told shares."""

    id: str
    name: str = ""
    phone: str | None = None
    addresses: tuple[Address, ...] = ()
    quiet_hours: str | None = None
    language: str = "zh"


class Person(Entry, frozen=True, kw_only=True):
    """A resident or a member of staff.

    ``medical_note``, ``door_code`` and ``key_holder`` are sensitive: shown only on a case, to those
    who need them, and every look is logged.
    """

    gender: str | None = None
    birth_date: str | None = None
    address: str | None = None
    building: str | None = None
    grid: str | None = None
    community: str | None = None
    street: str | None = None
    lon: float | None = None
    lat: float | None = None
    lives_alone: bool = False
    tags: tuple[str, ...] = ()
    steward: str | None = None
    key_holder: str | None = None
    door_code: str | None = None
    medical_note: str | None = None
    consent: bool = False


class Contact(Entry, frozen=True, kw_only=True):
    """Someone to be told about a person, in the given order."""

    person: str
    relation: str = ""
    order: int = 1


class Unit(Entry, frozen=True, kw_only=True):
    """An organisation that can be whistled: street office, department, company, committee."""

    level: str = "street"
    place: str | None = None
    category: str = ""


class Centre(Entry, frozen=True, kw_only=True):
    """A home-care service centre with its opening hours."""

    lon: float
    lat: float
    hours: str = "24/7"
    street: str | None = None
    community: str | None = None
    address: str | None = None


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device, its owner and how often it must be heard."""

    id: str
    name: str = ""
    type: str = ""
    owner: str | None = None
    room: str | None = None
    heartbeat: str | None = None
    lon: float | None = None
    lat: float | None = None
    model: str | None = None
    source: str | None = None
    test_until: str | None = None

    @property
    def silent_after(self) -> Duration | None:
        """Three missed heartbeats; None when the device owes none."""
        return 3 * parse_duration(self.heartbeat) if self.heartbeat else None


class Shift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One person's regular hours at a desk."""

    person: str
    hours: str = "24/7"


def open_at(hours: str, at: Instant) -> bool:
    """Whether written hours hold an instant; hours that cannot be read hold none."""
    try:
        return is_open(parse_hours(hours), at)
    except ValueError:
        return False


class Roster(Entry, frozen=True, kw_only=True):
    """A duty desk of a place: its shifts, and who has taken over."""

    level: Level
    place: str
    shifts: tuple[Shift, ...] = ()
    on_duty: tuple[str, ...] = ()
    since: Instant | None = None
    note: str = ""
    """What those who left want the next ones to know."""

    def people(self, at: Instant) -> tuple[str, ...]:
        """Ids of those who have taken over, else of those whose shift it is."""
        return self.on_duty or tuple(s.person for s in self.shifts if open_at(s.hours, at))

    @property
    def staffed(self) -> bool:
        """Whether the desk can be told at any hour, by its own address or by its shifts."""
        return bool(self.addresses or self.phone or self.on_duty or self.shifts)


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """Someone to be told: the record, the name, and the addresses in order."""

    ref: str
    name: str
    addresses: tuple[Address, ...]
    language: str = "zh"
    quiet_until: Instant | None = None
    """The end of the person's quiet hours, when it is quiet now; emergencies ignore it."""


VIEWS: dict[str, type[Any]] = {
    "person": Person,
    "contact": Contact,
    "unit": Unit,
    "centre": Centre,
    "device": Device,
    "roster": Roster,
}
_View = TypeVar("_View", bound=msgspec.Struct)


def view(record: Record, as_type: type[_View]) -> _View:
    """The record as a typed entry of the directory; fields unknown or unreadable are left out.

    ValidationError when one of those is a field that the entry cannot do without.
    """
    present = {name: value for name, value in record.data.items() if value is not None}
    try:
        return msgspec.convert({"id": record.id, **present}, as_type, strict=False)
    except msgspec.ValidationError:
        return _what_can_be_read(record, present, as_type)


def _what_can_be_read(record: Record, present: dict[str, Any], as_type: type[_View]) -> _View:
    """One bad field must not make a person unknown: the others still count."""
    good: dict[str, Any] = {"id": record.id}
    for field in msgspec.structs.fields(as_type):
        if field.name in present:
            try:
                good[field.name] = msgspec.convert(present[field.name], field.type, strict=False)
            except msgspec.ValidationError:
                continue
    return msgspec.convert(good, as_type, strict=False)


def recipient_of(ref: str, entry: Entry, at: Instant) -> Recipient:
    """Whom to tell for an entry: its own addresses, completed by its telephone and its inbox."""
    given = {address.by for address in entry.addresses}
    extra: list[Address] = []
    if entry.phone:
        extra += [Address(by, entry.phone) for by in ("call", "sms") if by not in given]
    if "app" not in given:
        extra.append(Address("app", ref))
    return Recipient(
        ref=ref,
        name=entry.name or ref,
        addresses=entry.addresses + tuple(extra),
        language=entry.language,
        quiet_until=_quiet_until(entry, at),
    )


def _quiet_until(entry: Entry, at: Instant) -> Instant | None:
    if not entry.quiet_hours:
        return None
    try:
        hours = parse_hours(entry.quiet_hours)
    except ValueError:
        return None  # hours that cannot be read keep nobody from being told
    return closes_at(hours, at) if is_open(hours, at) else None


def home_of(person: Person) -> Location | None:
    """The registered home, or None when nothing of it is known."""
    if person.lon is None and person.community is None and person.address is None:
        return None
    point = Point(person.lon, person.lat) if person.lon is not None and person.lat is not None else None
    return Location(
        point=point,
        street=person.street,
        community=person.community,
        grid=person.grid,
        building=person.building,
        address=person.address,
        origin="home",
    )


def in_test(device: Device, at: Instant) -> bool:
    """Whether an installer has the device in test; its cases are drills until then."""
    if not device.test_until:
        return False
    try:
        until = datetime.fromisoformat(device.test_until)
    except ValueError:
        return False  # a real alarm taken for a test is the worse mistake
    return to_datetime(at, LOCAL) < (until if until.tzinfo else until.replace(tzinfo=LOCAL))
