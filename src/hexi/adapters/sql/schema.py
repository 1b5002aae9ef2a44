"""The version of the tables, and bringing a database to it.

SQLite is brought up in one transaction: whoever is killed in it has changed nothing. PostgreSQL is
brought up while other processes go on writing, see ``online``. docs/why/migrations.md has the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

from hexi.adapters.sql import online
from hexi.kernel.ports import StoreError
from hexi.kernel.text import Text

SCHEMA = "0006"
"""The revision this build works with."""

COMPATIBLE = "0002"
"""The least revision whose build may work on the tables of this one; raised when something goes away."""

OLDEST = "0002"
"""The revision of the first release; a way back ends there."""

COMPATIBLE_NAME = "schema.compatible"
"""The setting in which a database says which builds may work on it."""

_LEAST = text("SELECT value FROM setting WHERE name = :name")
_SAY = text(
    "INSERT INTO setting (name, value) VALUES (:name, :value)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


class NewerSchemaError(ValueError):
    """A database written by a newer build; this one must not touch it."""

    def __init__(self, present: str) -> None:
        super().__init__(f"the database is at schema {present}, newer than this build's {SCHEMA}")
        self.text = Text(
            zh=f"数据库由更新的版本写成（结构 {present}，本程序到 {SCHEMA}）：请升级 hexi，或恢复旧备份",
            en=f"the database was written by a newer hexi (schema {present}, this one knows {SCHEMA}): "
            "upgrade hexi, or restore an older backup",
        )


@dataclass(frozen=True)
class Standing:
    """Where a database stands: its revision (None: empty) and the least revision a build must know."""

    present: str | None
    compatible: str | None = None

    @property
    def newer(self) -> bool:
        """Written by a newer build."""
        return self.present is not None and self.present > SCHEMA

    @property
    def usable(self) -> bool:
        """This build may work on it as it stands."""
        return self.present == SCHEMA or (
            self.newer and self.compatible is not None and self.compatible <= SCHEMA
        )

    @property
    def pending(self) -> list[Revision]:
        """What a start of this build would still do to it."""
        if self.newer:
            return []
        return [r for r in revisions() if (self.present or "") < r.name <= SCHEMA]


@dataclass(frozen=True)
class Revision:
    """One step of the tables."""

    name: str
    title: str
    module: Any

    @property
    def online(self) -> bool:
        """Whether most of its work on PostgreSQL is done outside a transaction."""
        return hasattr(self.module, "prepare")


@cache
def revisions() -> tuple[Revision, ...]:
    """Every revision, the oldest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 -- see _config

    scripts = ScriptDirectory.from_config(_config())
    found = [Revision(s.revision, (s.doc or "").rstrip("."), s.module) for s in scripts.walk_revisions()]
    return tuple(reversed(found))


def _config() -> Any:
    from alembic.config import Config  # noqa: PLC0415 -- 0.2 s that a start on a current database does not spend

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config


def standing(connection: Connection) -> Standing:
    """Where a database stands."""
    if not inspect(connection).has_table("alembic_version"):
        return Standing(None)
    present = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if present is None:
        return Standing(None)
    return Standing(str(present), connection.execute(_LEAST, {"name": COMPATIBLE_NAME}).scalar())


def bring_up(engine: Engine) -> None:
    """Run what is missing; NewerSchemaError for a database this build must not touch."""
    with engine.connect() as connection:
        if _ready(standing(connection)):
            return
    if engine.dialect.name == "postgresql":
        _bring_up_online(engine)
        return
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        if not _ready(standing(connection)):
            step(connection, SCHEMA)
        connection.commit()


def _ready(now: Standing) -> bool:
    """Whether nothing is to be done; NewerSchemaError when nothing may be done."""
    if now.newer and not now.usable:
        raise NewerSchemaError(str(now.present))
    return now.usable


def _bring_up_online(engine: Engine) -> None:
    """One revision after the other, each in a transaction of its own with short waits for locks."""
    with online.alone(engine) as connection:
        now = standing(connection)
        connection.commit()
        if _ready(now):
            return
        for revision in now.pending:
            if revision.online:
                online.prepare(connection, revision.module)
            online.patiently(connection, lambda name=revision.name: step(connection, name))  # type: ignore[misc]


def bring_down(engine: Engine, to: str) -> None:
    """Undo revisions down to ``to``, half done ones too, so that its build starts; the rows stay.

    ValueError for a revision that is unknown, newer than the present one or older than the first release;
    StoreError ``locked`` while anybody else is connected.
    """
    known = [revision.name for revision in revisions()]
    with engine.connect() as connection:
        present = standing(connection).present
    if to not in known or not OLDEST <= to <= (present or ""):
        raise ValueError(to)
    if engine.dialect.name == "postgresql":
        with online.alone(engine) as connection:
            if online.others(connection):
                raise StoreError("other connections use the database", kind="locked")
            online.patiently(connection, lambda: _step_down(connection, to))
        return
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        step(connection, to, down=True)
        connection.commit()


def _step_down(connection: Connection, to: str) -> None:
    """Go back, and undo what a revision that was killed before its end had prepared."""
    for revision in reversed(standing(connection).pending):
        if hasattr(revision.module, "abandon"):
            revision.module.abandon(connection)
    step(connection, to, down=True)


def step(connection: Connection, to: str, *, down: bool = False) -> None:
    """Go to a revision inside the connection's transaction, and say which builds may work on it."""
    from alembic import command  # noqa: PLC0415 -- see _config

    config = _config()
    config.attributes["connection"] = connection
    (command.downgrade if down else command.upgrade)(config, to)
    connection.execute(_SAY, {"name": COMPATIBLE_NAME, "value": min(COMPATIBLE, to)})
