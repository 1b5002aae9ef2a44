"""Names for references, and times as people read them."""

from __future__ import annotations

from datetime import date

from hexi.kernel.case import Case
from hexi.kernel.clock import LOCAL, Duration, Instant, to_datetime
from hexi.kernel.directory import Contact, Device, Person, view
from hexi.kernel.ports import Transaction
from hexi.kernel.record import Record
from hexi.web.access.permissions import DEMO
from hexi.web.screens.words import gettext, mark

_SYSTEM = mark("the platform")
_UNKNOWN = mark("unknown person")


class Names:
    """Looks names up within one reading transaction, each once."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._records: dict[str, Record | None] = {}
        self._accounts = {DEMO.login: DEMO.name}

    def record(self, ref: str | None) -> Record | None:
        """The record a reference names."""
        if not ref or ":" not in ref:
            return None
        if ref not in self._records:
            kind, _, identity = ref.partition(":")
            self._records[ref] = self._tx.records.get(kind, identity)
        return self._records[ref]

    def of(self, ref: str | None) -> str:
        """The name of whoever a reference means, or the reference itself."""
        if not ref:
            return gettext(_UNKNOWN)
        if ref == "system":
            return gettext(_SYSTEM)
        kind, _, identity = ref.partition(":")
        if kind == "user":
            return self._account(identity)
        record = self.record(ref)
        return str(record.data.get("name") or record.id) if record else identity or ref

    def _account(self, login: str) -> str:
        if login not in self._accounts:
            account = self._tx.access.account(login)
            self._accounts[login] = account.name if account else login
        return self._accounts[login]

    def person(self, ref: str | None) -> Person | None:
        """A person by reference."""
        record = self.record(ref) if ref and ref.startswith("person:") else None
        return view(record, Person) if record else None

    def device(self, ref: str | None) -> Device | None:
        """A device by reference."""
        record = self.record(ref) if ref and ref.startswith("device:") else None
        return view(record, Device) if record else None

    def contact(self, ref: str) -> Contact | None:
        """A contact by reference."""
        record = self.record(ref) if ref.startswith("contact:") else None
        return view(record, Contact) if record else None

    def note(self, identity: str | None) -> str:
        """The words that a log entry points to; empty when there are none or they were erased."""
        record = self.record(f"note:{identity}") if identity else None
        return str(record.data.get("text") or "") if record else ""

    def place(self, code: str | None) -> str:
        """The name of a place, or its code."""
        if not code:
            return ""
        record = self.record(f"place:{code}")
        return str(record.data.get("name") or code) if record else code

    def where(self, case: Case) -> str:
        """Street, community and, at home, the address of the person, in one line."""
        place = case.place
        person = self.record(case.subject) if case.subject and place.origin == "home" else None
        address = str(person.data.get("address") or "") if person else ""
        parts = [
            name for name in (self.place(place.street), self.place(place.community)) if name not in address
        ]
        parts.append(address)
        return " ".join(part for part in parts if part)

    def subject(self, case: Case) -> str:
        """Whom a case is about: the person, else the device that spoke."""
        if case.subject and case.subject.startswith("person:"):
            return self.of(case.subject)
        return self.of(case.subject or case.device)


def age(person: Person | None, now: Instant) -> int | None:
    """Whole years since the date of birth."""
    if person is None or not person.birth_date:
        return None
    born = date.fromisoformat(person.birth_date)
    today = to_datetime(now, LOCAL).date()
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def clock(at: Instant | None) -> str:
    """``14:02:11`` by the district's clocks."""
    return f"{to_datetime(at, LOCAL):%H:%M:%S}" if at else ""


def minute(at: Instant | None) -> str:
    """``11-22 14:02``."""
    return f"{to_datetime(at, LOCAL):%m-%d %H:%M}" if at else ""


def stamp(at: Instant | None) -> str:
    """``2026-11-22 14:02:11``."""
    return f"{to_datetime(at, LOCAL):%Y-%m-%d %H:%M:%S}" if at else ""


def length(span: Duration | None) -> str:
    """``11:40``, or with hours ``1:04:10``; never negative."""
    seconds = max(0, (span or 0) // 1000)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
