"""The store: one writer, many readers, on SQLite or PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import Engine, QueuePool, StaticPool, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from hexi.adapters.sql import moved
from hexi.adapters.sql.days import Days
from hexi.adapters.sql.link import Book, Link, fail
from hexi.adapters.sql.pool import postgresql, read_address
from hexi.adapters.sql.records import LinkedFields
from hexi.adapters.sql.schema import Standing, bring_down, bring_up, standing
from hexi.adapters.sql.transaction import SqlTransaction
from hexi.kernel.record import RecordKind

BUSY_MS = 10_000
"""How long a writer waits for another process before it says ``locked``."""
_READERS = 16
_LINKS_NAME = "records.links"
_VERSION = text("SELECT version_num FROM alembic_version")


class SqlStore:
    """``kernel.ports.Store``. Use one per process; it may be shared by threads."""

    def __init__(
        self,
        writing: Engine,
        reading: Engine,
        kinds: Mapping[str, RecordKind],
        *,
        beside_a_move: bool = False,
    ) -> None:
        """``beside_a_move``: the database may move away while it is open; each change asks for the mark."""
        self._beside_a_move = beside_a_move
        self._writing = writing
        self._reading = reading
        self._book = Book(writing.dialect)
        self._fields = LinkedFields(kinds)
        sqlite = writing.dialect.name == "sqlite"
        self._begin = "BEGIN IMMEDIATE" if sqlite else ""
        """psycopg begins by itself."""
        self._turn: AbstractContextManager[None] = _Turn() if sqlite else nullcontext()
        """SQLite has one writer at a time: threads queue here rather than poll the file."""
        self._reading_turn = self._turn if writing is reading else nullcontext()

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._book.dialect.name

    @property
    def days(self) -> Days | None:
        """The days of the signals, on PostgreSQL."""
        return Days(self._writing) if self.dialect == "postgresql" else None

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
        with self._turn, _Lease(self._writing, self._begin) as driver:
            tx = SqlTransaction(Link(driver, self._book), self._fields, writing=True)
            yield tx
            tx.flush()
            if self._beside_a_move:
                moved.refuse_change(tx.link)
            driver.commit()

    @contextmanager
    def read(self) -> Iterator[SqlTransaction]:
        """A consistent view for reading, beside any writer."""
        with self._reading_turn, _Lease(self._reading, self._begin and "BEGIN") as driver:
            yield SqlTransaction(Link(driver, self._book), self._fields, writing=False)

    @contextmanager
    def alone(self) -> Iterator[SqlTransaction]:
        """A PostgreSQL connection of one's own outside the pool; each statement is a transaction."""
        with in_our_words(self._writing):
            borrowed = self._writing.raw_connection()
        driver: Any = borrowed.driver_connection
        borrowed.detach()
        driver.autocommit = True
        try:
            yield SqlTransaction(Link(driver, self._book), self._fields, writing=True)
        finally:
            borrowed.close()

    def close(self) -> None:
        """Let go of the database."""
        self._reading.dispose()
        self._writing.dispose()


class _Lease:
    """A driver's connection in a transaction, which is rolled back unless it was committed."""

    __slots__ = ("_begin", "_borrowed", "_engine")

    def __init__(self, engine: Engine, begin: str) -> None:
        self._engine = engine
        self._begin = begin

    def __enter__(self) -> Any:
        with in_our_words(self._engine):
            self._borrowed = self._engine.raw_connection()
        driver: Any = self._borrowed.driver_connection
        try:
            if self._begin:
                driver.execute(self._begin)
        except self._engine.dialect.loaded_dbapi.Error as error:
            self._borrowed.close()
            fail(error)
        return driver

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._borrowed.close()
        if isinstance(error, self._engine.dialect.loaded_dbapi.Error):
            fail(error)


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


def open_store(
    url: str, record_kinds: Mapping[str, RecordKind] | None = None, *, beside_a_move: bool = False
) -> SqlStore:
    """Open a database, bring its tables up to date, and return the store.

    ``beside_a_move`` is for those who do not hold the data folder, and so do not keep the district from
    moving: their changes raise MovedError once it has.
    ``url`` is ``sqlite:///file``, ``sqlite:///:memory:`` or ``postgresql://...``. StoreError when
    it cannot be reached, NewerSchemaError when it was written by a newer build.
    """
    writing, reading = connect(url)
    store = SqlStore(writing, reading, record_kinds or {}, beside_a_move=beside_a_move)
    try:
        _make_ready(writing)
    except BaseException:
        store.close()
        raise
    if record_kinds is not None:
        store.use_record_kinds(record_kinds)
    return store


def connect(url: str) -> tuple[Engine, Engine]:
    """The engines that write and read; nothing is opened yet."""
    address = read_address(url)
    return _sqlite(address) if address.get_backend_name() == "sqlite" else postgresql(address)


def migrate(url: str) -> str:
    """Bring a database's tables up to date; the revision they now stand at."""
    store = open_store(url)
    try:
        return store.schema_version
    finally:
        store.close()


def standing_of(url: str) -> Standing:
    """Where a database stands, without touching it; MovedError when it is closed, StoreError as above."""
    with _only(url) as engine, engine.connect() as connection:
        moved.refuse(connection)
        return standing(connection)


def go_back(url: str, to: str) -> None:
    """Undo revisions down to ``to``; ValueError when there is no such way, StoreError as above."""
    with _only(url) as engine:
        with engine.connect() as connection:
            moved.refuse(connection)
        bring_down(engine, to)


@contextmanager
def _only(url: str) -> Iterator[Engine]:
    """The engine that writes, for a moment."""
    writing, reading = connect(url)
    try:
        with in_our_words(writing):
            yield writing
    finally:
        reading.dispose()
        writing.dispose()


def _make_ready(engine: Engine) -> None:
    """The tables up to date, on PostgreSQL with their next days; MovedError for what was moved away."""
    with in_our_words(engine):
        with engine.connect() as connection:
            moved.refuse(connection)
        bring_up(engine)
        if engine.dialect.name == "postgresql":
            Days(engine).make_ahead()


@contextmanager
def in_our_words(engine: Engine) -> Iterator[None]:
    """StoreError for what goes wrong beside a transaction."""
    try:
        yield
    except DBAPIError as error:
        fail(error.orig or error)
    except engine.dialect.loaded_dbapi.Error as error:
        fail(error)


def _sqlite(url: URL) -> tuple[Engine, Engine]:
    memory = url.database in {None, "", ":memory:"}
    writing = create_engine(url, connect_args=_ANY_THREAD, poolclass=StaticPool)
    event.listen(writing, "connect", _set_up_writer)
    if memory:
        return writing, writing
    reading = create_engine(
        url,
        connect_args=_ANY_THREAD,
        poolclass=QueuePool,
        pool_size=_READERS,
        max_overflow=_READERS,
        pool_use_lifo=True,
    )
    event.listen(reading, "connect", _set_up_reader)
    return writing, reading


_ANY_THREAD = {"check_same_thread": False}
"""Connections move between threads, one at a time."""


def _set_up(connection: sqlite3.Connection, *pragmas: str) -> None:
    connection.isolation_level = None  # we begin ourselves; the driver would begin too late
    for pragma in (f"busy_timeout = {BUSY_MS}", "foreign_keys = ON", *pragmas):
        connection.execute(f"PRAGMA {pragma}")


def _set_up_writer(connection: sqlite3.Connection, _: object) -> None:
    _set_up(
        connection,
        "cache_size = -65536",
        "journal_mode = WAL",
        "synchronous = FULL",
        "wal_autocheckpoint = 4000",
        "temp_store = MEMORY",
    )


def _set_up_reader(connection: sqlite3.Connection, _: object) -> None:
    """A reader's pages are void after each commit; many readers with large caches are only memory."""
    _set_up(connection, "cache_size = -8192", "query_only = ON")
