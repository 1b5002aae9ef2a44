"""The revisions make the tables the code works with, on each database."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from hexi.adapters.sql import SCHEMA, migrate, open_store
from hexi.adapters.sql.tables import metadata


def _engine_url(url: str) -> str:
    return url.replace("postgresql:", "postgresql+psycopg:")


PARTITIONS = ("signal_default", "signal_2")
"""What only PostgreSQL has: the days of the signals, and an index for reading an hour of them."""


def _in_both(_: Any, name: str | None, kind: str, *__: Any) -> bool:
    only_there = PARTITIONS if kind == "table" else ("ix_signal_received",)
    return not str(name).startswith(only_there)


def test_the_revisions_make_exactly_the_tables(shared_url: str) -> None:
    engine = create_engine(_engine_url(shared_url))
    with engine.connect() as connection:
        options = {"compare_type": True, "include_object": _in_both}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_every_table_has_the_key_it_is_found_by(shared_url: str) -> None:
    engine = create_engine(_engine_url(shared_url))
    there = inspect(engine)
    keys = {name: there.get_pk_constraint(name)["constrained_columns"] for name in metadata.tables}
    engine.dispose()
    days = {"signal": ["seq", "received"]} if there.dialect.name == "postgresql" else {}
    assert keys == {t.name: [c.name for c in t.primary_key] for t in metadata.sorted_tables} | days


def test_opening_twice_changes_nothing(shared_url: str) -> None:
    store = open_store(shared_url)
    with store.write() as tx:
        tx.settings.put("a", "b")
    store.close()
    assert migrate(shared_url) == SCHEMA
    store = open_store(shared_url)
    with store.read() as tx:
        assert tx.settings.get("a") == "b"
    assert store.schema_version == SCHEMA
    store.close()


def _become_newer(url: str, compatible: str) -> None:
    engine = create_engine(_engine_url(url))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        said = text("UPDATE setting SET value = :least WHERE name = 'schema.compatible'")
        assert connection.execute(said, {"least": compatible}).rowcount == 1
    engine.dispose()


def test_a_newer_build_that_only_added_leaves_the_database_to_this_one(file_url: str) -> None:
    open_store(file_url).close()
    _become_newer(file_url, SCHEMA)
    store = open_store(file_url)
    with store.write() as tx:
        tx.settings.put("a", "b")
    assert store.schema_version == "9999"
    store.close()


def test_a_database_of_a_newer_build_that_took_something_away_is_refused(file_url: str) -> None:
    open_store(file_url).close()
    _become_newer(file_url, "9998")
    with pytest.raises(ValueError, match="newer"):
        open_store(file_url)
