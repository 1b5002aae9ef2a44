"""``hexi processes``: who is there, who does what, and who has died."""

from __future__ import annotations

import typer
from rich.table import Table

from hexi.adapters.clock import DatabaseClock
from hexi.adapters.sql import open_store
from hexi.adapters.sql.pulse import measure
from hexi.cli import common
from hexi.kernel.clock import SECOND, Instant, format_instant
from hexi.kernel.process import Process
from hexi.kernel.text import Text

_COLUMNS = (
    ("主机", "host"),
    ("进程号", "pid"),
    ("角色", "roles"),
    ("正在承担", "playing"),
    ("状态", "state"),
    ("版本", "version"),
    ("启动", "started"),
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("processes")(processes)


def processes(as_json: common.AsJson = False) -> None:
    """List the processes of the platform on PostgreSQL; those that died are shown for an hour."""
    of = common.settings()
    if of.database_url().startswith("sqlite"):
        common.say(
            "SQLite 上只有一个进程，承担全部角色", "on SQLite there is one process, and it plays all roles"
        )
        return
    found, now = _look(of.database_url())
    if as_json:
        common.print_json([_plain(one, now) for one in found])
        return
    table = Table(box=None, pad_edge=False)
    for zh, en in _COLUMNS:
        table.add_column(common.words(Text(zh=zh, en=en)), no_wrap=True)
    for one in found:
        roles, playing = " ".join(one.roles), " ".join(one.playing) or "-"
        shown = (one.host, str(one.pid), roles, playing, _state(one, now), one.version)
        table.add_row(*shown, format_instant(one.started))
    common.out.print(table)


def _look(url: str) -> tuple[list[Process], Instant]:
    """Everyone, and the time by the clock of the database, as heartbeats have it."""
    store, clock = open_store(url), DatabaseClock()
    try:
        with store.alone() as tx:
            measure(tx, clock)
            return tx.processes.all(), clock.now()
    finally:
        store.close()


def _state(one: Process, now: Instant) -> str:
    if not one.alive(now):
        ago = (now - one.seen_at) // SECOND
        return common.words(Text(zh=f"失联 {ago} 秒", en=f"dead for {ago} s"))
    if not one.playing:
        return common.words(Text(zh="待命", en="stands by"))
    return common.words(Text(zh="运行", en="alive"))


def _plain(one: Process, now: Instant) -> dict[str, object]:
    return {
        "id": one.id,
        "host": one.host,
        "pid": one.pid,
        "roles": one.roles,
        "playing": one.playing,
        "standby": one.standby,
        "alive": one.alive(now),
        "version": one.version,
        "started": format_instant(one.started),
        "seen": format_instant(one.seen_at),
    }
