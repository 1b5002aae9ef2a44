"""Making the tables of one database hold exactly the rows of another, whatever they held before.

Both sides are walked in the order of the primary key, a portion at a time. A portion that is equal on
both sides costs two reads; of another, the rows that differ are replaced. So one piece of code copies, goes
on where it was killed, catches up with a writer, and proves in the end that nothing differs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Select,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    delete,
    func,
    select,
    tuple_,
)

from hexi.adapters.sql import moved
from hexi.adapters.sql.link import Book, Link, Upsert, fail
from hexi.adapters.sql.schema import COMPATIBLE_NAME
from hexi.adapters.sql.tables import metadata, process, setting
from hexi.kernel.text import Text

Row = tuple[Any, ...]
Key = tuple[Any, ...]
Progress = Callable[[str, int], None]
"""Told a table's name and how many rows of it were looked at just now."""

PORTION = 20_000
PORTIONS = {"quarantine": 100, "case_row": 2_000, "notice": 5_000, "record": 5_000, "record_version": 5_000}
"""Rows that are held in memory at once; fewer where one row may be large."""
GROWING = ("signal", "seen")
"""Tables that grow at their end and are dropped from their beginning, with hardly a change between."""
OWN = (moved.NAME, COMPATIBLE_NAME)
"""Settings that are about the database itself."""


def tables() -> list[Table]:
    """What moves: everything but who is running."""
    return [table for table in metadata.sorted_tables if table is not process]


class UnfitRowError(Exception):
    """A row that the other database cannot hold."""

    def __init__(self, which: str) -> None:
        super().__init__(which)
        self.text = Text(
            zh=f"目标库存不下这一行：{which}", en=f"the other database cannot hold this row: {which}"
        )


class Side:
    """One of the two databases, over one connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.driver: Any = connection.connection.driver_connection
        self.link = Link(self.driver, Book(connection.dialect))
        self.postgresql = self.link.postgresql
        self.held = False
        """Whether everybody else is kept from writing until the next commit."""

    def begin(self) -> None:
        """Begin to write; psycopg does so by itself."""
        if not self.postgresql:
            self.link.plain("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Keep what was written, and let go of what was read."""
        self.connection.commit()
        self.driver.commit()
        self.held = False

    def rollback(self) -> None:
        """Undo what was written since the last commit."""
        self.connection.rollback()
        self.driver.rollback()
        self.held = False

    def pause(self) -> None:
        """Let go of what was read, so that nobody waits for it."""
        if not self.held:
            self.commit()


class Change(NamedTuple):
    """What was done to a table: rows put in (new or other than before), rows taken out."""

    put: int = 0
    gone: int = 0

    @property
    def rows(self) -> int:
        """How many rows differed."""
        return self.put + self.gone

    def plus(self, other: Change) -> Change:
        """Both together."""
        return Change(self.put + other.put, self.gone + other.gone)


class Shape:
    """A table's key and the statements over it, made once."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.keys = list(table.primary_key.columns)
        self.most = PORTIONS.get(table.name, PORTION)
        self._places = [list(table.columns).index(key) for key in self.keys]
        self._apart = [setting.c.name != name for name in OWN] if table is setting else []
        self.count = select(func.count()).select_from(table).where(*self._apart)
        self.first = select(*self.keys).order_by(*self.keys).limit(1)
        self.last = select(*self.keys).order_by(*[key.desc() for key in self.keys]).limit(1)
        self.drop_before = delete(table).where(tuple_(*self.keys) < self._marks("a"))
        self.drop = delete(table).where(*[key == bindparam(f"k{n}") for n, key in enumerate(self.keys)])
        self.insert = Upsert(table)
        self.rivals = [_rivals(table, c) for c in table.constraints if isinstance(c, UniqueConstraint)]
        self.page = cache(self._page)

    def key(self, row: Row) -> Key:
        """A row's key."""
        return tuple([row[place] for place in self._places])

    def _page(self, *, after: bool, upto: bool, whole: bool) -> Select[Any]:
        """The rows after a key and up to another, in order: the whole of them or a portion."""
        query: Select[Any] = select(self.table).where(*self._apart).order_by(*self.keys)
        if after:
            query = query.where(tuple_(*self.keys) > self._marks("a"))
        if upto:
            query = query.where(tuple_(*self.keys) <= self._marks("b"))
        return query if whole else query.limit(self.most)

    def _marks(self, prefix: str) -> ColumnElement[Any]:
        return tuple_(*[bindparam(f"{prefix}{n}", type_=key.type) for n, key in enumerate(self.keys)])


def named(prefix: str, key: Key | None) -> dict[str, Any]:
    """A key as parameters of a page."""
    return {f"{prefix}{n}": value for n, value in enumerate(key or ())}


def _rivals(table: Table, unique: UniqueConstraint) -> tuple[list[int], Delete]:
    """Where a row holds what must be unique, and the statement that takes out who holds the same."""
    columns = list(unique.columns)
    same = and_(*[column == bindparam(f"u{n}") for n, column in enumerate(columns)])
    return [list(table.columns).index(column) for column in columns], delete(table).where(same)


class Twin:
    """One table on both sides."""

    def __init__(self, table: Table, source: Side, target: Side) -> None:
        self.name = table.name
        self._shape = Shape(table)
        self._source = source
        self._target = target

    def sync(self, progress: Progress, after: Key | None = None) -> Change:
        """Make the target equal to the source: all of it, or the rows after a key."""
        done = Change()
        while True:
            wanted = self._read(self._source, after, None)
            upto = self._shape.key(wanted[-1]) if len(wanted) == self._shape.most else None
            present = self._read(self._target, after, upto, whole=True)
            if wanted != present:
                done = done.plus(self._replace(wanted, present))
            progress(self.name, len(wanted))
            if upto is None:
                return done
            after = upto

    def catch_up(self, progress: Progress) -> Change:
        """The same for a growing table, only where it grows and where it is dropped."""
        first = self._source.link.run(self._shape.first).fetchone()
        last = self._target.link.run(self._shape.last).fetchone()
        self._source.pause()
        if first is None or last is None:
            return self.sync(progress)
        self._target.commit()
        self._target.begin()
        gone = self._target.link.run(self._shape.drop_before, **named("a", first)).rowcount
        self._target.commit()
        return self.sync(progress, last).plus(Change(gone=gone))

    def counts(self) -> tuple[int, int]:
        """How many rows there are on each side, by the databases' own count."""
        query = self._shape.count
        return self._source.link.query(query).fetchall()[0][0], self._target.link.query(query).fetchall()[0][
            0
        ]

    def _read(self, side: Side, after: Key | None, upto: Key | None, *, whole: bool = False) -> list[Row]:
        query = self._shape.page(after=after is not None, upto=upto is not None, whole=whole)
        rows = side.link.run(query, **named("a", after), **named("b", upto)).fetchall()
        side.pause()
        return rows

    def _replace(self, wanted: list[Row], present: list[Row]) -> Change:
        """Put in what is missing or other, take out what is not wanted; one transaction."""
        key = self._shape.key
        there = {key(row): row for row in present}
        fresh = [row for row in wanted if there.get(key(row)) != row]
        kept = {key(row) for row in wanted}
        changed = [key(row) for row in fresh if key(row) in there]
        gone = [k for k in there if k not in kept]
        self._target.begin()
        if gone or changed:
            self._target.link.many(self._shape.drop, gone + changed)
        self._put(fresh)
        self._target.commit()
        return Change(len(fresh), len(gone))

    def _put(self, rows: list[Row]) -> None:
        """Insert; a row that has what must be unique and will itself be gone or other gives way."""
        if not rows:
            return
        link = self._target.link
        link.plain("SAVEPOINT put")
        try:
            self._insert(rows)
        except link.book.dialect.loaded_dbapi.IntegrityError:
            link.plain("ROLLBACK TO SAVEPOINT put")
            for places, drop in self._shape.rivals:
                link.many(drop, [tuple([row[place] for place in places]) for row in rows])
            self._insert(rows)

    def _insert(self, rows: list[Row]) -> None:
        if self._target.postgresql:
            self._copy(rows)
        else:
            self._target.link.many(self._shape.insert, rows)

    def _copy(self, rows: list[Row]) -> None:
        """COPY, PostgreSQL's fastest way in."""
        errors = self._target.link.book.dialect.loaded_dbapi
        names = ", ".join(f'"{column.name}"' for column in self._shape.table.columns)
        try:
            with self._target.driver.cursor().copy(f'COPY "{self.name}" ({names}) FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)
        except errors.DataError as error:
            raise UnfitRowError(self._unfit(rows, error)) from error
        except errors.OperationalError as error:
            fail(error)

    def _unfit(self, rows: list[Row], error: Exception) -> str:
        """Which row it is, where that can be seen."""
        for row in rows:
            if any(isinstance(value, str) and "\0" in value for value in row):
                return f"{self.name} {self._shape.key(row)!r}: text with the character NUL"
        return f"{self.name}: {error}"
