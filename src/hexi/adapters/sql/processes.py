"""The processes of the installation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, select

from hexi.adapters.sql.link import replacing
from hexi.adapters.sql.tables import process
from hexi.adapters.sql.work import Work
from hexi.kernel.clock import Instant
from hexi.kernel.process import Process

_PUT = replacing(process)
_ALL = select(process).order_by(process.c.started, process.c.id)
_LEAVE = delete(process).where(process.c.id == bindparam("of"))
_FORGET = delete(process).where(process.c.seen_at < bindparam("before"))


class SqlProcesses:
    """``kernel.process.Processes``."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def put(self, process: Process) -> None:
        """Store a heartbeat."""
        values = msgspec.structs.asdict(process)
        lists = {name: " ".join(values[name]) for name in ("roles", "playing")}
        self._work.write(_PUT, **values | lists | {"standby": int(process.standby)})

    def all(self) -> list[Process]:
        """Everyone who has not left, the dead included, in the order they started."""
        return [_process(row) for row in self._work.link.run(_ALL)]

    def leave(self, identity: str) -> None:
        """A process has ended in peace: what it held is free."""
        self._work.write(_LEAVE, of=identity)

    def forget(self, seen_before: Instant) -> int:
        """Drop those that died long ago; says how many."""
        return self._work.write(_FORGET, before=seen_before).rowcount


def _process(row: Sequence[Any]) -> Process:
    values = dict(zip((c.name for c in process.c), row, strict=True))
    lists = {name: tuple(values[name].split()) for name in ("roles", "playing")}
    return Process(**values | lists | {"standby": bool(values["standby"])})
