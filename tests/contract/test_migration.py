"""A database of the first release, with a district's life in it, opens with the present build."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, inspect, make_url, select, text
from tests.unit.spine_world import World, catalogue, core_kinds

from hexi.adapters.sql import SCHEMA, open_store, schema
from hexi.adapters.sql.tables import metadata
from hexi.kernel.access import Account, Look, Token
from hexi.kernel.ports import Quarantined
from hexi.spine.rebuild import rebuild_all

Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An address at which there is no table yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'hexi.db'}"
        return
    server = make_url(request.getfixturevalue("postgresql_url"))
    name = f"earlier_{uuid4().hex}"
    engine = create_engine(server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def earlier(url: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Rows]:
    """A database at revision 0001 after a morning of cases, and every row in it."""
    monkeypatch.setattr(schema, "SCHEMA", "0001")
    world = World(url=url)
    _live(world)
    _be_used(world)
    world.close()
    monkeypatch.undo()
    assert _revision(url) == "0001"
    return url, _rows(url)


def _live(world: World) -> None:
    closed = world.send("pendant.sos", "device:D1").case_id
    world.act(closed, "acknowledged", "person:W1")
    world.act(closed, "arrived", "person:W1", proof="claimed")
    world.act(closed, "closed", "person:W1", outcome="送医", text="已送医院")
    world.send("battery.low", "device:D3")
    world.send("nobody.knows", "person:nobody")
    world.wait("1m")
    world.send("pendant.sos", "person:E2")
    world.wait("3m")


def _be_used(world: World) -> None:
    now = world.clock.now()
    item = Quarantined(
        id=0, received=now, link="http", content_type="json", reason="无法解码", raw=b"\x00\xff"
    )
    with world.store.write() as tx:
        tx.access.put_account(Account(login="amy", name="艾米", hash="x", role="admin"))
        tx.access.put_session("live", "amy", now + 1_000)
        tx.access.put_session("expired", "amy", now - 1_000)
        tx.access.put_token(Token(name="radar", hash="h1"))
        tx.access.looked(Look(at=now, by="user:amy", record="person:E1", what="door_code"))
        tx.heard.note({"device:D1": now})
        tx.quarantine.add(item)


def _engine(url: str) -> Engine:
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


def _rows(url: str) -> Rows:
    engine = _engine(url)
    with engine.connect() as connection:
        found = {
            name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for name, table in metadata.tables.items()
        }
    engine.dispose()
    return found


def _revision(url: str) -> str:
    engine = _engine(url)
    with engine.connect() as connection:
        found = str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())
    engine.dispose()
    return found


def _indexes(url: str, table: str) -> set[str | None]:
    engine = _engine(url)
    found = {index["name"] for index in inspect(engine).get_indexes(table)}
    engine.dispose()
    return found


def _check_open(url: str, rows: Rows) -> None:
    """The present build opens it: in place, every row kept, everything still follows from the logs."""
    store = open_store(url, core_kinds())
    assert store.schema_version == SCHEMA
    report = rebuild_all(store, catalogue(), repair=False)
    store.close()
    assert (report.cases, report.entries) == (len(rows["case_row"]), len(rows["case_log"]))
    assert report.differences == []
    assert _rows(url) == rows
    assert "ix_session_expires" in _indexes(url, "session")
    assert "ix_fold_until" in _indexes(url, "fold")


def test_a_database_of_the_first_release_keeps_every_row(earlier: tuple[str, Rows]) -> None:
    url, rows = earlier
    empty = {name for name, found in rows.items() if not found}
    assert not empty, "the earlier database should have rows everywhere"
    _check_open(url, rows)


def test_a_migration_killed_in_the_middle_is_done_at_the_next_start(earlier: tuple[str, Rows]) -> None:
    url, rows = earlier
    command = [sys.executable, "-m", "tests.contract.half_migrated", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
    assert said == "half\n"
    assert _revision(url) == "0001"
    assert _rows(url) == rows
    _check_open(url, rows)


def test_what_is_long_past_goes_from_an_earlier_database_too(earlier: tuple[str, Rows]) -> None:
    url, rows = earlier
    world = World(url=url)
    with world.store.write() as tx:
        kept = {row[0] for row in rows["session"]}
        assert kept == {"live", "expired"}
        assert tx.access.forget_sessions(2**60) == 2
        assert tx.cases.forget_folds(2**60) == len([row for row in rows["fold"] if row[2] is not None]) > 0
    world.check()
    world.close()
