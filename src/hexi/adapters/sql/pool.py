"""Connections to PostgreSQL: to which of several servers, how long to wait, and none that is dead."""

from __future__ import annotations

from time import monotonic
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DisconnectionError

from hexi.settings.servers import spread

WRITERS, READERS = 4, 16
"""Connections that are kept."""

PROVED = 1.0
"""Seconds after its last use for which a connection is taken to be alive; later it is asked first."""

PATIENCE = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "application_name": "hexi",
}
"""libpq's words, unless the URL says otherwise: a server that vanished without a word is given up soon."""

_WAITS = ("lock_timeout = '10s'", "idle_in_transaction_session_timeout = '15s'")
"""Nobody waits for ever for a lock, and a process that is frozen does not hold one for ever."""

_REPEATABLE_READ = 3
"""psycopg's number for it; psycopg itself is there only where it is used."""
_EMPTY_QUERY = 0


def read_address(url: str) -> URL:
    """A database's address, also with several servers: ``postgresql://user@a,b:5433/hexi``."""
    return make_url(spread(url))


def postgresql(url: URL) -> tuple[Engine, Engine]:
    """The engines that write and read."""
    patience = {name: value for name, value in PATIENCE.items() if name not in url.query}
    address = url.set(drivername="postgresql+psycopg").update_query_dict(patience)
    writing = create_engine(address, paramstyle="format", pool_size=WRITERS)
    reading = create_engine(address, paramstyle="format", pool_size=READERS)
    event.listen(writing, "connect", _set_up_writer)
    event.listen(reading, "connect", _set_up_reader)
    for engine in (writing, reading):
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", _ask)
    return writing, reading


def _set_up_writer(connection: Any, record: Any) -> None:
    connection.autocommit = True
    for wait in _WAITS:
        connection.execute(f"SET {wait}")
    connection.autocommit = False
    _note_use(connection, record)


def _set_up_reader(connection: Any, record: Any) -> None:
    connection.isolation_level = _REPEATABLE_READ
    connection.read_only = True
    _note_use(connection, record)


def _note_use(_: Any, record: Any) -> None:
    record.info["used"] = monotonic()


def _ask(connection: Any, record: Any, _: Any) -> None:
    """An empty query finds out, outside any transaction, whether the other side is still there."""
    if monotonic() - record.info["used"] < PROVED:
        return
    if connection.closed or connection.pgconn.exec_(b"").status != _EMPTY_QUERY:
        raise DisconnectionError
