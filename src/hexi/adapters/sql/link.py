"""One connection in one transaction: statements compiled once per dialect, errors in our words.

Statements are written in SQLAlchemy Core and run by the driver itself: its own execution costs more
than a small commit does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Literal, NoReturn, Protocol

import msgspec
from sqlalchemy import Column, Dialect, Table
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

BLOCKS = (100, 10)
"""Rows of one statement on SQLite, as many as fit; what is left over goes one by one.

The driver hands the interpreter to other threads with every statement, and beside a busy thread has to
wait for it again: rows that go one by one are then four times as slow.
"""

SQLITE_MARK = "?"

COPIED = 20
"""From so many rows on PostgreSQL is sent them as a stream: five times as fast as one by one."""

_INSERTS = "INSERT OR FAIL"
"""SQLite's insert of many rows that keeps no copy of every page it touches: a row that cannot be kept ends
our transaction or part, and with it the rows before it."""


class Upsert:
    """An INSERT of whole rows with what to do about a row that is there already."""

    def __init__(self, table: Table, conflict: str = "", *, skip: Sequence[str] = ()) -> None:
        self.table = table
        self.columns = [c.name for c in table.columns if c.name not in skip]
        self.conflict = conflict

    def text(self, mark: str, rows: int = 1) -> str:
        """The statement for so many rows, with the driver's own placeholder."""
        names = ", ".join(f'"{name}"' for name in self.columns)
        row = f"({', '.join([mark] * len(self.columns))})"
        verb = "INSERT" if rows == 1 else _INSERTS
        marks = ", ".join([row] * rows)
        insert = f'{verb} INTO "{self.table.name}" ({names}) VALUES {marks} {self.conflict}'
        return insert.rstrip()


class Removal:
    """A DELETE of the rows whose column holds one of many values."""

    def __init__(self, column: Column[Any]) -> None:
        self.column = column
        self.columns = [column.name]

    def text(self, mark: str, rows: int = 1) -> str:
        """The statement for so many values, with the driver's own placeholder."""
        marks = ", ".join([mark] * rows)
        return f'DELETE FROM "{self.column.table.name}" WHERE "{self.column.name}" IN ({marks})'  # noqa: S608 -- our own names


class Change:
    """An UPDATE of some columns of many rows, each found by its key: first the key, then the columns."""

    def __init__(self, key: Column[Any], *changed: Column[Any], clears: Sequence[Column[Any]] = ()) -> None:
        self.table = key.table
        self.columns = [key.name, *(column.name for column in changed)]
        self.cleared = [column.name for column in clears]

    def text(self, mark: str, rows: int = 1) -> str:
        """The statement for so many rows, with the driver's own placeholder."""
        name = self.table.name
        key, *changed = (f'"{column}"' for column in self.columns)
        row = f"({', '.join([mark] * len(self.columns))})"
        given = f"WITH given ({key}, {', '.join(changed)}) AS (VALUES {', '.join([row] * rows)})"
        sets = [f"{column} = given.{column}" for column in changed]
        to = ", ".join(sets + [f'"{column}" = NULL' for column in self.cleared])
        return f'{given} UPDATE "{name}" SET {to} FROM given WHERE "{name}".{key} = given.{key}'  # noqa: S608 -- our own names


Bulk = Upsert | Removal | Change


class Choice:
    """A SELECT of the rows whose column holds one of many values; of texts and numbers.

    ``same``: columns that hold one value, given first. ``locks``: each row is locked for the transaction,
    in the order of the column.
    """

    def __init__(
        self,
        column: Column[Any],
        *columns: Column[Any],
        same: Sequence[Column[Any]] = (),
        locks: bool = False,
    ) -> None:
        self.column = column
        self.columns = columns
        self.same = same
        self.locks = locks

    def text(self, mark: str, values: int = 1) -> str:
        """The statement for so many values, with the driver's own placeholder.

        SQLite gives all rows as one JSON text: it too lets other threads go first with every row.
        """
        names = ", ".join(f'"{column.name}"' for column in self.columns)
        if mark == SQLITE_MARK:
            names = f"json_group_array(json_array({names}))"
        marks = ", ".join([mark] * values)
        locks = f' ORDER BY "{self.column.name}" FOR UPDATE' if self.locks and mark != SQLITE_MARK else ""
        same = "".join(f'"{column.name}" = {mark} AND ' for column in self.same)
        where = f'{same}"{self.column.name}" IN ({marks}){locks}'
        return f'SELECT {names} FROM "{self.column.table.name}" WHERE {where}'  # noqa: S608 -- our own names


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
        self._mark = SQLITE_MARK if dialect.name == "sqlite" else "%s"
        self._known: dict[Any, Compiled] = {}
        self._blocks: dict[tuple[Bulk | Choice, int], str] = {}

    def look_up(self, statement: Executable | Bulk) -> Compiled:
        """The text of a fixed statement, the names of its parameters in order, the values it brings."""
        known = self._known.get(statement)
        if known is None:
            known = self._known[statement] = self._read(statement)
        return known

    def block(self, statement: Bulk | Choice, rows: int) -> str:
        """The text of a statement for so many rows at once."""
        known = self._blocks.get((statement, rows))
        if known is None:
            known = self._blocks[statement, rows] = statement.text(self._mark, rows)
        return known

    def _read(self, statement: Executable | Bulk) -> Compiled:
        if isinstance(statement, Bulk):
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

    def run(self, statement: Executable | Bulk, **values: Any) -> Cursor:
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

    def choose(self, statement: Choice, values: Sequence[Any], *same: Any) -> Iterator[tuple[Any, ...]]:
        """The rows that hold one of the values; the values are unique, the rows in no order."""
        size = BLOCKS[0]
        for start in range(0, len(values), size):
            some = tuple(values[start : start + size])
            room = next(n for n in (1, *reversed(BLOCKS)) if n >= len(some))
            padded = some + some[-1:] * (room - len(some))
            found = self.plain(self.book.block(statement, room), same + padded)
            yield from found if self.postgresql else map(tuple, msgspec.json.decode(found.fetchall()[0][0]))

    def plain(self, sql: str, values: tuple[Any, ...] = ()) -> Cursor:
        """Run the driver's own SQL."""
        cursor = self.driver.cursor()
        try:
            cursor.execute(sql, values)
        except self.book.errors as error:
            fail(error)
        found: Cursor = cursor
        return found

    def many(self, statement: Executable | Bulk, rows: Sequence[tuple[Any, ...]]) -> int:
        """Run a fixed statement for many rows, given in the order of its parameters; rows changed."""
        if self.postgresql:
            if isinstance(statement, Upsert) and len(rows) >= COPIED:
                return self._stream(statement, rows)
        elif isinstance(statement, Bulk):
            return self._in_blocks(statement, rows)
        return self._one_by_one(statement, rows)

    def _in_blocks(self, statement: Bulk, rows: Sequence[tuple[Any, ...]]) -> int:
        changed = start = 0
        for size in BLOCKS:
            while len(rows) - start >= size:
                changed += self._block(statement, rows[start : start + size])
                start += size
        left = rows[start:] if start else rows
        return changed + self._one_by_one(statement, left) if left else changed

    def _block(self, statement: Bulk, rows: Sequence[tuple[Any, ...]]) -> int:
        values = tuple(chain.from_iterable(rows))
        return self.plain(self.book.block(statement, len(rows)), values).rowcount

    def _stream(self, upsert: Upsert, rows: Sequence[tuple[Any, ...]]) -> int:
        """PostgreSQL's COPY, straight into the table, or beside it when there may be a conflict."""
        table, beside = f'"{upsert.table.name}"', f'"copied_{upsert.table.name}"'
        names = ", ".join(f'"{name}"' for name in upsert.columns)
        if not upsert.conflict:
            return self._copy(f"COPY {table} ({names}) FROM STDIN", rows)
        like = f"SELECT {names} FROM {table} WITH NO DATA"  # noqa: S608 -- our own names
        self.plain(f"CREATE TEMP TABLE IF NOT EXISTS {beside} ON COMMIT DELETE ROWS AS {like}")
        self._copy(f"COPY {beside} ({names}) FROM STDIN", rows)
        insert = f"INSERT INTO {table} ({names}) SELECT {names} FROM {beside} {upsert.conflict}"  # noqa: S608 -- our own names
        changed = self.plain(insert).rowcount
        self.plain(f"DELETE FROM {beside}")  # noqa: S608 -- our own names
        return changed

    def _copy(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
        cursor = self.driver.cursor()
        try:
            with cursor.copy(sql) as stream:
                for row in rows:
                    stream.write_row(row)
        except self.book.errors as error:
            fail(error)
        return int(cursor.rowcount)

    def _one_by_one(self, statement: Executable | Bulk, rows: Sequence[tuple[Any, ...]]) -> int:
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
