"""The partitions of the signals on PostgreSQL: one for each day, made ahead, dropped whole.

A day is one of UTC: the archive keeps hours of UTC, so a day is 24 of them wherever the district is. What is
received outside every partition goes to ``signal_default``: nothing is ever refused. What the builds
before partitions wrote is ``signal_before``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from hexi.adapters.sql import online
from hexi.kernel.clock import DAY, Instant

AHEAD = 3
"""Days made after the present one: a platform may be left alone over a weekend."""
MOST = 100_000
"""Rows that are moved from the default partition to their day at once; a day with more stays there."""
CHUNK = 20_000
"""Rows of a shared partition that one transaction drops."""
PATIENCE = 30.0
"""Seconds that letting go of a day goes on asking for its locks."""
HASTE = 3.0
"""Seconds that making a day does: the next start or look asks again, and nothing is refused meanwhile."""
DEFAULT, BEFORE = "signal_default", "signal_before"

_PARTITIONS = text(
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), c.reltuples::bigint, pg_total_relation_size(c.oid)"
    " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'signal'::regclass"
    " ORDER BY c.relname"
)
_TURN = text("SELECT pg_try_advisory_xact_lock(1751480426)")
_NOW = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
_BOUND = re.compile(r"FROM \((?P<since>MINVALUE|'?-?\d+'?)\) TO \('?(?P<until>-?\d+)'?\)")


class Partition(NamedTuple):
    """A part of the signals, by when they were received; the default partition has no bounds."""

    name: str
    since: Instant | None
    until: Instant | None
    rows: int
    """As the server last counted; -1 before it has."""
    size: int
    """Bytes with its indexes."""

    def covers(self, day: Instant) -> bool:
        """Whether a day's signals go here rather than to the default partition."""
        return self.until is not None and (self.since or -(2**62)) <= day < self.until


class NotArchivedError(Exception):
    """A day whose signals are not all in the archive must not be dropped."""


def day_of(at: Instant) -> Instant:
    """The first instant of a day."""
    return at - at % DAY


def name_of(day: Instant) -> str:
    """The name of a day's own partition."""
    return f"signal_{datetime.fromtimestamp(day / 1000, UTC):%Y%m%d}"


def partitions(connection: Connection) -> list[Partition]:
    """What the signals are made of."""
    return [
        Partition(name, *_bounds(bound), rows, size)
        for name, bound, rows, size in connection.execute(_PARTITIONS)
    ]


def _bounds(said: str) -> tuple[Instant | None, Instant | None]:
    found = _BOUND.search(said)
    if found is None:
        return None, None
    since = found["since"].strip("'")
    return None if since == "MINVALUE" else int(since), int(found["until"])


class Days:
    """The days of one PostgreSQL database; several processes may ask for the same at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def present(self) -> list[Partition]:
        """What there is now."""
        with self._engine.connect() as connection:
            return partitions(connection)

    def make_ahead(self) -> list[str]:
        """The present day, by the database's clock, and the next ones; the names of those that are new."""
        with self._engine.connect() as connection:
            today = day_of(connection.execute(_NOW).scalar_one())
        return self.make(today + n * DAY for n in range(AHEAD + 1))

    def make(self, days: Iterable[Instant]) -> list[str]:
        """Give each of these days a partition of its own; the names of those that are new.

        Writers and readers of a day that has its own are not touched; those of the default partition
        wait for ``online.LOCK_WAIT_MS`` at most.
        """
        with self._engine.connect() as connection:
            there = partitions(connection)
            missing = [day for day in days if not any(p.covers(day) for p in there)]
            connection.rollback()
            return [name_of(day) for day in missing if _made(connection, day)]

    def sweep(self) -> list[str]:
        """Drop the days that are over and empty, their last rows being in the archive; their names.

        Yesterday stays, for signals that are still on their way.
        """
        with self._engine.connect() as connection:
            over = day_of(connection.execute(_NOW).scalar_one()) - DAY
            past = [p for p in partitions(connection) if p.since is not None and p.since < over]
            empty = [p for p in past if not _has_rows(connection, f'"{p.name}"')]
        gone = []
        for one in empty:
            with suppress(NotArchivedError):
                self.drop(one.since or 0, archived=0)
                gone.append(one.name)
        return gone

    def drop(self, day: Instant, archived: int) -> int:
        """Let go of a day of which ``archived`` signals are in the archive; how many rows went.

        NotArchivedError, and nothing is changed, when the day has more or fewer. Its own partition goes
        whole; of one that it shares only its rows.
        """
        with self._engine.connect() as connection:
            own = any(p.name == name_of(day) for p in partitions(connection))
            connection.rollback()
            if own:
                return online.patiently(connection, lambda: _drop(connection, day, archived), PATIENCE)
            return _thin(connection, day, archived)


def _made(connection: Connection, day: Instant) -> bool:
    """Whether the day is new; a day whose locks somebody keeps is left for later."""
    try:
        return online.patiently(connection, lambda: _make(connection, day), HASTE)
    except DBAPIError as error:
        if online.was_locked(error):
            return False
        raise


def _make(connection: Connection, day: Instant) -> bool:
    """One day, with what of it has come to the default partition; False when it is not to be made now."""
    _hurry(connection)
    if not connection.execute(_TURN).scalar():
        return False
    name, within = name_of(day), _within(day)
    if any(p.covers(day) for p in partitions(connection)):
        return False
    connection.exec_driver_sql(f"LOCK TABLE {DEFAULT} IN ACCESS EXCLUSIVE MODE")
    if _has_rows(connection, f"{DEFAULT} WHERE {within}", after=MOST):
        return False
    connection.exec_driver_sql(f'CREATE TABLE "{name}" (LIKE signal INCLUDING DEFAULTS)')
    connection.exec_driver_sql(
        f"WITH moved AS (DELETE FROM {DEFAULT} WHERE {within} RETURNING *)"  # noqa: S608 -- names and numbers of ours
        f' INSERT INTO "{name}" SELECT * FROM moved'
    )
    connection.exec_driver_sql(
        f'ALTER TABLE signal ATTACH PARTITION "{name}" FOR VALUES FROM ({day}) TO ({day + DAY})'
    )
    return True


def _drop(connection: Connection, day: Instant, archived: int) -> int:
    """A day with a partition of its own, counted beside writers up to a row after which none may come."""
    name = name_of(day)
    last = _last(connection, name)
    rows = _count(connection, f'"{name}" WHERE seq <= {last}')
    _refuse(day, rows, archived)
    connection.rollback()
    _hurry(connection)
    connection.exec_driver_sql("LOCK TABLE ONLY signal IN ACCESS EXCLUSIVE MODE")
    _refuse(day, rows + _count(connection, f'"{name}" WHERE seq > {last}'), archived)
    connection.exec_driver_sql(f'ALTER TABLE signal DETACH PARTITION "{name}"')
    connection.exec_driver_sql(f'DROP TABLE "{name}"')
    return rows


def _last(connection: Connection, name: str) -> int:
    """The latest row of a day while no writer is under way: every later one has a higher number."""
    _hurry(connection)
    connection.exec_driver_sql("LOCK TABLE ONLY signal IN SHARE MODE")
    last = connection.exec_driver_sql(f'SELECT max(seq) FROM "{name}"').scalar()  # noqa: S608 -- see _make
    connection.rollback()
    return int(last or 0)


def _thin(connection: Connection, day: Instant, archived: int) -> int:
    """A day that shares its partition: its rows go a little at a time, then the partition if it is over."""
    _refuse(day, _count(connection, f"signal WHERE {_within(day)}"), archived)
    gone = 0
    while True:
        chunk = connection.exec_driver_sql(
            "DELETE FROM signal WHERE (tableoid, ctid) IN"  # noqa: S608 -- see _make
            f" (SELECT tableoid, ctid FROM signal WHERE {_within(day)} LIMIT {CHUNK})"
            f" AND {_within(day)}"
        ).rowcount
        connection.commit()
        gone += chunk
        if chunk < CHUNK:
            online.patiently(connection, lambda: _drop_before(connection), PATIENCE)
            return gone


def _drop_before(connection: Connection) -> None:
    """The partition of the earlier builds goes when its time is over and it is empty."""
    _hurry(connection)
    now = connection.execute(_NOW).scalar_one()
    over = any(p.name == BEFORE and p.until is not None and p.until <= now for p in partitions(connection))
    if not over or _has_rows(connection, BEFORE):
        return
    connection.exec_driver_sql("LOCK TABLE ONLY signal IN ACCESS EXCLUSIVE MODE")
    if not _has_rows(connection, BEFORE):
        connection.exec_driver_sql(f"ALTER TABLE signal DETACH PARTITION {BEFORE}")
        connection.exec_driver_sql(f"DROP TABLE {BEFORE}")


def _refuse(day: Instant, rows: int, archived: int) -> None:
    if rows != archived:
        raise NotArchivedError(f"{name_of(day)} has {rows} signals, {archived} of them are in the archive")


def _hurry(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {online.LOCK_WAIT_MS}")


def _within(day: Instant) -> str:
    return f"received >= {day} AND received < {day + DAY}"


def _count(connection: Connection, what: str) -> int:
    return int(connection.exec_driver_sql(f"SELECT count(*) FROM {what}").scalar_one())  # noqa: S608 -- see _make


def _has_rows(connection: Connection, what: str, after: int = 0) -> bool:
    """Whether there are more rows than ``after``."""
    found = connection.exec_driver_sql(f"SELECT 1 FROM {what} OFFSET {after} LIMIT 1")  # noqa: S608 -- see _make
    return found.scalar() is not None
