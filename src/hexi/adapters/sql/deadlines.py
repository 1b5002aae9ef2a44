"""What falls due."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, func, select

from hexi.adapters.sql.link import Removal, replacing
from hexi.adapters.sql.tables import deadline
from hexi.adapters.sql.work import Work
from hexi.kernel.clock import Instant
from hexi.kernel.deadline import Deadline, DeadlineKind

_encode = msgspec.json.Encoder().encode

_ARM = replacing(deadline)
_CANCEL = Removal(deadline.c.key)
_ALL = tuple(deadline.c)
_DUE = (
    select(deadline.c.key)
    .where(deadline.c.due_at <= bindparam("now"))
    .order_by(deadline.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    .cte("due")
)
_CLAIM = delete(deadline).where(deadline.c.key.in_(select(_DUE.c.key))).returning(*_ALL)
_OF_CASE = select(*_ALL).where(deadline.c.case_id == bindparam("case_id")).order_by(deadline.c.due_at)
_ONE = select(*_ALL).where(deadline.c.key == bindparam("key"))
_SAYING = select(deadline.c.key).where(
    deadline.c.kind == bindparam("kind"), deadline.c.body.contains(bindparam("words"))
)
_PENDING = select(func.count()).select_from(deadline)
_FIRST = select(func.min(deadline.c.due_at))


class SqlDeadlines:
    """``kernel.ports.Deadlines``."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._owed = work.buffer(self._write)

    def arm(self, deadlines: Iterable[Deadline]) -> None:
        """Set deadlines; one with a known key moves."""
        for d in deadlines:
            body = _encode(d.body).decode()
            self._owed[d.key] = (d.key, d.due_at, d.kind.value, d.case_id, body)

    def cancel(self, keys: Iterable[str]) -> None:
        """Drop deadlines by key; unknown keys are fine."""
        for key in keys:
            self._owed[key] = None

    def claim(self, now: Instant, limit: int) -> list[Deadline]:
        """Take out what is due, earliest first; another process never takes the same."""
        self._work.flush(self._owed)
        taken = [_deadline(row) for row in self._work.write(_CLAIM, now=now, most=limit)]
        return sorted(taken, key=lambda d: (d.due_at, d.key))

    def get(self, key: str) -> Deadline | None:
        """What is pending under a key."""
        row = self._owed.get(key) if self._owed.holds(key) else self._work.link.run(_ONE, key=key).fetchone()
        return _deadline(row) if row else None

    def of_case(self, case_id: str) -> list[Deadline]:
        """What is pending for a case."""
        self._work.flush(self._owed)
        return [_deadline(row) for row in self._work.link.run(_OF_CASE, case_id=case_id)]

    def pending(self) -> int:
        """How many there are."""
        self._work.flush(self._owed)
        return int(self._work.link.value(_PENDING))

    def next_due(self) -> Instant | None:
        """When the earliest falls due."""
        self._work.flush(self._owed)
        first = self._work.link.value(_FIRST)
        return None if first is None else int(first)

    def saying(self, kind: DeadlineKind, words: str) -> list[str]:
        """Keys of a kind whose body, as compact JSON, contains some words."""
        self._work.flush(self._owed)
        return [key for (key,) in self._work.link.run(_SAYING, kind=kind.value, words=words)]

    def _write(self, owed: dict[str, tuple[Any, ...] | None]) -> None:
        cancelled = [(key,) for key, row in owed.items() if row is None]
        armed = [row for row in owed.values() if row is not None]
        if cancelled:
            self._work.link.many(_CANCEL, cancelled)
        if armed:
            self._work.link.many(_ARM, armed)


def _deadline(row: Sequence[Any]) -> Deadline:
    key, due_at, kind, case_id, body = row
    return Deadline(
        key=key, due_at=due_at, kind=DeadlineKind(kind), case_id=case_id, body=msgspec.json.decode(body)
    )
