"""Changing the tables of a PostgreSQL on which other processes go on writing.

A revision may have two parts. ``prepare(connection)`` does the long work outside any transaction, with
statements that let others write, and can be begun again after it was killed anywhere. ``upgrade()`` is one
short transaction. A statement that needs a table for itself waits ``LOCK_WAIT_MS`` at most: while it
waits, everyone else waits behind it. Then all is undone, the others get their turn, and it is tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from hexi.kernel.ports import StoreError

LOCK_WAIT_MS = 1_000
"""Milliseconds a change waits for a lock, and so the longest that a writer waits for the change."""
PAUSE = 1.0
"""Seconds the others get before a change tries again."""
PATIENCE = 600.0
"""Seconds after which a change that never got its lock gives up; nothing of its revision is left."""
_KEY = 1751480425
_TAKE = text("SELECT pg_try_advisory_lock(:key)")
_LET_GO = text("SELECT pg_advisory_unlock(:key)")
_LOCK_NOT_AVAILABLE = "55P03"
_BROKEN = text(
    "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " WHERE c.relname = :name AND pg_table_is_visible(c.oid) AND NOT i.indisvalid"
)
_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)

T = TypeVar("T")


def others(connection: Connection) -> int:
    """How many connections but this one the database has."""
    return int(connection.execute(_OTHERS).scalar_one())


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """A connection that no other process migrates beside.

    Others ask again and again rather than wait in a statement: an index that is built beside writers
    waits for every statement that began before it, and would wait for them for ever.
    """
    with engine.connect() as connection:
        _until(PATIENCE, lambda: _taken(connection))
        connection.exec_driver_sql(f"SET lock_timeout = {LOCK_WAIT_MS}")
        connection.commit()
        try:
            yield connection
            connection.commit()
        finally:
            _leave(connection)


def _taken(connection: Connection) -> bool:
    taken = bool(connection.execute(_TAKE, {"key": _KEY}).scalar())
    connection.commit()
    return taken


def _leave(connection: Connection) -> None:
    """Let the others have it; a connection that is broken has let go already."""
    try:
        connection.rollback()
        connection.exec_driver_sql("RESET lock_timeout")
        connection.execute(_LET_GO, {"key": _KEY})
        connection.commit()
    except DBAPIError:
        connection.invalidate()


def _until(seconds: float, done: Callable[[], bool]) -> None:
    """Ask again until it is so; StoreError ``locked`` when it takes too long."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise StoreError("the tables could not be changed: a lock was never free", kind="locked")
        time.sleep(min(PAUSE, 0.2))


def patiently(connection: Connection, change: Callable[[], T], patience: float = PATIENCE) -> T:
    """Run a change and commit it; undo it and try again while a lock is not to be had."""
    end = time.monotonic() + patience
    while True:
        try:
            done = change()
            connection.commit()
        except DBAPIError as error:
            connection.rollback()
            if not was_locked(error) or time.monotonic() > end:
                raise
            time.sleep(PAUSE)
        else:
            return done


def was_locked(error: DBAPIError) -> bool:
    """Whether a statement was given up for a lock it did not get."""
    return getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE


def prepare(connection: Connection, module: Any) -> None:
    """Do a revision's long work, each statement a transaction of its own."""
    connection.commit()
    connection.execution_options(isolation_level="AUTOCOMMIT")
    try:
        patiently(connection, lambda: module.prepare(connection))
    finally:
        connection.rollback()
        connection.execution_options(isolation_level="READ COMMITTED")


def index(connection: Connection, name: str, on: str, *, unique: bool = False) -> None:
    """Build an index beside writers; ``on`` is what its statement says after ON.

    It takes SHARE UPDATE EXCLUSIVE: rows are written meanwhile. It waits for every transaction that began
    before it, without anybody waiting for it, so this one wait is not limited. What a killed attempt
    left behind is dropped first.
    """
    connection.exec_driver_sql("SET lock_timeout = 0")
    if connection.execute(_BROKEN, {"name": name}).scalar():
        connection.exec_driver_sql(f'DROP INDEX CONCURRENTLY "{name}"')
    kind = "UNIQUE INDEX" if unique else "INDEX"
    connection.exec_driver_sql(f'CREATE {kind} CONCURRENTLY IF NOT EXISTS "{name}" ON {on}')
    connection.exec_driver_sql(f"SET lock_timeout = {LOCK_WAIT_MS}")
