"""The scenarios are played on each database that can hold a district."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contract.conftest import empty, postgresql_url  # noqa: F401 -- the server
from tests.scenario import world

from hexi.adapters.sql import open_store


@pytest.fixture
def on_postgresql(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:  # noqa: F811
    """Every world of the test lives on PostgreSQL, one after the other on the same empty tables."""

    def fresh() -> str:
        open_store(postgresql_url).close()
        empty(postgresql_url)
        return postgresql_url

    monkeypatch.setattr(world, "DATABASES", [fresh])
    monkeypatch.setattr(world, "STORES", [])
    yield fresh()
    for store in world.STORES:
        store.close()
