"""The small ports: when something was heard, what could not be decoded, facts by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update

from hexi.adapters.sql.link import Upsert, replacing
from hexi.adapters.sql.tables import heard, quarantine, setting
from hexi.adapters.sql.work import Work
from hexi.kernel.clock import Instant
from hexi.kernel.ports import Quarantined

_NOTE = Upsert(
    heard, 'ON CONFLICT ("key") DO UPDATE SET "at" = excluded."at" WHERE excluded."at" > heard."at"'
)
_LAST = select(heard.c.at).where(heard.c.key == bindparam("key"))

_KEEP = Upsert(quarantine, 'RETURNING "id"', skip=("id",))
_KEPT = select(quarantine).where(quarantine.c.id == bindparam("number"))
_LATEST = (
    select(quarantine).order_by(quarantine.c.id.desc()).limit(bindparam("most")).offset(bindparam("skip"))
)
_REPLAYED = (
    update(quarantine).where(quarantine.c.id == bindparam("number")).values(replayed_at=bindparam("to"))
)

_PUT = replacing(setting)
_VALUE = select(setting.c.value).where(setting.c.name == bindparam("name"))


class SqlHeard:
    """``kernel.ports.Heard``."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def note(self, heard: Mapping[str, Instant]) -> None:
        """Move the given keys forward to the given instants."""
        self._work.write_many(_NOTE, sorted(heard.items()))

    def last(self, key: str) -> Instant | None:
        """When a key was last heard."""
        at: Instant | None = self._work.link.value(_LAST, key=key)
        return at


class SqlQuarantine:
    """``kernel.ports.Quarantine``."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def add(self, item: Quarantined) -> int:
        """Keep it; returns its number (the given id is ignored)."""
        values = {name: _writable(value) for name, value in msgspec.structs.asdict(item).items()}
        del values["id"]
        [(number,)] = self._work.write(_KEEP, **values)
        return int(number)

    def get(self, number: int) -> Quarantined | None:
        """One of them, whole."""
        row = self._work.link.run(_KEPT, number=number).fetchone()
        return _quarantined(row) if row else None

    def find(self, limit: int, offset: int = 0) -> list[Quarantined]:
        """The latest first."""
        return [_quarantined(row) for row in self._work.link.run(_LATEST, most=limit, skip=offset)]

    def mark_replayed(self, number: int, at: Instant) -> None:
        """It has been taken after all."""
        self._work.write(_REPLAYED, number=number, to=at)


def _writable(value: Any) -> Any:
    """PostgreSQL's texts hold no NUL; a reason that quotes a device may. The bytes stay as they came."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _quarantined(row: Sequence[Any]) -> Quarantined:
    return Quarantined(**dict(zip((c.name for c in quarantine.c), row, strict=True)))


class SqlSettings:
    """``kernel.ports.Settings``."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def get(self, name: str) -> str | None:
        """A value, or None."""
        value: str | None = self._work.link.value(_VALUE, name=name)
        return value

    def put(self, name: str, value: str) -> None:
        """Set a value."""
        self._work.write(_PUT, name=name, value=value)
