"""Cases: their logs and their current rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, bindparam, delete, func, literal_column, or_, select, update

from hexi.adapters.sql.forget import CHUNK, forget
from hexi.adapters.sql.link import Choice, Upsert, ignoring, replacing
from hexi.adapters.sql.tables import case_log, case_row, fold
from hexi.adapters.sql.work import Work
from hexi.kernel.case import Case, Entry
from hexi.kernel.clock import Instant
from hexi.kernel.ports import CaseFilter, CaseRow

_encode = msgspec.json.Encoder().encode
_read_case = msgspec.json.Decoder(Case).decode

_GET = select(case_row.c.body).where(case_row.c.id == bindparam("id"))
_LOCK = _GET.with_for_update()
_LOCK_MANY = Choice(case_row.c.id, case_row.c.body, locks=True)
_PUT = replacing(case_row)
_APPEND = Upsert(case_log)
_REWRITE = replacing(case_log)
_LOG = (
    select(*(c for c in case_log.c if c.name != "case_id"))
    .where(case_log.c.case_id == bindparam("case_id"))
    .order_by(case_log.c.seq)
)
_IDS = select(case_row.c.id).where(case_row.c.id > bindparam("after"))
_IDS = _IDS.order_by(case_row.c.id).limit(bindparam("most"))
_HOLD_NEW = ignoring(fold)
_HOLD = replacing(fold)
_HOLDER = select(fold.c.case_id, fold.c.until).where(fold.c.key == bindparam("key")).with_for_update()
_HELD_BY = select(fold.c.case_id).where(fold.c.key == bindparam("key"))
_RELEASE = update(fold).where(fold.c.key == bindparam("at_key")).values(until=bindparam("to"))
_PAST = fold.c.until < bindparam("before")
_OLDEST = select(fold.c.key).where(_PAST).order_by(fold.c.until).limit(CHUNK)
_FORGET = delete(fold).where(fold.c.key.in_(_OLDEST))
_ROW = [c for c in case_row.c if c.name not in {"open", "body"}]
_OPEN: ColumnElement[bool] = literal_column("open = 1")
_SHUT: ColumnElement[bool] = literal_column("open = 0")


class SqlCases:
    """``kernel.ports.Cases``. A case read for writing is one object for the whole transaction."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._rows = work.buffer(self._write_rows)
        self._entries = work.buffer(self._write_entries)
        self._loaded: dict[str, Case] = {}
        work.on_undo(self._loaded.clear)

    def get(self, case_id: str) -> Case | None:
        """The current case, locked for this transaction."""
        if not self._work.writing:
            return self._read(case_id)
        case = self._loaded.get(case_id) or self._read(case_id)
        if case is not None:
            self._loaded[case_id] = case
        return case

    def load(self, case_ids: Iterable[str]) -> None:
        """Read cases ahead, so that ``get`` need not ask for each; only in a transaction that writes."""
        wanted = [i for i in dict.fromkeys(case_ids) if i not in self._loaded and not self._rows.holds(i)]
        for (body,) in self._work.link.choose(_LOCK_MANY, sorted(wanted)):
            case = _read_case(body)
            self._loaded[case.id] = case

    def _read(self, case_id: str) -> Case | None:
        owed = self._rows.get(case_id)
        if owed is not None:
            return _read_case(owed[-1])
        body = self._work.link.value(_LOCK if self._work.writing else _GET, id=case_id)
        return None if body is None else _read_case(body)

    def fold(self, key: str, case_id: str, now: Instant) -> str:
        """The case that holds a key: an open one, one closed within its time, else ``case_id``."""
        if self._work.write(_HOLD_NEW, key=key, case_id=case_id, until=None).rowcount == 1:
            return case_id
        found = self._work.link.run(_HOLDER, key=key).fetchone()
        assert found
        holder, until = found
        if until is None or until >= now:
            return str(holder)
        self.hold_fold(key, case_id)
        return case_id

    def holder(self, key: str) -> str | None:
        """The case that holds a key now, open or not long closed."""
        held = self._work.link.value(_HELD_BY, key=key)
        return None if held is None else str(held)

    def release_fold(self, key: str, until: Instant) -> None:
        """The case of the key has closed; signals fold into it until an instant."""
        self._work.write(_RELEASE, at_key=key, to=until)

    def hold_fold(self, key: str, case_id: str) -> None:
        """The case is open again and holds the key."""
        self._work.write(_HOLD, key=key, case_id=case_id, until=None)

    def forget_folds(self, until_before: Instant) -> int:
        """Drop keys into which nothing folds since an instant, the oldest 20,000 at most; says how many."""
        return forget(self._work, _FORGET, until_before)

    def save(self, case: Case, entries: Sequence[Entry]) -> None:
        """Append new entries and bring the current row to their fold."""
        for e in entries:
            self._entries[(case.id, e.seq)] = _entry_row(case.id, e)
        self.replace(case)

    def replace(self, case: Case) -> None:
        """Write the current row anew from a rebuilt case."""
        self._rows[case.id] = _row(case)
        self._loaded[case.id] = case

    def redact(self, case: Case, entries: Sequence[Entry]) -> None:
        """Write logged entries anew without personal data, and the row that follows; for erasure alone."""
        self._work.flush(self._entries)
        rows = [_entry_row(case.id, entry) for entry in entries]
        self._work.write_many(_REWRITE, rows)
        self.replace(case)

    def log(self, case_id: str) -> list[Entry]:
        """The whole log of a case, oldest first."""
        self._work.flush(self._entries)
        return [
            Entry(seq=seq, at=at, kind=kind, by=by, via=via, body=msgspec.json.decode(body))
            for seq, at, kind, by, via, body in self._work.link.run(_LOG, case_id=case_id)
        ]

    def find(self, wanted: CaseFilter, limit: int, offset: int = 0) -> list[CaseRow]:
        """Rows: open ones by time left and severity, else newest first."""
        self._work.flush(self._rows)
        found: list[CaseRow] = []
        if wanted.open is not False:
            found = self._page(_open_first(wanted), limit, offset)
        if wanted.open is not True and len(found) < limit:
            before = 0 if wanted.open is False else self._count(wanted, _OPEN)
            found += self._page(_newest_first(wanted), limit - len(found), max(0, offset - before))
        return found

    def _page(self, query: Select[Any], limit: int, offset: int) -> list[CaseRow]:
        return [_case_row(row) for row in self._work.link.query(query.limit(limit).offset(offset))]

    def count(self, wanted: CaseFilter) -> int:
        """How many cases there are."""
        self._work.flush(self._rows)
        state = {None: (), True: (_OPEN,), False: (_SHUT,)}[wanted.open]
        return self._count(wanted, *state)

    def _count(self, wanted: CaseFilter, *state: ColumnElement[Any]) -> int:
        query = select(func.count()).select_from(case_row).where(*_conditions(wanted), *state)
        [(count,)] = self._work.link.query(query)
        return int(count)

    def ids(self, after: str, limit: int) -> list[str]:
        """Case ids in order, for walking all of them."""
        self._work.flush(self._rows)
        return [id_ for (id_,) in self._work.link.run(_IDS, after=after, most=limit)]

    def _write_rows(self, owed: dict[str, tuple[Any, ...]]) -> None:
        self._work.link.many(_PUT, list(owed.values()))

    def _write_entries(self, owed: dict[tuple[str, int], tuple[Any, ...]]) -> None:
        self._work.link.many(_APPEND, list(owed.values()))


def _open_first(wanted: CaseFilter) -> Select[Any]:
    c = case_row.c
    order = (c.next_due.asc().nulls_last(), c.severity, c.opened_at.desc(), c.id)
    return select(*_ROW).where(_OPEN, *_conditions(wanted)).order_by(*order)


def _newest_first(wanted: CaseFilter) -> Select[Any]:
    c = case_row.c
    return select(*_ROW).where(_SHUT, *_conditions(wanted)).order_by(c.opened_at.desc(), c.id)


def _conditions(wanted: CaseFilter) -> list[ColumnElement[bool]]:
    c = case_row.c
    equal = ("street", "community", "scenario", "subject", "device")
    found = [c[name] == getattr(wanted, name) for name in equal if getattr(wanted, name) is not None]
    if wanted.since is not None:
        found.append(c.opened_at >= wanted.since)
    if wanted.until is not None:
        found.append(c.opened_at < wanted.until)
    if wanted.text:
        columns = (c.id, c.subject, c.scenario)
        found.append(or_(*(column.icontains(wanted.text, autoescape=True) for column in columns)))
    return found


def _entry_row(case_id: str, e: Entry) -> tuple[Any, ...]:
    return (case_id, e.seq, e.at, e.kind, e.by, e.via, _encode(e.body).decode())


def _row(case: Case) -> tuple[Any, ...]:
    place, point = case.place, case.place.point
    return (
        case.id,
        case.version,
        case.state.value,
        case.severity.rank,
        case.scenario,
        case.matter,
        case.subject,
        case.device,
        place.street,
        place.community,
        place.grid,
        point.lon if point else None,
        point.lat if point else None,
        case.opened_at,
        case.closed_at,
        case.next_due,
        int(case.drill),
        int(case.is_open),
        _encode(case).decode(),
    )


def _case_row(row: Sequence[Any]) -> CaseRow:
    values = dict(zip((c.name for c in _ROW), row, strict=True))
    return CaseRow(**values | {"drill": bool(values["drill"])})
