"""The revisions make the tables the code works with, on each database."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from hexi.adapters.sql import SCHEMA, migrate, open_store
from hexi.adapters.sql.tables import metadata


def _engine_url(url: str) -> str:
    return url.replace("postgresql:", "postgresql+psycopg:")


def test_the_revisions_make_exactly_the_tables(shared_url: str) -> None:
    engine = create_engine(_engine_url(shared_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


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


def test_a_database_of_a_newer_build_is_refused(file_url: str) -> None:
    open_store(file_url).close()
    engine = create_engine(file_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(ValueError, match="newer"):
        open_store(file_url)
