"""The scenarios are played on each database that can hold a district."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contract.conftest import postgresql_url  # noqa: F401 -- the server
from tests.contract.databases import database
from tests.scenario import world

from hexi.adapters.sql import open_store
from hexi.adapters.sql.store import SqlStore
from hexi.adapters.sql.tables import metadata


@pytest.fixture(scope="session")
def scenes(postgresql_url: str) -> Iterator[str]:  # noqa: F811
    """A database for worlds, one after the other."""
    with database(postgresql_url) as own:
        yield own


@pytest.fixture
def on_postgresql(scenes: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every world of the test lives on PostgreSQL, one after the other on the same empty tables."""
    ground = open_store(scenes)

    def fresh() -> str:
        _sweep(ground)
        return scenes

    monkeypatch.setattr(world, "DATABASES", [fresh])
    monkeypatch.setattr(world, "STORES", [ground])
    yield fresh()
    for store in world.STORES:
        store.close()


def _sweep(store: SqlStore) -> None:
    """Deleting a few rows is far quicker than truncating."""
    with store.write() as tx:
        for name in metadata.tables:
            tx.link.plain(f'DELETE FROM "{name}"')
