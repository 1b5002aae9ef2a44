"""The archive: signals that have left the hot store for files of one hour each.

The port keeps count of the files and of the hot rows on their way into them.

A signal is in exactly one place at every instant. A file is written whole before it is recorded; the
transaction that records it fences off the hot rows it holds, so that a reader counts them in the file
alone while they are deleted a little at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from hexi.kernel.clock import HOUR, Instant

SLACK = HOUR // 6
"""By how much two signals written one after the other may differ in ``received``, the other way round."""
SUMMARIES = "hours/"
"""How the name of a summary begins; then follows the name of the file that it counts."""


class FileState(StrEnum):
    """What a file of the archive is good for."""

    MOVING = "moving"
    """Whole and read by queries; the rows it holds are still being deleted from the hot store."""
    KEPT = "kept"
    DAMAGED = "damaged"
    """Its checksum is wrong: queries leave it out and say so."""
    GONE = "gone"
    """Replaced or expired; it stays a little for the queries that have it open."""


class Fence(msgspec.Struct, frozen=True, kw_only=True):
    """Which hot rows of an hour a file holds."""

    upto: int
    """Number of the last row; later rows are not in the file."""
    of_cases: bool = False
    """Whether rows that went to a case are in it."""
    but: tuple[str, ...] = ()
    """Kinds that are not."""


class ArchiveFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it is recorded: signals, or the summary of a file of signals."""

    name: str
    """Path within the archive's folder."""
    hour: Instant
    """Start of the hour in which its signals were received."""
    kinds: dict[str, int]
    """How many signals of each kind it holds, or counts when it is a summary."""
    bytes: int
    sha256: str
    state: FileState
    written: Instant
    verified: Instant
    """When its checksum was last found right."""
    erased: int = 0
    """The last erasure that its content obeys."""
    fence: Fence | None = None
    gone_at: Instant | None = None

    @property
    def rows(self) -> int:
        """How many signals it holds or counts."""
        return sum(self.kinds.values())

    @property
    def is_summary(self) -> bool:
        """Whether it holds an hour's counts and no signals."""
        return self.name.startswith(SUMMARIES)

    @property
    def summary(self) -> str:
        """What the summary of a file of signals is called."""
        return SUMMARIES + self.name

    @property
    def is_read(self) -> bool:
        """Whether queries read it."""
        return self.state in {FileState.MOVING, FileState.KEPT}


def of_signals(files: Iterable[ArchiveFile]) -> list[ArchiveFile]:
    """The files that hold signals."""
    return [file for file in files if not file.is_summary]


def summaries(files: Iterable[ArchiveFile]) -> list[ArchiveFile]:
    """The files that count signals."""
    return [file for file in files if file.is_summary]


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """What was received about a subject up to an instant has lost its data."""

    id: int
    subject: str
    until: Instant


class TurnLostError(Exception):
    """Another process has changed the archive meanwhile; what was prepared must be prepared anew."""


HotRow = tuple[str, str, str, str | None, Instant, Instant | None, str, str, str | None]
"""A signal as it lies in the hot store: source, id, kind, subject, received, time, flags, data, case."""


Between = tuple[str, Any, Any]
"""A column and the least and the greatest value wanted of it."""


class Archive(Protocol):
    """What is recorded of the archive, and the hot rows on their way into it."""

    def files(self) -> list[ArchiveFile]:
        """Every recorded file, by hour and name."""
        ...

    def turn(self) -> int:
        """Grows with every change of what is recorded."""
        ...

    def record(self, turn: int, files: Sequence[ArchiveFile]) -> None:
        """Add files or write them anew; TurnLostError when the turn has passed since it was read."""
        ...

    def drop(self, turn: int, names: Sequence[str]) -> None:
        """Forget files that no longer exist; TurnLostError as above."""
        ...

    def lease(self, holder: str, now: Instant, until: Instant) -> bool:
        """Take or keep the right to work on the archive; False while another holds it."""
        ...

    def settle(self) -> None:
        """Return when no writer is left that could still add a row before the last one."""
        ...

    def last_row(self, before: Instant) -> int:
        """Number of the last row that may have been received before an instant; 0 when there is none.

        The very last row of all is never named, so that row numbers only grow.
        """
        ...

    def next_hour(self, before: Instant, fence: Fence) -> Instant | None:
        """The hour of the oldest row that was received before an instant and may move."""
        ...

    def rows(self, hour: Instant, fence: Fence) -> Iterator[list[HotRow]]:
        """The rows of an hour that a fence names, in portions."""
        ...

    def take_out(self, hour: Instant, fence: Fence, limit: int) -> int:
        """Delete rows of an hour that a fence names; how many."""
        ...

    def hot(self, since: Instant, until: Instant) -> Iterator[list[HotRow]]:
        """Hot rows received in a span of time, without those that a file holds already, in portions."""
        ...

    def table(self, name: str, *within: Between) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of one of the store's own tables, all or those within bounds, in portions."""
        ...

    def tally(self, name: str, columns: Sequence[str], *within: Between) -> list[tuple[Any, ...]]:
        """Every combination of values of some columns that a table has within bounds, and how often."""
        ...

    def erase(self, subject: str, until: Instant) -> None:
        """From now on no query shows data of a subject received until then; files are rewritten later."""
        ...

    def erasures(self) -> list[Erasure]:
        """Every erasure, oldest first."""
        ...
