"""What doctor and metrics ask the tables that no other part of the platform needs to know."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
from sqlalchemy import bindparam, func, select
from sqlalchemy.engine import make_url

from hexi.adapters.sql import moved
from hexi.adapters.sql.schema import Standing, standing
from hexi.adapters.sql.store import connect, in_our_words
from hexi.adapters.sql.tables import deadline, notice, signal
from hexi.adapters.sql.transaction import SqlTransaction
from hexi.kernel.clock import Instant
from hexi.kernel.response import Notice, NoticeState

_OVERDUE = select(func.count()).select_from(deadline).where(deadline.c.due_at < bindparam("before"))
_LATEST = select(notice.c.body).order_by(notice.c.seq.desc()).limit(bindparam("most"))
_OLDEST = select(signal.c.received).where(signal.c.case_id.is_(None)).order_by(signal.c.seq).limit(1)


def stands_at(url: str) -> Standing:
    """Where a database stands, without making or changing it.

    StoreError when it cannot be reached, MovedError when it is closed.
    """
    address = make_url(url)
    file = address.database if address.get_backend_name() == "sqlite" else None
    if file and not Path(file).exists():
        return Standing(None)
    writing, reading = connect(url)
    try:
        with in_our_words(reading), reading.connect() as connection:
            moved.refuse(connection)
            return standing(connection)
    finally:
        reading.dispose()
        writing.dispose()


def overdue(tx: SqlTransaction, before: Instant) -> int:
    """How many deadlines fell due before an instant and still wait."""
    return int(tx.link.value(_OVERDUE, before=before) or 0)


def oldest_signal(tx: SqlTransaction) -> Instant | None:
    """When the oldest hot signal that went to no case was received."""
    at: Instant | None = tx.link.value(_OLDEST)
    return at


def attempts(tx: SqlTransaction, since: Instant, most: int = 500) -> dict[str, Counter[bool]]:
    """Of each way's latest notices owed since an instant: how many failed, or wait after a failure."""
    found: dict[str, Counter[bool]] = {}
    for (body,) in tx.link.run(_LATEST, most=most):
        told = msgspec.json.decode(body, type=Notice)
        if told.t0 >= since and (told.state is not NoticeState.WAITING or told.attempts):
            failed = told.state is NoticeState.FAILED or told.error is not None
            found.setdefault(told.way, Counter())[failed] += 1
    return found
