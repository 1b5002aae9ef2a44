"""What a look at a PostgreSQL server finds: whether it keeps what the platform promises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, text

from hexi.adapters.sql.days import AHEAD, DEFAULT, day_of, partitions
from hexi.adapters.sql.schema import standing
from hexi.adapters.sql.store import connect, in_our_words
from hexi.kernel.clock import DAY
from hexi.kernel.text import Text

LEAST_VERSION = 15
FREE_CONNECTIONS = 20
"""Connections that should be free; one process takes as many at its busiest."""
LAG_BYTES = 64 * 1024 * 1024
LAG_SECONDS = 60
LONG_SECONDS = 3_600
"""A transaction open for longer keeps the server from tidying up."""

_FACTS = text(
    "SELECT current_setting('server_version_num')::int / 10000 AS version,"
    " current_setting('server_encoding') AS encoding,"
    " current_setting('synchronous_commit') AS synchronous_commit,"
    " current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,"
    " pg_is_in_recovery() AS standby,"
    " current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    " - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS free,"
    " (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now,"
    " pg_database_size(current_database()) AS size,"
    " (SELECT max(extract(epoch FROM clock_timestamp() - xact_start)) FROM pg_stat_activity"
    "  WHERE datname = current_database() AND pid <> pg_backend_pid()) AS longest"
)
_STANDBYS = text(
    "SELECT coalesce(nullif(application_name, ''), client_addr::text, '?') AS name, state, sync_state,"
    " pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS behind,"
    " extract(epoch FROM replay_lag) AS late FROM pg_stat_replication"
)
_BAD_INDEXES = text(
    "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
    " WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace"
)


class Sign(NamedTuple):
    """One thing that was looked at."""

    level: Literal["ok", "warning", "error"]
    message: Text


def _ok(zh: str, en: str) -> Sign:
    return Sign("ok", Text(zh=zh, en=en))


def _warning(zh: str, en: str) -> Sign:
    return Sign("warning", Text(zh=zh, en=en))


def _error(zh: str, en: str) -> Sign:
    return Sign("error", Text(zh=zh, en=en))


def examine(url: str) -> list[Sign]:
    """Everything that can be said of the server; StoreError when it cannot be reached."""
    writing, reading = connect(url)
    try:
        with in_our_words(writing), writing.connect() as connection:
            facts = connection.execute(_FACTS).one()
            found = [*_server(facts), *_durable(facts), *_room(facts), *_tables(connection)]
            if facts.standby:
                return [*found, _error("连接的是备库，不能写入", "this is a standby: it cannot be written")]
            return [*found, *_days(connection, facts.now), *_standbys(connection)]
    finally:
        reading.dispose()
        writing.dispose()


def _server(facts: Any) -> Iterator[Sign]:
    """Version and encoding."""
    if facts.version < LEAST_VERSION:
        yield _error(
            f"PostgreSQL {facts.version} 太旧，需要 {LEAST_VERSION} 以上",
            f"PostgreSQL {facts.version} is too old, {LEAST_VERSION} is the least",
        )
    else:
        size = f"{facts.size / 1024**3:.1f} GB"
        yield _ok(f"PostgreSQL {facts.version}，{size}", f"PostgreSQL {facts.version}, {size}")
    if facts.encoding != "UTF8":
        yield _error(
            f"数据库编码是 {facts.encoding}，必须是 UTF8：请用 createdb -E UTF8 重建",
            f"the database's encoding is {facts.encoding}, not UTF8: make it anew with createdb -E UTF8",
        )


def _durable(facts: Any) -> Iterator[Sign]:
    """Whether a commit is on the disk when the server says so."""
    wrong = [name for name in ("fsync", "full_page_writes") if getattr(facts, name) != "on"]
    if facts.synchronous_commit == "off":
        wrong.append("synchronous_commit")
    for name in wrong:
        yield _error(
            f"{name} 已关闭：断电会丢失已确认的求助；请在 postgresql.conf 中打开",
            f"{name} is off: a power cut loses cries that were acknowledged; turn it on in postgresql.conf",
        )
    if not wrong:
        yield _ok("提交即落盘", "a commit is on the disk when it is acknowledged")


def _room(facts: Any) -> Iterator[Sign]:
    """Connections, and transactions that nobody ends."""
    if facts.free < FREE_CONNECTIONS:
        yield _warning(
            f"只剩 {facts.free} 个空闲连接：请调大 max_connections",
            f"only {facts.free} connections are free: raise max_connections",
        )
    else:
        yield _ok(f"空闲连接 {facts.free}", f"{facts.free} connections are free")
    if (facts.longest or 0) > LONG_SECONDS:
        hours = facts.longest / 3600
        yield _warning(
            f"有事务已打开 {hours:.1f} 小时，妨碍清理和升级",
            f"a transaction has been open for {hours:.1f} hours; it keeps the server from tidying up",
        )


def _tables(connection: Connection) -> Iterator[Sign]:
    """What an interrupted migration left."""
    for name in connection.execute(_BAD_INDEXES).scalars():
        yield _warning(
            f"索引 {name} 未建成：REINDEX INDEX CONCURRENTLY {name}",
            f"the index {name} was left unfinished: REINDEX INDEX CONCURRENTLY {name}",
        )


def _days(connection: Connection, now: int) -> Iterator[Sign]:
    """The next days of the signals are there, once the tables are of this build."""
    now_at = standing(connection)
    if now_at.present is None or now_at.pending:
        return
    there = partitions(connection)
    days = [day_of(now) + n * DAY for n in range(1, AHEAD + 1)]
    ahead = sum(any(p.covers(day) for p in there) for day in days)
    if not ahead:
        yield _warning(
            "没有为明天准备信号分区：clock 角色在运行吗？",
            "tomorrow's signals have no partition yet: is a process with the role clock running?",
        )
    else:
        yield _ok(
            f"信号分区 {len(there)} 个，已备到 {ahead} 天后",
            f"{len(there)} partitions of signals, made {ahead} days ahead",
        )
    if connection.exec_driver_sql(f"SELECT 1 FROM {DEFAULT} LIMIT 1").scalar():  # noqa: S608 -- a name of ours
        yield _warning(
            "有信号落在默认分区（接收时刻不在任何一天的分区内）",
            "some signals lie in the default partition: they were received outside every day that was made",
        )


def _standbys(connection: Connection) -> Iterator[Sign]:
    """Whoever follows this server, and how far behind."""
    for one in connection.execute(_STANDBYS):
        behind, late = int(one.behind or 0), float(one.late or 0)
        who, size = f"{one.name} ({one.state}, {one.sync_state})", f"{behind / 1024**2:.1f} MB"
        zh, en = f"备库 {who} 落后 {size}，{late:.0f} 秒", f"standby {who}: {size}, {late:.0f} s behind"
        far = one.state != "streaming" or behind > LAG_BYTES or late > LAG_SECONDS
        yield _warning(zh, en) if far else _ok(zh, en)
