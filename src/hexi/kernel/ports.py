"""The ports: everything the spine asks of the outside, each small, over one transaction.

An adapter is right when it keeps the promises in ``tests/contract``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any, Literal, Protocol

import msgspec

from hexi.kernel.access import Access
from hexi.kernel.archive import Archive
from hexi.kernel.case import Case, Entry
from hexi.kernel.clock import Instant
from hexi.kernel.deadline import Deadline, DeadlineKind
from hexi.kernel.indicator import Measure
from hexi.kernel.place import Location, Point
from hexi.kernel.process import Processes
from hexi.kernel.record import Record, RecordKind
from hexi.kernel.response import Notice, Receipt
from hexi.kernel.signal import Signal


class StoreError(Exception):
    """The database could not do its work, through no fault of the statement.

    ``kind``: ``locked`` (another writer, try again), ``full`` (no space left) or ``broken``.
    """

    def __init__(self, message: str, *, kind: Literal["locked", "full", "broken"]) -> None:
        super().__init__(message)
        self.kind: Literal["locked", "full", "broken"] = kind


class Known(StrEnum):
    """Whether a signal's identity was seen before."""

    NEW = "new"
    REPEAT = "repeat"
    REUSED = "reused"
    """The same identity with other content."""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that could not be decoded, kept whole."""

    id: int
    received: Instant
    link: str
    content_type: str
    reason: str
    raw: bytes
    replayed_at: Instant | None = None


class CaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A case as lists show it."""

    id: str
    version: int
    state: str
    severity: int
    scenario: str
    matter: str
    subject: str | None
    device: str | None
    street: str | None
    community: str | None
    grid: str | None
    lon: float | None
    lat: float | None
    opened_at: Instant
    closed_at: Instant | None
    next_due: Instant | None
    drill: bool


class CaseFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which cases a list wants; None asks for all."""

    open: bool | None = None
    street: str | None = None
    community: str | None = None
    scenario: str | None = None
    subject: str | None = None
    device: str | None = None
    since: Instant | None = None
    until: Instant | None = None
    text: str | None = None


class MeasureFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which measured cases a figure wants. Days are inclusive, ``2026-05-01``."""

    since: str | None = None
    until: str | None = None
    street: str | None = None
    community: str | None = None
    grid: str | None = None


class Signals(Protocol):
    """The hot signals and the horizon within which a repeat is recognised."""

    def claim(self, signals: Sequence[Signal]) -> list[Known]:
        """Remember the identities, and say of each whether it is new. Order is kept."""
        ...

    def add(self, signal: Signal, case_id: str | None) -> None:
        """Keep a claimed signal, with the case it went to."""
        ...

    def case_of(self, key: tuple[str, str]) -> str | None:
        """The case an earlier signal went to."""
        ...

    def count(self, kinds: Sequence[str], subject: str, since: Instant, *, drill: bool = False) -> int:
        """How many signals of some kinds one subject has sent since an instant, this transaction included.

        Those of drills, or those that are none: neither adds to the other's number.
        """
        ...

    def recent(self, subject: str | None, limit: int) -> list[tuple[Signal, str | None]]:
        """The latest signals, of one subject or of all, newest first, with their cases."""
        ...

    def unmatched(self, limit: int) -> list[Signal]:
        """The latest signals of unknown kinds, persons or devices."""
        ...

    def erase(self, subject: str) -> int:
        """Blank the data of the kept signals about a subject; their identity stays. Says how many."""
        ...

    def forget(self, seen_before: Instant) -> int:
        """Drop identities older than the horizon, the oldest 20,000 at most; says how many."""
        ...


class Heard(Protocol):
    """When something was last heard, kept in batches."""

    def note(self, heard: Mapping[str, Instant]) -> None:
        """Move the given keys forward to the given instants."""
        ...

    def last(self, key: str) -> Instant | None:
        """When a key was last heard."""
        ...


class Cases(Protocol):
    """Cases: their logs and their current rows."""

    def get(self, case_id: str) -> Case | None:
        """The current case, locked for this transaction."""
        ...

    def load(self, case_ids: Iterable[str]) -> None:
        """Read cases ahead, so that ``get`` need not ask for each; only in a transaction that writes."""
        ...

    def fold(self, key: str, case_id: str, now: Instant) -> str:
        """The case that holds a key: an open one, one closed within its time, else ``case_id``."""
        ...

    def holder(self, key: str) -> str | None:
        """The case that holds a key now, open or not long closed."""
        ...

    def release_fold(self, key: str, until: Instant) -> None:
        """The case of the key has closed; signals fold into it until an instant."""
        ...

    def hold_fold(self, key: str, case_id: str) -> None:
        """The case is open again and holds the key."""
        ...

    def forget_folds(self, until_before: Instant) -> int:
        """Drop keys into which nothing folds since an instant, the oldest 20,000 at most; says how many."""
        ...

    def save(self, case: Case, entries: Sequence[Entry]) -> None:
        """Append new entries and bring the current row to their fold."""
        ...

    def log(self, case_id: str) -> list[Entry]:
        """The whole log of a case, oldest first."""
        ...

    def find(self, wanted: CaseFilter, limit: int, offset: int = 0) -> list[CaseRow]:
        """Rows: open ones by time left and severity, else newest first."""
        ...

    def count(self, wanted: CaseFilter) -> int:
        """How many cases there are."""
        ...

    def ids(self, after: str, limit: int) -> list[str]:
        """Case ids in order, for walking all of them."""
        ...

    def replace(self, case: Case) -> None:
        """Write the current row anew from a rebuilt case."""
        ...

    def redact(self, case: Case, entries: Sequence[Entry]) -> None:
        """Write logged entries anew without personal data, and the row that follows; for erasure alone."""
        ...


class Deadlines(Protocol):
    """What falls due."""

    def arm(self, deadlines: Iterable[Deadline]) -> None:
        """Set deadlines; one with a known key moves."""
        ...

    def cancel(self, keys: Iterable[str]) -> None:
        """Drop deadlines by key; unknown keys are fine."""
        ...

    def claim(self, now: Instant, limit: int) -> list[Deadline]:
        """Take out what is due, earliest first; another process never takes the same."""
        ...

    def get(self, key: str) -> Deadline | None:
        """What is pending under a key."""
        ...

    def of_case(self, case_id: str) -> list[Deadline]:
        """What is pending for a case."""
        ...

    def pending(self) -> int:
        """How many there are."""
        ...

    def next_due(self) -> Instant | None:
        """When the earliest falls due."""
        ...

    def saying(self, kind: DeadlineKind, words: str) -> list[str]:
        """Keys of a kind whose body, as compact JSON, contains some words."""
        ...


class Notices(Protocol):
    """The outbox."""

    def add(self, notice: Notice, owner: str | None = None) -> None:
        """Owe a notice, held by the process that will send it, if any; the same id again changes nothing."""
        ...

    def get(self, notice_id: str) -> Notice | None:
        """One notice."""
        ...

    def load(self, notice_ids: Iterable[str]) -> list[Notice]:
        """Read notices ahead, so that ``get`` need not ask for each; those that are there."""
        ...

    def update(self, notice: Notice) -> None:
        """Store the notice's new state; no process holds it any more."""
        ...

    def of_case(self, case_id: str) -> list[Notice]:
        """All notices of a case, oldest first."""
        ...

    def of_recipient(self, ref: str, limit: int) -> list[Notice]:
        """The latest notices to one recipient."""
        ...

    def waiting(self, now: Instant, limit: int) -> list[Notice]:
        """What is owed by now, SOS first: after a start, and for retries."""
        ...

    def claim(self, owner: str, now: Instant, limit: int, alive_since: Instant | None = None) -> list[Notice]:
        """Hold for a process what is owed by now and no living process holds, SOS first.

        Two processes never hold the same. A heartbeat as late as ``alive_since`` is of one that lives;
        without it that follows from ``now``.
        """
        ...

    def held(self, owner: str, now: Instant) -> list[Notice]:
        """What a process holds and should be sending by now, SOS first."""
        ...

    def still_waiting(self, ids: Sequence[str]) -> set[str]:
        """Those of some notices that are still to be sent."""
        ...

    def drop(self, case_id: str, recipients: Sequence[str] | None = None) -> int:
        """Stop what still waits for a case; says how many."""
        ...

    def erase(self, *, case_id: str | None = None, recipient: str | None = None) -> int:
        """Blank words, names and addresses in the notices of a case or to a recipient.

        Only of cases that have ended, and only what no longer waits; says how many.
        """
        ...


class Records(Protocol):
    """Versioned records of every kind."""

    def get(self, kind: str, identity: str) -> Record | None:
        """The current version, unless deleted."""
        ...

    def put(self, record: Record) -> Record:
        """Store the next version (``version`` is set here) with its references; returns it."""
        ...

    def find(
        self, kind: str, text: str = "", limit: int = 50, offset: int = 0, place: str | None = None
    ) -> list[Record]:
        """Records whose id or data contains a text, by id; of a street or community alone, by its code."""
        ...

    def count(self, kind: str, text: str = "", place: str | None = None) -> int:
        """How many of a kind contain a text, in a place."""
        ...

    def linked(self, kind: str, field: str, target: str) -> list[Record]:
        """Records of a kind whose field refers to an id."""
        ...

    def erase(self, kind: str, identity: str) -> int:
        """Empty every version of a record and mark it deleted; its id stays. Says how many versions."""
        ...

    def load(self, kind: str, identities: Iterable[str]) -> list[Record]:
        """The current versions of several, unless deleted, in no order."""
        ...

    def linked_to(self, kind: str, field: str, targets: Iterable[str]) -> dict[str, list[Record]]:
        """Records of a kind whose field refers to one of several ids, by that id."""
        ...

    def history(self, kind: str, identity: str) -> list[Record]:
        """All versions, newest first."""
        ...

    def revision(self) -> int:
        """Grows with every change but a case's notes, so that readers know when to look again."""
        ...


class Measures(Protocol):
    """Each case's part in each indicator."""

    def put(self, measures: Sequence[Measure], case_id: str) -> None:
        """Replace what is measured of one case."""
        ...

    def amend(self, measures: Sequence[Measure], case_id: str) -> None:
        """Replace what is measured of one case for some indicators; the others stay."""
        ...

    def rows(self, indicator: str, wanted: MeasureFilter) -> list[Measure]:
        """The measured cases of an indicator."""
        ...

    def of_case(self, case_id: str) -> list[Measure]:
        """Every indicator a case counts in."""
        ...


class Quarantine(Protocol):
    """What could not be decoded."""

    def add(self, item: Quarantined) -> int:
        """Keep it; returns its number (the given id is ignored)."""
        ...

    def get(self, number: int) -> Quarantined | None:
        """One of them, whole."""
        ...

    def find(self, limit: int, offset: int = 0) -> list[Quarantined]:
        """The latest first."""
        ...

    def mark_replayed(self, number: int, at: Instant) -> None:
        """It has been taken after all."""
        ...


class Settings(Protocol):
    """Small facts of the installation by name."""

    def get(self, name: str) -> str | None:
        """A value, or None."""
        ...

    def put(self, name: str, value: str) -> None:
        """Set a value."""
        ...


class Transaction(Protocol):
    """One atomic unit over all ports. Committed when its block ends, rolled back on an exception."""

    @property
    def signals(self) -> Signals: ...  # noqa: D102
    @property
    def heard(self) -> Heard: ...  # noqa: D102
    @property
    def cases(self) -> Cases: ...  # noqa: D102
    @property
    def deadlines(self) -> Deadlines: ...  # noqa: D102
    @property
    def notices(self) -> Notices: ...  # noqa: D102
    @property
    def records(self) -> Records: ...  # noqa: D102
    @property
    def measures(self) -> Measures: ...  # noqa: D102
    @property
    def quarantine(self) -> Quarantine: ...  # noqa: D102
    @property
    def settings(self) -> Settings: ...  # noqa: D102
    @property
    def processes(self) -> Processes: ...  # noqa: D102
    @property
    def access(self) -> Access: ...  # noqa: D102
    @property
    def archive(self) -> Archive: ...  # noqa: D102

    def part(self) -> AbstractContextManager[None]:
        """A part that can fail alone: an exception inside undoes it and leaves the rest."""
        ...


class Store(Protocol):
    """The one store of the platform."""

    def write(self) -> AbstractContextManager[Transaction]:
        """A writing transaction; durable when the block has ended."""
        ...

    def read(self) -> AbstractContextManager[Transaction]:
        """A consistent view for reading, beside any writer."""
        ...

    def use_record_kinds(self, kinds: Mapping[str, RecordKind]) -> None:
        """From now on, the references of these kinds can be asked by ``records.linked``."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


class Files(Protocol):
    """Evidence files, named by what they contain."""

    def put(self, content: bytes, content_type: str) -> str:
        """Keep a file durably; returns its digest."""
        ...

    def get(self, digest: str) -> tuple[bytes, str]:
        """Content and content type; KeyError when there is none."""
        ...


class Locator(Protocol):
    """Knows the polygons of the district."""

    def locate(self, point: Point) -> Location:
        """The codes of the places that contain a point; empty outside the district."""
        ...


class Channel(Protocol):
    """One way out to people."""

    async def send(self, notice: Notice, link: str | None) -> Receipt:
        """Hand a notice over and say what is known; UndeliveredError when it could not be."""
        ...


class Random(Protocol):
    """A source of randomness, given by argument."""

    def getrandbits(self, k: int, /) -> int:
        """A non-negative integer of k random bits."""
        ...


Json = dict[str, Any]
