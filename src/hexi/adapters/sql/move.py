"""Moving a running installation to another database without losing a row.

While the platform runs, everything is copied and caught up with, in portions that nobody waits for. The
last part needs the writers stopped: it keeps everyone from writing, catches up for the last time, walks
over both sides until one whole walk has found no difference, marks the old database as moved and only then
opens the new one. At no moment are both open, and killed anywhere it goes on when it is run again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL, make_url

from hexi.adapters.sql import moved
from hexi.adapters.sql.days import AHEAD, Days, day_of
from hexi.adapters.sql.move_tables import GROWING, Change, Progress, Side, Twin, UnfitRowError, tables
from hexi.adapters.sql.online import LOCK_WAIT_MS, others
from hexi.adapters.sql.schema import SCHEMA, bring_up, standing
from hexi.adapters.sql.store import connect, in_our_words
from hexi.kernel.clock import DAY
from hexi.kernel.text import Text

__all__ = ["BusyError", "MoveError", "Moved", "Mover", "Progress", "UnfitRowError", "moving", "place_of"]

LEAVING = 3.0
"""Seconds that PostgreSQL is given to let go of the connections of a process that has ended."""
MOST_WALKS = 6
"""Walks over everything after which the two sides must be equal."""
MOST_DAYS = 400
"""Past days that get a partition of their own on PostgreSQL."""
_KEY = 1751480427
_TAKE = text("SELECT pg_try_advisory_lock(:key)")
_SEQUENCES = text(
    "SELECT c.relname, a.attname, pg_get_serial_sequence(quote_ident(c.relname), a.attname)"
    " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')"
    " AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped"
    " AND pg_get_serial_sequence(quote_ident(c.relname), a.attname) IS NOT NULL"
)


class MoveError(Exception):
    """The move cannot be made, or not in this state; nothing is lost and nothing was opened."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.text = Text(zh=zh, en=en)


class BusyError(MoveError):
    """Somebody still works on the old database."""


class Moved(NamedTuple):
    """How a move ended: rows by table, equal on both sides, and how often everything was walked over."""

    rows: dict[str, int]
    walks: int


def place_of(url: str) -> str:
    """An address as people are told it: a file's whole path, a server without its password."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return f"sqlite:///{Path(str(address.database)).resolve()}"
    open_part = (address.username, None, address.host, address.port, address.database, address.query)
    return URL.create("postgresql", *open_part).render_as_string()


@contextmanager
def moving(source: str, target: str) -> Iterator[Mover]:
    """Both databases open for a move. MoveError when they are not fit for it, StoreError when unreachable."""
    here, there = connect(source), connect(target)
    try:
        with in_our_words(there[0]), in_our_words(here[0]):
            _make(there[0])
            with here[0].connect() as old, there[0].connect() as new:
                yield Mover(Side(old), Side(new), (place_of(source), place_of(target)))
    finally:
        for engine in (*here, *there):
            engine.dispose()


def _make(target: Engine) -> None:
    """The tables of a target that has none, or not all."""
    with target.connect() as connection:
        if moved.read(connection) is not None:
            return
    bring_up(target)


class Mover:
    """One move, from its first row to its last."""

    def __init__(self, source: Side, target: Side, places: tuple[str, str]) -> None:
        self._source, self._target = source, target
        self._from, self._to = places
        self._alone()
        self._check_source()
        self.done = self._is_done()
        """Whether it was finished before."""
        if not self.done:
            self._claim_target()
        self._twins = [Twin(table, source, target) for table in tables()]

    def _alone(self) -> None:
        """One of the two is PostgreSQL; there only one process moves."""
        side = self._target if self._target.postgresql else self._source
        if not side.postgresql:
            raise MoveError("新旧数据库都是 SQLite 文件", "both databases are SQLite files")
        if not side.connection.execute(_TAKE, {"key": _KEY}).scalar():
            raise MoveError("另一个进程正在迁移此库", "another process is moving this database")
        side.commit()

    def _check_source(self) -> None:
        closed = moved.read(self._source.connection)
        if closed and (closed.why, closed.other) != ("moved", self._to):
            raise moved.MovedError(closed)
        present = closed.revision if closed else standing(self._source.connection).present
        self._source.commit()
        if present != SCHEMA:
            raise MoveError(
                f"源数据库的结构是 {present}，本程序是 {SCHEMA}：请先运行 hexi migrate run",
                f"the database is at schema {present}, this build at {SCHEMA}: run hexi migrate run first",
            )

    def _is_done(self) -> bool:
        left = moved.read(self._source.connection) is not None
        arrived = moved.read(self._target.connection) is None
        self._source.commit()
        self._target.commit()
        return left and arrived

    def _claim_target(self) -> None:
        """From now on nobody but us works on it; MoveError when it has a life of its own."""
        new = self._target
        closed = moved.read(new.connection)
        if closed and closed.other != self._from:
            raise moved.MovedError(closed)
        if closed and closed.revision != SCHEMA:
            raise MoveError(
                f"目标库由另一版本的 hexi 写到一半（结构 {closed.revision}）：请换一个空库",
                f"the target was half filled by another version of hexi (schema {closed.revision}): "
                "name an empty database",
            )
        if closed is None:
            self._refuse_life()
        if closed is None or closed.why != "filling":
            new.commit()
            new.begin()
            moved.close(new.connection, "filling", self._from)
        new.commit()

    def _refuse_life(self) -> None:
        apart = {"setting", "process", "archive_erasure"}
        lively = [
            t.name for t in tables() if t.name not in apart and self._target.link.value(t.select().limit(1))
        ]
        if lively:
            raise MoveError(
                f"目标库 {self._to} 已有自己的数据（{lively[0]}）：请换一个空库",
                f"the target {self._to} has data of its own ({lively[0]}): name an empty database",
            )

    def copy(self, progress: Progress) -> Change:
        """Copy everything, or what is missing, beside the running platform."""
        self._make_days()
        done = self._walk(progress)
        if self._target.postgresql:
            self._target.connection.exec_driver_sql("ANALYZE")
            self._target.commit()
        return done

    def _make_days(self) -> None:
        """On PostgreSQL the days of the signals that will come."""
        if not self._target.postgresql:
            return
        first, last = self._source.connection.execute(
            text(
                "SELECT (SELECT received FROM signal ORDER BY seq LIMIT 1),"
                " (SELECT received FROM signal ORDER BY seq DESC LIMIT 1)"
            )
        ).one()
        self._source.pause()
        if first is not None and day_of(first) <= day_of(last) <= day_of(first) + MOST_DAYS * DAY:
            days = Days(self._target.connection.engine)
            days.make(range(day_of(first), day_of(last) + AHEAD * DAY + 1, DAY))

    def catch_up(self, progress: Progress) -> int:
        """Go over what has changed meanwhile; how many rows that were."""
        done = Change()
        for twin in self._twins:
            step = twin.catch_up if twin.name in GROWING else twin.sync
            done = done.plus(step(progress))
        return done.rows

    def _walk(self, progress: Progress) -> Change:
        """Compare every row of every table, and correct what differs."""
        done = Change()
        for twin in self._twins:
            done = done.plus(twin.sync(progress))
        return done

    def cut_over(self, progress: Progress) -> Moved:
        """The last part. BusyError while others work on the old database; MoveError when the sides differ.

        Whatever goes wrong, the old database is as it was and the new one stays closed.
        """
        try:
            self._hold()
            self.catch_up(progress)
            walks = self._walk_until_equal(progress)
            rows = self._count()
            self._set_sequences()
            moved.close(self._source.connection, "moved", self._to)
        except BaseException:
            self._source.rollback()
            raise
        self._source.commit()
        self._target.begin()
        moved.open_again(self._target.connection)
        self._target.commit()
        return Moved(rows, walks)

    def _walk_until_equal(self, progress: Progress) -> int:
        """The last of these walks has compared every row and found no difference; how many there were."""
        for walks in range(1, MOST_WALKS + 1):
            if not self._walk(progress).rows:
                return walks
        raise MoveError("两库始终不一致", "the two databases do not become equal")

    def _others_left(self) -> int:
        """How many connections others have; those of a process that has just ended go in a moment."""
        until = time.monotonic() + LEAVING
        while True:
            left = others(self._source.connection)
            self._source.commit()
            if not left or time.monotonic() > until:
                return left
            time.sleep(0.1)

    def _hold(self) -> None:
        """Keep everybody else from writing to the old database until the next commit."""
        old = self._source
        if not old.postgresql:
            old.begin()
            old.held = True
            return
        left = self._others_left()
        if left:
            raise BusyError(
                f"还有 {left} 个连接在使用源数据库：请停止所有 hexi 进程",
                f"{left} connections still use the database to move: stop every process of hexi",
            )
        names = ", ".join(f'"{table.name}"' for table in tables())
        old.connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
        old.connection.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")
        old.held = True

    def _count(self) -> dict[str, int]:
        """Rows by table; MoveError when the databases' own counts differ."""
        found = {}
        for twin in self._twins:
            left, right = twin.counts()
            if left != right:
                raise MoveError(
                    f"{twin.name}：{left} 行与 {right} 行", f"{twin.name}: {left} rows here, {right} there"
                )
            found[twin.name] = left
        return found

    def _set_sequences(self) -> None:
        """The next row of each numbered table gets the next number."""
        if not self._target.postgresql:
            return
        new = self._target.connection
        for table, column, sequence in new.execute(_SEQUENCES).all():
            _set_sequence(new, table, column, sequence)
        self._target.commit()


def _set_sequence(connection: Connection, table: str, column: str, sequence: str) -> None:
    last = connection.exec_driver_sql(f'SELECT max("{column}") FROM "{table}"').scalar()  # noqa: S608 -- names of the catalogue
    say = text("SELECT setval(CAST(:sequence AS regclass), :number, :used)")
    connection.execute(say, {"sequence": sequence, "number": last or 1, "used": last is not None})
