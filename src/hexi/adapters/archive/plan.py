"""What working on the archive needs to know, and what it says when it has ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from threading import Event

import msgspec

from hexi.adapters.archive import folder as names
from hexi.kernel.archive import ArchiveFile, Fence
from hexi.kernel.clock import HOUR, MINUTE, Clock, Duration, Instant
from hexi.kernel.ports import Store
from hexi.settings import Archive

LEASE = 10 * MINUTE
"""How long one process may work without saying that it still does."""


class NotOursError(Exception):
    """Another process is at work on the archive."""


class StoppedError(Exception):
    """The round was told to end."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Where signals move from and to, and when."""

    store: Store
    folder: Path
    settings: Archive
    clock: Clock
    horizon: Duration
    """So long a repeat is answered with its case: signals of cases stay hot."""
    counted: Mapping[str, Duration] = {}
    """Kinds of which a scenario counts how often they came, and within how long."""
    stop: Event = msgspec.field(default_factory=Event)
    """Set to end a round at its next step."""
    holder: str = f"{socket.gethostname()}:{os.getpid()}"

    def hot_until(self, span: Duration) -> Instant:
        """The end of the last whole hour that is over by a span of time."""
        return (self.clock.now() - span) // HOUR * HOUR

    @property
    def waits(self) -> tuple[str, ...]:
        """The kinds that are counted over more than the hot window, and so stay longer."""
        hot = self.settings.hot
        return tuple(sorted(kind for kind, within in self.counted.items() if within + HOUR > hot))

    @property
    def longest(self) -> Duration:
        """After so long everything may move."""
        return max([self.settings.hot, self.horizon, *(within + HOUR for within in self.counted.values())])

    def is_idle(self) -> bool:
        """Whether there is nothing in the archive and nothing for it."""
        with self.store.read() as tx:
            if tx.archive.files():
                return False
            before = self.hot_until(self.settings.hot)
            fence = Fence(upto=tx.archive.last_row(before), but=self.waits)
            return not self.settings.hot or tx.archive.next_hour(before, fence) is None

    def keep_lease(self) -> None:
        """Go on being the one who works on the archive; NotOursError when another is."""
        now = self.clock.now()
        if self.stop.is_set():
            raise StoppedError
        with self.store.write() as tx:
            if not tx.archive.lease(self.holder, now, now + LEASE):
                raise NotOursError

    def give_back(self) -> None:
        """Let another process work on the archive at once."""
        now = self.clock.now()
        with self.store.write() as tx:
            tx.archive.lease(self.holder, now, now)

    def record(self, turn: int, *files: ArchiveFile) -> None:
        """Write down what has become of some files, all at once; TurnLostError, see the port."""
        with self.store.write() as tx:
            tx.archive.record(turn, files)

    def tell(self, hours: set[Instant]) -> None:
        """Bring the manifests of the days of some hours to what is recorded."""
        if not hours:
            return
        with self.store.read() as tx:
            files = tx.archive.files()
        names.write_manifests(self.folder, files, {names.day_of_hour(hour) for hour in hours})


class Report(msgspec.Struct, kw_only=True):
    """What one round of work has done."""

    moved: int = 0
    """Signals that left the hot store."""
    written: list[str] = []
    """Files that are new."""
    summarised: list[str] = []
    """Summaries that are new."""
    gone: list[str] = []
    """Files that were replaced or have expired."""
    damaged: list[str] = []
    """Files whose checksum is wrong."""
    repaired: list[str] = []
    """Damaged files that are right again."""
    unknown: list[str] = []
    """Files that nothing records and whose signals are nowhere else; they are left as they are."""
    differing: list[str] = []
    """Files whose summary counts something else than they hold."""
    stopped: str | None = None
    """Why the round ended early."""
