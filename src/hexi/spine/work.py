"""One transaction's worth of work: what is being changed, and what follows from it after the commit."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import msgspec

from hexi.kernel.case import Case, Entry
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import SECOND, Duration, Instant
from hexi.kernel.fold import apply
from hexi.kernel.ports import Locator, Random, StoreError, Transaction
from hexi.kernel.response import Notice
from hexi.kernel.signal import Signal
from hexi.kernel.text import Text
from hexi.spine.directory import Directory, Views

MOST_KNOWN = 1_000_000
"""References remembered, about 100 bytes each; beyond it all are looked up again."""

OWN_SOURCE = "hexi:spine"
"""The source of signals that follow from others; they say nothing of a device being heard."""


class Taken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one signal. ``fate``: accepted, repeat, or refused (an act that is not allowed)."""

    source: str
    id: str
    fate: str
    case_id: str | None = None
    flags: tuple[str, ...] = ()
    error: Text | None = None


class Outcome(msgspec.Struct):
    """What a transaction has led to; acted upon only after its commit."""

    taken: list[Taken] = []
    notices: list[Notice] = []
    """What this process has to send now."""
    left: bool = False
    """Whether notices are owed that another process has to send."""
    silent: list[str] = []
    """Devices that were reported silent."""
    changed: dict[str, int] = {}
    """Case id -> its new version."""
    opened: list[str] = []
    """The severity of each case that was opened."""
    lateness: list[int] = []
    """Milliseconds after its due time at which each deadline was handled."""
    trouble: StoreError | None = None
    """Why the store did not take what came after all this; that part has to be handed in again."""

    def add(self, other: Outcome) -> None:
        """Take in what a later transaction has led to."""
        self.taken += other.taken
        self.notices += other.notices
        self.left |= other.left
        self.silent += other.silent
        self.changed |= other.changed
        self.opened += other.opened
        self.lateness += other.lateness
        self.trouble = self.trouble or other.trouble


class Memory:
    """What the spine keeps between transactions; all of it can be lost without harm."""

    def __init__(self, ready_at: Instant) -> None:
        self.ready_at = ready_at
        self.alive_since: Instant | None = None
        """The oldest heartbeat of those processes that live, in the database's time."""
        self.heard: dict[str, Instant] = {}
        self.heard_written: Instant = 0
        self.armed: set[str] = set()
        self.silent: set[str] = set()
        """Devices reported silent, so that the first word from one is noticed at once."""
        self.links: dict[str, str | None] = {}
        """Over which link a device was last heard, as its silence deadline knows it."""
        self.known: dict[str, bool] = {}
        """Whether there is a record, by reference."""
        self.views = Views()
        self._revision: int | None = None

    def refresh(self, revision: int) -> None:
        """Forget what was known of records that have since changed."""
        if revision != self._revision:
            self.forget()
            self._revision = revision

    def know(self, ref: str, *, known: bool) -> None:
        """Remember whether there is a record."""
        if len(self.known) >= MOST_KNOWN:
            self.known = {}
        self.known[ref] = known

    def learn(self, armed: set[str], links: dict[str, str | None]) -> None:
        """Remember what has been armed, and over which links devices were heard."""
        self.armed = _bounded(self.armed, armed)
        self.links = _bounded(self.links, links)

    def forget(self) -> None:
        """Forget what was known of records, after a transaction that may have changed them and failed."""
        self._revision = None
        self.known = {}
        self.views.forget()


_M = TypeVar("_M", set[str], dict[str, str | None])


def _bounded(kept: _M, fresh: _M) -> _M:
    """What is remembered with what is new, or that alone when it would be too much."""
    if len(kept) + len(fresh) > MOST_KNOWN:
        return fresh
    kept |= fresh
    return kept


OTHERS_LAG: Duration = 2 * SECOND
"""Within this, what another process has heard is written where this one can read it."""


class Share(NamedTuple):
    """This process's share of the platform's work; the whole of it unless others are there.

    ``name`` is what it holds notices under, None when there is no other process. ``ticks``: it handles what
    falls due; ``sends``: it sends notices; ``rests``: it stands by and does neither.
    """

    name: str | None = None
    ticks: bool = True
    sends: bool = True
    rests: bool = False


class Means(NamedTuple):
    """What every transaction works with."""

    catalogue: Catalogue
    locator: Locator
    random: Random
    memory: Memory
    share: Share = Share()


class RefusedError(Exception):
    """An act that the case does not allow now; ``reason`` says why, in both languages."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.reason = Text(zh=zh, en=en)


class CaseFile:
    """A case on the table: its fold so far, and the entries this transaction adds."""

    def __init__(self, case: Case, now: Instant) -> None:
        self.case = case
        self.fresh: list[Entry] = []
        self._now = now

    def log(self, kind: str, by: str = "system", via: str = "", **body: Any) -> None:
        """Append an entry and fold it in at once."""
        entry = Entry(seq=self.case.version + 1, at=self._now, kind=kind, by=by, via=via, body=body)
        apply(self.case, entry)
        self.fresh.append(entry)


class Work:
    """The table on which one transaction is prepared."""

    def __init__(self, tx: Transaction, now: Instant, means: Means) -> None:
        self.tx = tx
        self.now = now
        self.catalogue = means.catalogue
        self.locator = means.locator
        self.random = means.random
        self.memory = means.memory
        self.share = means.share
        self.outcome = Outcome()
        self.directory = Directory(tx, now, self.memory.views)
        self.derived: list[Signal] = []
        self.armed: set[str] = set()
        self.link: str | None = None
        """The link over which the signals at hand have come, if it is one that can be down."""
        self.linked: dict[str, str | None] = {}
        self.noted: dict[str, Instant] = {}
        """What memory learns only when the transaction has been committed."""
        self.files: dict[str, CaseFile] = {}

    def committed(self) -> None:
        """The transaction is durable: what it did is remembered as done."""
        self.memory.learn(self.armed, self.linked)
        if self.noted:
            heard = self.memory.heard.items()
            self.memory.heard = {key: at for key, at in heard if self.noted.get(key) != at}
            self.memory.heard_written = self.now

    def case(self, case_id: str) -> CaseFile | None:
        """A case by id, loaded once in a transaction."""
        known = self.files.get(case_id)
        if known is None:
            case = self.tx.cases.get(case_id)
            if case is None:
                return None
            known = self.files[case_id] = CaseFile(case, self.now)
        return known

    def surviving(self, case_id: str) -> CaseFile | None:
        """The case, or the one into which it has been merged in the end."""
        file = self.case(case_id)
        while file and file.case.merged_into:
            file = self.case(file.case.merged_into)
        return file

    def new_case(self, case_id: str) -> CaseFile:
        """An empty case."""
        file = self.files[case_id] = CaseFile(Case(id=case_id), self.now)
        return file

    def knows(self, ref: str) -> bool:
        """Whether the directory has a record; asked for every quiet signal, so it is remembered."""
        known = self.memory.known.get(ref)
        if known is None:
            kind, _, identity = ref.partition(":")
            known = self.tx.records.get(kind, identity) is not None
            self.memory.know(ref, known=known)
        return known

    def derive(self, kind: str, subject: str, /, **data: Any) -> None:
        """Let a signal of our own follow, in the same transaction."""
        source = OWN_SOURCE
        identity = f"{kind}/{subject}/{self.now}/{len(self.derived)}"
        self.derived.append(
            Signal(id=identity, source=source, kind=kind, received=self.now, subject=subject, data=data)
        )
