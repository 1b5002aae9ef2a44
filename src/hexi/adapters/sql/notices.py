"""The outbox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, ColumnElement, bindparam, literal_column, or_, select, update
from sqlalchemy.ext.compiler import compiles

from hexi.adapters.sql.link import Change, Choice, ignoring
from hexi.adapters.sql.tables import case_row, notice, process
from hexi.adapters.sql.work import Work
from hexi.kernel.clock import Instant
from hexi.kernel.process import DEAD_AFTER
from hexi.kernel.response import Notice, NoticeState
from hexi.kernel.signal import Lane

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Notice).decode
_LANES = {lane: number for number, lane in enumerate(Lane)}


class _DatabaseNow(ColumnElement[int]):
    """The database's present, in milliseconds UTC."""

    inherit_cache = True
    type = BigInteger()


@compiles(_DatabaseNow, "postgresql")
def _postgresql_now(*_: object, **__: object) -> str:
    return "CAST(EXTRACT(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(_DatabaseNow, "sqlite")
def _sqlite_now(*_: object, **__: object) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


_ADD = ignoring(notice, skip=("seq",))
_GET = select(notice.c.body).where(notice.c.id == bindparam("id"))
_GET_MANY = Choice(notice.c.id, notice.c.body)
_WAITING: ColumnElement[bool] = literal_column("state = 'waiting'")
_UPDATE = Change(
    notice.c.id, notice.c.state, notice.c.lane, notice.c.next_at, notice.c.body, clears=(notice.c.owner,)
)
_OF_CASE = select(notice.c.body).where(notice.c.case_id == bindparam("case_id")).order_by(notice.c.seq)
_OF_RECIPIENT = (
    select(notice.c.body)
    .where(notice.c.recipient == bindparam("ref"))
    .order_by(notice.c.seq.desc())
    .limit(bindparam("most"))
)
_DUE = (
    select(notice.c.body)
    .where(_WAITING, notice.c.next_at <= bindparam("now"))
    .order_by(notice.c.lane, notice.c.next_at, notice.c.seq)
    .limit(bindparam("most"))
)
_ASKED = 100
"""Notices that one statement asks after."""
_STILL = select(notice.c.id).where(
    _WAITING, notice.c.id.in_([bindparam(f"id_{number}") for number in range(_ASKED)])
)
_WAITING_OF = _OF_CASE.where(_WAITING)
_LIVING = select(process.c.id).where(
    or_(process.c.seen_at >= bindparam("alive_since"), process.c.seen_at > _DatabaseNow() - DEAD_AFTER)
)
"""By the database's own time too: once its clock was set back, heartbeats lie behind what we last saw."""
_FREE = (
    select(notice.c.seq)
    .where(
        _WAITING,
        notice.c.next_at <= bindparam("now"),
        or_(notice.c.owner.is_(None), notice.c.owner.not_in(_LIVING)),
    )
    .order_by(notice.c.lane, notice.c.next_at, notice.c.seq)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    .cte("free")
)
_CLAIM = (
    update(notice)
    .where(notice.c.seq.in_(select(_FREE.c.seq)))
    .values(owner=bindparam("to_owner"))
    .returning(notice.c.lane, notice.c.next_at, notice.c.seq, notice.c.body)
)
_HELD = (
    select(notice.c.body)
    .where(_WAITING, notice.c.owner == bindparam("by"), notice.c.next_at <= bindparam("now"))
    .order_by(notice.c.lane, notice.c.next_at, notice.c.seq)
)
_ENDED = select(notice.c.body).join(case_row, case_row.c.id == notice.c.case_id)
_ENDED = _ENDED.where(literal_column("open = 0"), notice.c.state != NoticeState.WAITING.value)
_ENDED_OF = {
    "case_id": _ENDED.where(notice.c.case_id == bindparam("case_id")),
    "recipient": _ENDED.where(notice.c.recipient == bindparam("recipient")),
}


class SqlNotices:
    """``kernel.ports.Notices``. The whole notice is one JSON text beside the columns it is found by."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._added = work.buffer(self._write_added)
        self._changed = work.buffer(self._write_changed)
        self._ahead: dict[str, Notice] = {}
        """As the table has them."""
        work.on_undo(self._ahead.clear)

    def add(self, notice: Notice, owner: str | None = None) -> None:
        """Owe a notice, held by the process that will send it, if any; the same id again changes nothing."""
        if not self._added.holds(notice.id):
            self._added[notice.id] = (notice, owner)

    def get(self, notice_id: str) -> Notice | None:
        """One notice."""
        changed = self._changed.get(notice_id)
        if changed:
            return changed
        if notice_id in self._ahead:
            return self._ahead[notice_id]
        self._work.flush(self._added)
        body = self._work.link.value(_GET, id=notice_id)
        return None if body is None else _decode(body)

    def load(self, notice_ids: Iterable[str]) -> list[Notice]:
        """Read notices ahead, so that ``get`` need not ask for each; those that are there."""
        self._work.flush(self._added, self._changed)
        wanted = list(dict.fromkeys(notice_ids))
        found = [_decode(body) for (body,) in self._work.link.choose(_GET_MANY, wanted)]
        self._ahead |= {n.id: n for n in found}
        return found

    def update(self, notice: Notice) -> None:
        """Store the notice's new state; no process holds it any more."""
        self._changed[notice.id] = notice

    def of_case(self, case_id: str) -> list[Notice]:
        """All notices of a case, oldest first."""
        return self._read(_OF_CASE, case_id=case_id)

    def of_recipient(self, ref: str, limit: int) -> list[Notice]:
        """The latest notices to one recipient."""
        return self._read(_OF_RECIPIENT, ref=ref, most=limit)

    def waiting(self, now: Instant, limit: int) -> list[Notice]:
        """What is owed by now, SOS first: after a start, and for retries."""
        return self._read(_DUE, now=now, most=limit)

    def claim(self, owner: str, now: Instant, limit: int, alive_since: Instant | None = None) -> list[Notice]:
        """Hold for a process what is owed by now and no living process holds, SOS first.

        Two processes never hold the same. A heartbeat as late as ``alive_since`` is of one that lives;
        without it that follows from ``now``.
        """
        self._work.flush(self._added, self._changed)
        since = now - DEAD_AFTER + 1 if alive_since is None else alive_since
        told = {"to_owner": owner, "now": now, "alive_since": since, "most": limit}
        claimed = sorted(tuple(row) for row in self._work.write(_CLAIM, **told))
        return [_decode(body) for *_, body in claimed]

    def held(self, owner: str, now: Instant) -> list[Notice]:
        """What a process holds and should be sending by now, SOS first."""
        return self._read(_HELD, by=owner, now=now)

    def still_waiting(self, ids: Sequence[str]) -> set[str]:
        """Those of some notices that are still to be sent."""
        self._work.flush(self._added, self._changed)
        found: set[str] = set()
        for start in range(0, len(ids), _ASKED):
            some = [*ids[start : start + _ASKED], *[""] * _ASKED][:_ASKED]
            values = {f"id_{number}": identity for number, identity in enumerate(some)}
            found.update(identity for (identity,) in self._work.link.run(_STILL, **values))
        return found

    def drop(self, case_id: str, recipients: Sequence[str] | None = None) -> int:
        """Stop what still waits for a case; says how many."""
        waiting = self._read(_WAITING_OF, case_id=case_id)
        dropped = [n for n in waiting if recipients is None or n.recipient in recipients]
        for n in dropped:
            self.update(msgspec.structs.replace(n, state=NoticeState.DROPPED))
        return len(dropped)

    def erase(self, *, case_id: str | None = None, recipient: str | None = None) -> int:
        """Blank words, names and addresses in the notices of a case or to a recipient.

        Only of cases that have ended, and only what no longer waits; says how many.
        """
        self._work.flush()
        given = {"case_id": case_id, "recipient": recipient}
        found = {n.id: n for key, of in given.items() if of for n in self._read(_ENDED_OF[key], **{key: of})}
        told = [n for n in found.values() if n.name or n.address or n.text]
        for n in told:
            self.update(msgspec.structs.replace(n, name="", address="", text=""))
        return len(told)

    def _read(self, statement: Any, **values: Any) -> list[Notice]:
        self._work.flush(self._added, self._changed)
        return [_decode(body) for (body,) in self._work.link.run(statement, **values)]

    def _write_added(self, owed: dict[str, tuple[Notice, str | None]]) -> None:
        rows = [
            (n.id, n.case_id, n.recipient, n.state.value, _LANES[n.lane], n.next_at, _encode(n).decode(), by)
            for n, by in owed.values()
        ]
        self._work.link.many(_ADD, rows)

    def _write_changed(self, owed: dict[str, Notice]) -> None:
        rows = [(n.id, n.state.value, _LANES[n.lane], n.next_at, _encode(n).decode()) for n in owed.values()]
        self._work.link.many(_UPDATE, rows)
        for notice_id in owed:
            self._ahead.pop(notice_id, None)
