"""The store: one writer, many readers, on SQLite or PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, QueuePool, StaticPool, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from hexi.adapters.sql.link import Book, Link, fail
from hexi.adapters.sql.records import LinkedFields
from hexi.adapters.sql.schema import bring_up
from hexi.adapters.sql.transaction import SqlTransaction
from hexi.kernel.record import RecordKind

BUSY_MS = 10_000
"""How long a writer waits for another process before it says ``locked``."""
_READERS = 16
_LINKS_NAME = "records.links"
_BEGIN = "BEGIN IMMEDIATE"
_VERSION = text("SELECT version_num FROM alembic_version")
_REPEATABLE_READ = 3
"""psycopg's number for it; psycopg itself is there only where it is used."""


class SqlStore:
    """``kernel.ports.Store``. Use one per process; it may be shared by threads."""

    def __init__(self, writing: Engine, reading: Engine, kinds: Mapping[str, RecordKind]) -> None:
        self._writing = writing
        self._reading = reading
        self._book = Book(writing.dialect)
        self._fields = LinkedFields(kinds)
        self._shared = writing is reading
        self._one = _Turn()
        """SQLite has one writer at a time: threads queue here rather than poll the file."""

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._book.dialect.name

    @property
    def schema_version(self) -> str:
        """The revision the tables stand at."""
        with self.read() as tx:
            return str(tx.link.value(_VERSION))

    def use_record_kinds(self, kinds: Mapping[str, RecordKind]) -> None:
        """From now on these fields are references; kept references are derived anew when they differ."""
        self._fields = LinkedFields(kinds)
        told = self._fields.text()
        with self.write() as tx:
            if tx.settings.get(_LINKS_NAME) != told:
                tx.records.relink()
                tx.settings.put(_LINKS_NAME, told)

    @contextmanager
    def write(self) -> Iterator[SqlTransaction]:
        """A writing transaction; durable when the block has ended. StoreError when it cannot be."""
        with self._turn(needed=self.dialect == "sqlite"), self._begun(self._writing, _BEGIN) as driver:
            tx = SqlTransaction(Link(driver, self._book), self._fields, writing=True)
            yield tx
            tx.flush()
            driver.commit()

    @contextmanager
    def read(self) -> Iterator[SqlTransaction]:
        """A consistent view for reading, beside any writer."""
        with self._turn(needed=self._shared), self._begun(self._reading, "BEGIN") as driver:
            yield SqlTransaction(Link(driver, self._book), self._fields, writing=False)

    def close(self) -> None:
        """Let go of the database."""
        self._reading.dispose()
        self._writing.dispose()

    @contextmanager
    def _turn(self, *, needed: bool) -> Iterator[None]:
        if not needed:
            yield
            return
        with self._one:
            yield

    @contextmanager
    def _begun(self, engine: Engine, begin: str) -> Iterator[Any]:
        """A driver's connection in a transaction, which is rolled back unless it was committed."""
        with _in_our_words(self._book.errors):
            borrowed = engine.raw_connection()
            try:
                driver: Any = borrowed.driver_connection
                if self.dialect == "sqlite":  # psycopg begins by itself
                    driver.execute(begin)
                yield driver
            finally:
                borrowed.close()


class _Turn:
    """A lock that says so, rather than hang, when one thread wants it twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: int | None = None

    def __enter__(self) -> None:
        if self._holder == threading.get_ident():
            raise RuntimeError("this thread has a transaction open already")
        self._lock.acquire()
        self._holder = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._holder = None
        self._lock.release()


def open_store(url: str, record_kinds: Mapping[str, RecordKind] | None = None) -> SqlStore:
    """Open a database, bring its tables up to date, and return the store.

    ``url`` is ``sqlite:///file``, ``sqlite:///:memory:`` or ``postgresql://...``. StoreError when
    it cannot be reached, ValueError when it was written by a newer build.
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        writing, reading = _sqlite(address)
    else:
        writing, reading = _postgresql(address)
    store = SqlStore(writing, reading, record_kinds or {})
    _migrate(writing)
    if record_kinds is not None:
        store.use_record_kinds(record_kinds)
    return store


def migrate(url: str) -> str:
    """Bring a database's tables up to date; the revision they now stand at."""
    store = open_store(url)
    try:
        return store.schema_version
    finally:
        store.close()


def _migrate(engine: Engine) -> None:
    with _in_our_words(engine.dialect.loaded_dbapi.Error), engine.connect() as connection:
        bring_up(connection)
        connection.commit()


@contextmanager
def _in_our_words(errors: type[Exception]) -> Iterator[None]:
    """StoreError for what goes wrong while connecting, beginning and committing."""
    try:
        yield
    except DBAPIError as error:
        fail(error.orig or error)
    except errors as error:
        fail(error)


def _sqlite(url: URL) -> tuple[Engine, Engine]:
    memory = url.database in {None, "", ":memory:"}
    shape: dict[str, Any] = {"poolclass": StaticPool} if memory else {"poolclass": QueuePool, "pool_size": 1}
    writing = create_engine(url, connect_args=_ANY_THREAD, **shape)
    event.listen(writing, "connect", _set_up_writer)
    if memory:
        return writing, writing
    reading = create_engine(
        url, connect_args=_ANY_THREAD, poolclass=QueuePool, pool_size=_READERS, max_overflow=_READERS
    )
    event.listen(reading, "connect", _set_up_reader)
    return writing, reading


_ANY_THREAD = {"check_same_thread": False}
"""Connections move between threads, one at a time."""


def _set_up(connection: sqlite3.Connection, *pragmas: str) -> None:
    connection.isolation_level = None  # we begin ourselves; the driver would begin too late
    for pragma in (f"busy_timeout = {BUSY_MS}", "foreign_keys = ON", "cache_size = -65536", *pragmas):
        connection.execute(f"PRAGMA {pragma}")


def _set_up_writer(connection: sqlite3.Connection, _: object) -> None:
    _set_up(connection, "journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000")


def _set_up_reader(connection: sqlite3.Connection, _: object) -> None:
    _set_up(connection, "query_only = ON")


def _postgresql(url: URL) -> tuple[Engine, Engine]:
    address = url.set(drivername="postgresql+psycopg")
    writing = create_engine(address, paramstyle="format", pool_size=4, pool_pre_ping=True)
    reading = create_engine(address, paramstyle="format", pool_size=_READERS, pool_pre_ping=True)
    event.listen(reading, "connect", _set_up_snapshots)
    return writing, reading


def _set_up_snapshots(connection: Any, _: object) -> None:
    connection.isolation_level = _REPEATABLE_READ
    connection.read_only = True
