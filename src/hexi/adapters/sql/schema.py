"""The version of the tables, and bringing a database to it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from hexi.kernel.text import Text

SCHEMA = "0005"
"""The revision this build works with."""


class NewerSchemaError(ValueError):
    """A database written by a newer build; this one must not touch it."""

    def __init__(self, present: str) -> None:
        super().__init__(f"the database is at schema {present}, newer than this build's {SCHEMA}")
        self.text = Text(
            zh=f"数据库由更新的版本写成（结构 {present}，本程序到 {SCHEMA}）：请升级 hexi，或恢复旧备份",
            en=f"the database was written by a newer hexi (schema {present}, this one knows {SCHEMA}): "
            "upgrade hexi, or restore an older backup",
        )


_ALONE = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(1751480425)"}
"""Only one process migrates."""


def _version_of(connection: Connection) -> str | None:
    """The revision a database stands at; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def bring_up(connection: Connection) -> None:
    """Run what is missing, inside the connection's transaction; NewerSchemaError for a newer database."""
    connection.exec_driver_sql(_ALONE[connection.dialect.name])
    present = _version_of(connection)
    if present == SCHEMA:
        return
    if present is not None and present > SCHEMA:
        raise NewerSchemaError(present)
    _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 -- 0.2 s that a start on a current database does not spend
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, SCHEMA)
