"""The hot signals and the identities that were seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Select, bindparam, delete, func, literal_column, not_, select, text, update

from hexi.adapters.sql.forget import CHUNK, forget
from hexi.adapters.sql.link import Upsert, ignoring
from hexi.adapters.sql.tables import seen, signal
from hexi.adapters.sql.work import Work
from hexi.kernel.clock import Instant
from hexi.kernel.ports import Known
from hexi.kernel.signal import Flag, Signal, digest_of, encode_data

Key = tuple[str, str]

_SEE = ignoring(seen, skip=("seq",))
_SEE_PG = text(
    "INSERT INTO seen (source, id, digest, received)"
    " SELECT * FROM unnest(CAST(:source AS text[]), CAST(:id AS text[]),"
    " CAST(:digest AS bigint[]), CAST(:received AS bigint[]))"
    " ON CONFLICT DO NOTHING RETURNING source, id"
)
_FRESH = select(seen.c.source, seen.c.id).order_by(seen.c.seq.desc()).limit(bindparam("fresh"))
_DIGEST = select(seen.c.digest).where(seen.c.source == bindparam("source"), seen.c.id == bindparam("id"))
_ADD = Upsert(signal, skip=("seq",))
_CASE_OF = (
    select(signal.c.case_id)
    .where(
        signal.c.source == bindparam("source"), signal.c.id == bindparam("id"), signal.c.case_id.is_not(None)
    )
    .order_by(signal.c.seq.desc())
    .limit(1)
)
_ERASE = update(signal).where(signal.c.subject == bindparam("of"), signal.c.data != "{}").values(data="{}")
_OLDEST = select(seen.c.seq).order_by(seen.c.seq).limit(CHUNK)
_FORGET = delete(seen).where(seen.c.seq.in_(_OLDEST), seen.c.received < bindparam("before"))


_WORDS = literal_column("' '").concat(signal.c.flags).concat(literal_column("' '"))
_IS_DRILL = _WORDS.contains(f" {Flag.DRILL} ")


@lru_cache(maxsize=32)
def _count(kinds: int, *, drill: bool) -> Select[int]:
    wanted = signal.c.kind.in_([bindparam(f"kind_{number}") for number in range(kinds)])
    found = select(func.count()).where(signal.c.subject == bindparam("subject"), wanted)
    found = found.where(_IS_DRILL if drill else not_(_IS_DRILL))
    return found.where(signal.c.received >= bindparam("since"))


_COLUMNS = (
    signal.c.id,
    signal.c.source,
    signal.c.kind,
    signal.c.received,
    signal.c.time,
    signal.c.subject,
    signal.c.data,
    signal.c.flags,
    signal.c.case_id,
)
_RECENT = select(*_COLUMNS).order_by(signal.c.seq.desc()).limit(bindparam("most"))
_RECENT_OF = (
    select(*_COLUMNS)
    .where(signal.c.subject == bindparam("subject"))
    .order_by(signal.c.received.desc(), signal.c.seq.desc())
    .limit(bindparam("most"))
)
_UNMATCHED = _RECENT.where(
    literal_column("flags <> ''"), signal.c.flags.contains("unknown_", autoescape=True)
)


class SqlSignals:
    """``kernel.ports.Signals``."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._added = work.buffer(self._write)
        self._claimed: dict[int, str] = {}
        """The encoded data of claimed signals by the identity of their data."""
        self._alive: list[Signal] = []
        """The signals that keep those identities theirs."""
        self._number = 0

    def claim(self, signals: Sequence[Signal]) -> list[Known]:
        """Remember the identities, and say of each whether it is new. Order is kept."""
        self._alive += signals
        rows = [self._seen_row(s) for s in signals]
        fresh = self._see_pg(rows) if self._work.link.postgresql else self._see(rows)
        if fresh is None:
            return [Known.NEW] * len(rows)
        return self._judge(rows, fresh)

    def _seen_row(self, s: Signal) -> tuple[str, str, int, Instant]:
        data = encode_data(s.data)
        self._claimed[id(s.data)] = data.decode()
        return s.source, s.id, digest_of(s, data), s.received

    def _see(self, rows: list[tuple[str, str, int, Instant]]) -> set[Key] | None:
        """The keys that were fresh; None when all were. Ours are the last rows: nobody else writes."""
        changed = self._work.write_many(_SEE, rows)
        if changed == len(rows):
            return None
        return {(source, id_) for source, id_ in self._work.link.run(_FRESH, fresh=changed)}

    def _see_pg(self, rows: list[tuple[str, str, int, Instant]]) -> set[Key] | None:
        """In the order of the keys, so that two processes never wait for each other in a circle."""
        ordered = sorted(rows)
        columns: list[list[Any]] = [list(column) for column in zip(*ordered, strict=True)] or [[]] * 4
        found = self._work.write(
            _SEE_PG, source=columns[0], id=columns[1], digest=columns[2], received=columns[3]
        )
        fresh = {(source, id_) for source, id_ in found}
        return None if len(fresh) == len(rows) else fresh

    def _judge(self, rows: Iterable[tuple[str, str, int, Instant]], fresh: set[Key]) -> list[Known]:
        first: dict[Key, int] = {}
        judged = []
        for source, id_, digest, _ in rows:
            key = (source, id_)
            if key in fresh and key not in first:
                judged.append(Known.NEW)
                first[key] = digest
                continue
            if key not in first:
                first[key] = self._work.link.value(_DIGEST, source=source, id=id_)
            judged.append(Known.REPEAT if first[key] == digest else Known.REUSED)
        return judged

    def add(self, signal: Signal, case_id: str | None) -> None:
        """Keep a claimed signal, with the case it went to."""
        data = self._claimed.get(id(signal.data)) or encode_data(signal.data).decode()
        self._number += 1
        self._added[self._number] = (
            signal.source,
            signal.id,
            signal.kind,
            signal.subject,
            signal.received,
            signal.time,
            " ".join(signal.flags) if signal.flags else "",
            data,
            case_id,
        )

    def _write(self, owed: dict[int, tuple[Any, ...]]) -> None:
        self._work.link.many(_ADD, list(owed.values()))

    def case_of(self, key: Key) -> str | None:
        """The case an earlier signal went to."""
        self._work.flush(self._added)
        case_id: str | None = self._work.link.value(_CASE_OF, source=key[0], id=key[1])
        return case_id

    def count(self, kinds: Sequence[str], subject: str, since: Instant, *, drill: bool = False) -> int:
        """How many signals of some kinds one subject has sent since an instant, this transaction included.

        Those of drills, or those that are none: neither adds to the other's number.
        """
        self._work.flush(self._added)
        values = {f"kind_{number}": kind for number, kind in enumerate(kinds)}
        return int(
            self._work.link.value(_count(len(kinds), drill=drill), subject=subject, since=since, **values)
        )

    def recent(self, subject: str | None, limit: int) -> list[tuple[Signal, str | None]]:
        """The latest signals, of one subject or of all, newest first, with their cases."""
        self._work.flush(self._added)
        if subject is None:
            found = self._work.link.run(_RECENT, most=limit)
        else:
            found = self._work.link.run(_RECENT_OF, subject=subject, most=limit)
        return [(_signal(row), row[-1]) for row in found]

    def unmatched(self, limit: int) -> list[Signal]:
        """The latest signals of unknown kinds, persons or devices."""
        self._work.flush(self._added)
        return [_signal(row) for row in self._work.link.run(_UNMATCHED, most=limit)]

    def erase(self, subject: str) -> int:
        """Blank the data of the kept signals about a subject; their identity stays. Says how many."""
        self._work.flush(self._added)
        return self._work.write(_ERASE, of=subject).rowcount

    def forget(self, seen_before: Instant) -> int:
        """Drop identities older than the horizon, the oldest 20,000 at most; says how many."""
        return forget(self._work, _FORGET, seen_before)


def _signal(row: Sequence[Any]) -> Signal:
    id_, source, kind, received, time, subject, data, flags, _ = row
    return Signal(
        id=id_,
        source=source,
        kind=kind,
        received=received,
        time=time,
        subject=subject,
        data=msgspec.json.decode(data),
        flags=tuple(flags.split()),
    )
