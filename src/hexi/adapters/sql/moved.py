"""The mark on a database whose life goes on elsewhere, or has not begun yet: nobody may work on it.

While a district moves, the new database says ``filling``; afterwards the old one says ``moved``. At no
moment are both open. The mark also stands where the revision is kept, so that builds which know nothing
of it refuse the database as too new.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import Connection, inspect, text

from hexi.adapters.sql.link import Link
from hexi.kernel.text import Text

NAME = "store.closed"
"""The setting that holds the mark."""

Why = Literal["filling", "moved"]

_READ = text("SELECT value FROM setting WHERE name = :name")
_CLOSE = text("INSERT INTO setting (name, value) VALUES (:name, :value)")
_OPEN = text("DELETE FROM setting WHERE name = :name")
_REVISION = text("SELECT version_num FROM alembic_version")
_SET_REVISION = text("UPDATE alembic_version SET version_num = :to")


class Closed(msgspec.Struct, frozen=True):
    """Why a database is closed, the address of the other one (never its password), and its own revision."""

    why: Why
    other: str
    revision: str


class MovedError(Exception):
    """The database is closed: it moved, or is still being filled."""

    def __init__(self, closed: Closed) -> None:
        self.closed = closed
        self.text = _TEXTS[closed.why](closed.other)
        super().__init__(self.text.en)


def _moved(other: str) -> Text:
    return Text(
        zh=f"数据已迁往 {other}，此库不再使用：请在设置 [database] 中改用新库；"
        "要迁回，运行 hexi migrate-store --back",
        en=f"this database has moved to {other} and is not used any more: name the new one under [database] "
        "in the settings; to move back run hexi migrate-store --back",
    )


def _filling(other: str) -> Text:
    return Text(
        zh=f"此库正在从 {other} 迁入，尚未完成：请再次运行 hexi migrate-store",
        en=f"this database is still being filled from {other}: run hexi migrate-store again to finish",
    )


_TEXTS = {"moved": _moved, "filling": _filling}


def read(connection: Connection) -> Closed | None:
    """The mark, or None when the database is open or empty."""
    if not inspect(connection).has_table("setting"):
        return None
    said = connection.execute(_READ, {"name": NAME}).scalar()
    return msgspec.json.decode(said, type=Closed) if said else None


def refuse(connection: Connection) -> None:
    """MovedError for a database that is closed."""
    closed = read(connection)
    if closed:
        raise MovedError(closed)


def refuse_change(link: Link) -> None:
    """MovedError for a change of a database that was closed while a command had it open.

    To be asked just before the commit, when nobody can close it any more.
    """
    said = link.value(_READ, name=NAME)
    if said:
        raise MovedError(msgspec.json.decode(said, type=Closed))


def close(connection: Connection, why: Why, other: str) -> None:
    """Mark it, inside the connection's transaction; an earlier mark gives way."""
    open_again(connection)
    revision = connection.execute(_REVISION).scalar_one()
    mark = msgspec.json.encode(Closed(why, other, revision)).decode()
    connection.execute(_CLOSE, {"name": NAME, "value": mark})
    connection.execute(_SET_REVISION, {"to": why})


def open_again(connection: Connection) -> None:
    """Take the mark away, inside the connection's transaction."""
    closed = read(connection)
    if closed:
        connection.execute(_OPEN, {"name": NAME})
        connection.execute(_SET_REVISION, {"to": closed.revision})
