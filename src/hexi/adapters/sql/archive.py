"""What is recorded of the archive, and the hot rows on their way into it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    not_,
    or_,
    select,
    text,
    update,
)

from hexi.adapters.sql.link import ignoring, replacing
from hexi.adapters.sql.tables import archive_erasure, archive_file, metadata, setting, signal
from hexi.adapters.sql.work import Work
from hexi.kernel.archive import SLACK, ArchiveFile, Between, Erasure, Fence, FileState, HotRow, TurnLostError
from hexi.kernel.clock import HOUR, Instant

PORTION = 50_000
"""Rows fetched at once; what a transaction that copies them holds in memory."""
_TURN, _LEASE = "archive.turn", "archive.lease"

_BEGIN = ignoring(setting)
_VALUE = select(setting.c.value).where(setting.c.name == bindparam("of"))
_MOVE_ON = (
    update(setting)
    .where(setting.c.name == bindparam("of"), setting.c.value == bindparam("then"))
    .values(value=bindparam("to"))
)
_FILES = select(
    archive_file.c.name,
    archive_file.c.hour,
    archive_file.c.kinds,
    archive_file.c.bytes,
    archive_file.c.sha256,
    archive_file.c.state,
    archive_file.c.written,
    archive_file.c.verified,
    archive_file.c.erased,
    archive_file.c.fence,
    archive_file.c.gone_at,
).order_by(archive_file.c.hour, archive_file.c.name)
_RECORD = replacing(archive_file)
_DROP = delete(archive_file).where(archive_file.c.name == bindparam("of"))
_SETTLE = text("LOCK TABLE signal IN SHARE MODE")
_ALONE = text("LOCK TABLE archive_erasure IN SHARE ROW EXCLUSIVE MODE")
_ERASE = insert(archive_erasure).values(subject=bindparam("about"), until=bindparam("upto"))
_ERASURES = select(archive_erasure).order_by(archive_erasure.c.id)
_ENDS = select(
    select(func.min(signal.c.seq)).scalar_subquery(), select(func.max(signal.c.seq)).scalar_subquery()
)
"""Two questions: SQLite answers one end from the index, and both at once only by reading every row."""
_FROM = (
    select(signal.c.seq, signal.c.received)
    .where(signal.c.seq >= bindparam("first"))
    .order_by(signal.c.seq)
    .limit(1)
)
_HOT = (
    signal.c.source,
    signal.c.id,
    signal.c.kind,
    signal.c.subject,
    signal.c.received,
    signal.c.time,
    signal.c.flags,
    signal.c.data,
    signal.c.case_id,
)
_COLUMNS = [c.name for c in archive_file.c]


class SqlArchive:
    """``kernel.archive.Archive``."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def files(self) -> list[ArchiveFile]:
        """Every recorded file, by hour and name."""
        return [_file(row) for row in self._work.link.run(_FILES)]

    def turn(self) -> int:
        """Grows with every change of what is recorded."""
        return int(self._work.link.value(_VALUE, of=_TURN) or 0)

    def record(self, turn: int, files: Sequence[ArchiveFile]) -> None:
        """Add files or write them anew; TurnLostError when the turn has passed since it was read."""
        self._move_on(turn)
        self._work.write_many(_RECORD, [_row(file) for file in files])

    def drop(self, turn: int, names: Sequence[str]) -> None:
        """Forget files that no longer exist; TurnLostError as above."""
        self._move_on(turn)
        for name in names:
            self._work.write(_DROP, of=name)

    def _move_on(self, turn: int) -> None:
        if not self._swap(_TURN, "0" if turn == 0 else str(turn), str(turn + 1)):
            raise TurnLostError("another process has changed the archive")

    def _swap(self, name: str, then: str, to: str) -> bool:
        """Set a fact that still has its former value; False when it has another."""
        self._work.write_many(_BEGIN, [(name, then)])
        return self._work.write(_MOVE_ON, of=name, then=then, to=to).rowcount == 1

    def lease(self, holder: str, now: Instant, until: Instant) -> bool:
        """Take or keep the right to work on the archive; False while another holds it."""
        held = self._work.link.value(_VALUE, of=_LEASE) or "0 nobody"
        ends, _, whose = held.partition(" ")
        if whose != holder and int(ends) > now:
            return False
        return self._swap(_LEASE, held, f"{until} {holder}")

    def settle(self) -> None:
        """Return when no writer is left that could still add a row before the last one."""
        if self._work.link.postgresql:
            self._work.write(_SETTLE)

    def last_row(self, before: Instant) -> int:
        """Number of the last row that may have been received before an instant; 0 when there is none."""
        [(first, last)] = self._work.link.run(_ENDS)
        if first is None:
            return 0
        low, high = int(first), int(last)
        while low < high:
            middle = (low + high) // 2
            found = self._work.link.run(_FROM, first=middle).fetchone()
            assert found is not None
            if found[1] < before + SLACK:
                low = int(found[0]) + 1
            else:
                high = middle
        return min(low, int(last) - 1)

    def next_hour(self, before: Instant, fence: Fence) -> Instant | None:
        """The hour of the oldest row that was received before an instant and may move."""
        query = select(signal.c.received).where(signal.c.received < before, *_within(fence))
        row = self._work.link.query(query.order_by(signal.c.seq).limit(1)).fetchone()
        return row[0] // HOUR * HOUR if row else None

    def rows(self, hour: Instant, fence: Fence) -> Iterator[list[HotRow]]:
        """The rows of an hour that a fence names, in portions."""
        return self._portions(_of_hour(hour), *_within(fence))

    def take_out(self, hour: Instant, fence: Fence, limit: int) -> int:
        """Delete rows of an hour that a fence names; how many."""
        some = select(signal.c.seq).where(_of_hour(hour), *_within(fence)).order_by(signal.c.seq).limit(limit)
        self._work.settle()
        return self._work.link.query(delete(signal).where(signal.c.seq.in_(some), _of_hour(hour))).rowcount

    def hot(self, since: Instant, until: Instant) -> Iterator[list[HotRow]]:
        """Hot rows received in a span of time, without those that a file holds already, in portions."""
        moved = [
            not_(and_(_of_hour(file.hour), *_within(file.fence)))
            for file in self.files()
            if file.state is FileState.MOVING and file.fence
        ]
        return self._portions(signal.c.received >= since, signal.c.received < until, *moved)

    def _portions(self, *wanted: ColumnElement[bool]) -> Iterator[list[HotRow]]:
        query = select(signal.c.seq, *_HOT).where(*wanted).order_by(signal.c.seq).limit(PORTION)
        after = 0
        while True:
            found = self._work.link.query(query.where(signal.c.seq > after)).fetchall()
            if found:
                after = found[-1][0]
                yield [_hot(row) for row in found]
            if len(found) < PORTION:
                return

    def table(self, name: str, *within: Between) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of one of the store's own tables, all or those within bounds, in portions."""
        table = metadata.tables[name]
        keys = list(table.primary_key.columns)
        wanted = _bounded(table, within)
        query: Select[Any] = select(table).where(*wanted).order_by(*keys).limit(PORTION)
        places = [list(table.c).index(key) for key in keys]
        last: tuple[Any, ...] | None = None
        while True:
            page = query if last is None else query.where(_after(keys, [last[place] for place in places]))
            found = self._work.link.query(page).fetchall()
            if found:
                last = found[-1]
                yield found
            if len(found) < PORTION:
                return

    def tally(self, name: str, columns: Sequence[str], *within: Between) -> list[tuple[Any, ...]]:
        """Every combination of values of some columns that a table has within bounds, and how often."""
        table = metadata.tables[name]
        wanted = _bounded(table, within)
        grouped = [table.c[column] for column in columns]
        return self._work.link.query(
            select(*grouped, func.count()).where(*wanted).group_by(*grouped)
        ).fetchall()

    def erase(self, subject: str, until: Instant) -> None:
        """From now on no query shows data of a subject received until then; files are rewritten later."""
        if self._work.link.postgresql:
            self._work.write(_ALONE)  # numbers in the order of the commits
        self._work.write(_ERASE, about=subject, upto=until)

    def erasures(self) -> list[Erasure]:
        """Every erasure, oldest first."""
        return [Erasure(id=row[0], subject=row[1], until=row[2]) for row in self._work.link.run(_ERASURES)]


def _of_hour(hour: Instant) -> ColumnElement[bool]:
    return and_(signal.c.received >= hour, signal.c.received < hour + HOUR)


def _within(fence: Fence) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [signal.c.seq <= fence.upto]
    if not fence.of_cases:
        wanted.append(signal.c.case_id.is_(None))
    if fence.but:
        wanted.append(signal.c.kind.not_in(fence.but))
    return wanted


def _bounded(table: Table, within: Sequence[Between]) -> list[ColumnElement[bool]]:
    """Rows within bounds; PostgreSQL takes no collation after BETWEEN."""
    return [and_(table.c[column] >= least, table.c[column] <= most) for column, least, most in within]


def _after(keys: Sequence[ColumnElement[Any]], values: Sequence[Any]) -> ColumnElement[bool]:
    """Rows later than these values in the order of some columns."""
    later = []
    for number, key in enumerate(keys):
        same = [k == v for k, v in zip(keys[:number], values[:number], strict=True)]
        later.append(and_(*same, key > values[number]))
    return or_(*later)


def _hot(row: Sequence[Any]) -> HotRow:
    return row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9]


def _row(file: ArchiveFile) -> tuple[Any, ...]:
    values = msgspec.structs.asdict(file)
    values["state"] = file.state.value
    values["kinds"] = msgspec.json.encode(file.kinds, order="deterministic").decode()
    values["fence"] = msgspec.json.encode(file.fence).decode() if file.fence else None
    return tuple(values[name] for name in _COLUMNS)


_KINDS, _FENCE = msgspec.json.Decoder(dict[str, int]), msgspec.json.Decoder(Fence)
_STATES = {state.value: state for state in FileState}


def _file(row: Sequence[Any]) -> ArchiveFile:
    """A recorded file; years of them are read by every query, so nothing is made twice here."""
    name, hour, kinds, size, sha256, state, written, verified, erased, fence, gone_at = row
    return ArchiveFile(
        name=name,
        hour=hour,
        kinds=_KINDS.decode(kinds),
        bytes=size,
        sha256=sha256,
        state=_STATES[state],
        written=written,
        verified=verified,
        erased=erased,
        fence=_FENCE.decode(fence) if fence else None,
        gone_at=gone_at,
    )
