"""One connection in one transaction: statements compiled once per dialect, errors in our words."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError
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


class Book:
    """The statements of one dialect, each compiled once."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._mark = "?" if dialect.name == "sqlite" else "%s"
        self._known: dict[Any, Compiled] = {}

    def look_up(self, statement: Executable | Upsert) -> Compiled:
        """The text of a statement, the names of its parameters in order, and the values it brings."""
        known = self._known.get(statement)
        if known is None:
            known = self._known[statement] = self._compile(statement)
        return known

    def _compile(self, statement: Executable | Upsert) -> Compiled:
        if isinstance(statement, Upsert):
            return statement.text(self._mark), tuple(statement.columns), {}
        compiled = statement.compile(dialect=self.dialect)  # type: ignore[attr-defined]
        assert isinstance(compiled, SQLCompiler)
        own = {name: value for name, value in compiled.params.items() if value is not None}
        return str(compiled), tuple(compiled.positiontup or ()), own


class Link:
    """A connection that runs the book's statements."""

    __slots__ = ("book", "connection", "postgresql")

    def __init__(self, connection: Connection, book: Book) -> None:
        self.connection = connection
        self.book = book
        self.postgresql = book.dialect.name == "postgresql"

    def run(self, statement: Executable | Upsert, **values: Any) -> CursorResult[*tuple[Any, ...]]:
        """Run a fixed statement with its parameters by name."""
        sql, names, own = self.book.look_up(statement)
        given = own | values if own else values
        return self.plain(sql, tuple([given[name] for name in names]))

    def plain(self, sql: str, values: tuple[Any, ...] = ()) -> CursorResult[*tuple[Any, ...]]:
        """Run the driver's own SQL."""
        try:
            return self.connection.exec_driver_sql(sql, values)
        except DBAPIError as error:
            raise store_error(error) from error

    def many(self, statement: Executable | Upsert, rows: list[tuple[Any, ...]]) -> int:
        """Run a fixed statement for many rows, given in the order of its parameters; rows changed."""
        sql, _, _ = self.book.look_up(statement)
        try:
            return self.connection.exec_driver_sql(sql, rows).rowcount
        except DBAPIError as error:
            raise store_error(error) from error

    def query(self, statement: Executable) -> CursorResult[*tuple[Any, ...]]:
        """Run a statement that was put together for this call."""
        try:
            return self.connection.execute(statement)
        except DBAPIError as error:
            raise store_error(error) from error


def store_error(error: DBAPIError) -> Exception:
    """The same failure in the words of the port; a mistake in a statement or a row stays what it is."""
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorname", "") or ""
        kind: Kind = next((kind for prefix, kind in _KINDS.items() if code.startswith(prefix)), "broken")
        ours = isinstance(cause, sqlite3.OperationalError) or type(cause) is sqlite3.DatabaseError
    else:
        code = getattr(cause, "sqlstate", None) or ""
        kind = _KINDS.get(code, "broken")
        ours = kind != "broken" or type(cause).__name__ in {"OperationalError", "AdminShutdown"}
    if not ours:
        return error
    return StoreError(f"{code} {cause}".strip(), kind=kind)
