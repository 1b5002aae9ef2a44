"""One connection in one transaction: statements compiled once per dialect, errors in our words.

Statements are written in SQLAlchemy Core and run by the driver itself: its own execution costs more
than a small commit does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NoReturn, Protocol

from sqlalchemy import Dialect, Table
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler

from hexi.kernel.ports import StoreError

Kind = Literal["locked", "full", "broken"]
_KINDS: dict[str, Kind] = {
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_FULL": "full",
    "53100": "full",  # disk_full, and below the three ways PostgreSQL says "try again"
    "55P03": "locked",
    "40001": "locked",
    "40P01": "locked",
    "25006": "broken",  # a server that has become a standby
}


Compiled = tuple[str, tuple[str, ...], dict[str, Any]]


class Upsert:
    """An INSERT of whole rows with what to do about a row that is there already."""

    def __init__(self, table: Table, conflict: str = "", *, skip: Sequence[str] = ()) -> None:
        self.table = table
        self.columns = [c.name for c in table.columns if c.name not in skip]
        self.conflict = conflict

    def text(self, mark: str) -> str:
        """The statement with the driver's own placeholder."""
        names = ", ".join(f'"{name}"' for name in self.columns)
        marks = ", ".join([mark] * len(self.columns))
        insert = f'INSERT INTO "{self.table.name}" ({names}) VALUES ({marks}) {self.conflict}'  # noqa: S608 -- our own names
        return insert.rstrip()


def ignoring(table: Table, *, skip: Sequence[str] = ()) -> Upsert:
    """An insert that leaves a row alone that is there already."""
    return Upsert(table, "ON CONFLICT DO NOTHING", skip=skip)


def replacing(table: Table) -> Upsert:
    """An insert that replaces the row with the same primary key."""
    keys = [c.name for c in table.primary_key]
    changes = ", ".join(f'"{c.name}" = excluded."{c.name}"' for c in table.columns if c.name not in keys)
    target = ", ".join(f'"{key}"' for key in keys)
    return Upsert(table, f"ON CONFLICT ({target}) DO UPDATE SET {changes}")


class Cursor(Protocol):
    """The answer to a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        ...

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        ...

    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...


class Book:
    """The statements of one dialect, each compiled once."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.errors: type[Exception] = dialect.loaded_dbapi.Error
        self._mark = "?" if dialect.name == "sqlite" else "%s"
        self._known: dict[Any, Compiled] = {}

    def look_up(self, statement: Executable | Upsert) -> Compiled:
        """The text of a fixed statement, the names of its parameters in order, the values it brings."""
        known = self._known.get(statement)
        if known is None:
            known = self._known[statement] = self._read(statement)
        return known

    def _read(self, statement: Executable | Upsert) -> Compiled:
        if isinstance(statement, Upsert):
            return statement.text(self._mark), tuple(statement.columns), {}
        return self.compile(statement)

    def compile(self, statement: Executable) -> Compiled:
        """The same for a statement that was put together for one call."""
        options = {"render_postcompile": True}
        compiled = statement.compile(dialect=self.dialect, compile_kwargs=options)  # type: ignore[attr-defined]
        assert isinstance(compiled, SQLCompiler)
        own = {name: value for name, value in compiled.params.items() if value is not None}
        return str(compiled), tuple(compiled.positiontup or ()), own


class Link:
    """A driver's connection that runs the book's statements; StoreError when the database cannot."""

    __slots__ = ("book", "driver", "postgresql")

    def __init__(self, driver: Any, book: Book) -> None:
        self.driver = driver
        self.book = book
        self.postgresql = book.dialect.name == "postgresql"

    def run(self, statement: Executable | Upsert, **values: Any) -> Cursor:
        """Run a fixed statement with its parameters by name."""
        sql, names, own = self.book.look_up(statement)
        given = own | values if own else values
        return self.plain(sql, tuple([given[name] for name in names]))

    def query(self, statement: Executable) -> Cursor:
        """Run a statement that was put together for this call, its values in it."""
        sql, names, own = self.book.compile(statement)
        return self.plain(sql, tuple([own[name] for name in names]))

    def value(self, statement: Executable, **values: Any) -> Any:
        """The first column of the first row of a fixed statement, or None."""
        row = self.run(statement, **values).fetchone()
        return row[0] if row else None

    def plain(self, sql: str, values: tuple[Any, ...] = ()) -> Cursor:
        """Run the driver's own SQL."""
        cursor = self.driver.cursor()
        try:
            cursor.execute(sql, values)
        except self.book.errors as error:
            fail(error)
        found: Cursor = cursor
        return found

    def many(self, statement: Executable | Upsert, rows: Sequence[tuple[Any, ...]]) -> int:
        """Run a fixed statement for many rows, given in the order of its parameters; rows changed."""
        cursor = self.driver.cursor()
        try:
            cursor.executemany(self.book.look_up(statement)[0], rows)
        except self.book.errors as error:
            fail(error)
        return int(cursor.rowcount)


def fail(error: BaseException) -> NoReturn:
    """Raise a driver's error in the words of the port; a mistake in a statement or a row as it is."""
    kind = _kind(error)
    if kind is None:
        raise error
    raise StoreError(f"{type(error).__name__}: {error}", kind=kind) from error


def _kind(error: BaseException) -> Kind | None:
    """What keeps the database from working; None when the statement or a row is at fault."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorname", "")
        ours = isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
        found = next((kind for prefix, kind in _KINDS.items() if code.startswith(prefix)), None)
    else:
        ours = not {"OperationalError", "InterfaceError"}.isdisjoint(c.__name__ for c in type(error).__mro__)
        found = _KINDS.get(getattr(error, "sqlstate", None) or "")
    return found or ("broken" if ours else None)
