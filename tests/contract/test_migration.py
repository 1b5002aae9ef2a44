"""A database of the first release with a district's life in it opens with this build, and goes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData, inspect
from tests.contract.databases import (
    Rows,
    database,
    engine_of,
    kill_half_migrated,
    revision,
    rows,
    shape_of,
)
from tests.unit.spine_world import World, catalogue, core_kinds

from hexi.adapters.sql import SCHEMA, open_store
from hexi.adapters.sql.schema import OLDEST, bring_down
from hexi.kernel.access import Account, Look, Token
from hexi.kernel.ports import Quarantined, StoreError
from hexi.spine.rebuild import rebuild_all


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An address at which there is no table yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'hexi.db'}"
        return
    with database(request.getfixturevalue("postgresql_url")) as found:
        yield found


@pytest.fixture
def earlier(url: str) -> tuple[str, MetaData, Rows]:
    """A database of the first release after a morning of cases, its tables, and every row in it."""
    world = World(url=url)
    _live(world)
    _be_used(world)
    world.close()
    _go_back(url)
    assert revision(url) == OLDEST
    shape = shape_of(url)
    return url, shape, rows(url, shape)


def _go_back(url: str) -> None:
    with engine_of(url) as engine:
        bring_down(engine, OLDEST)


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


def _check_open(url: str, shape: MetaData, before: Rows) -> None:
    """The present build opens it: in place, every row kept, everything still follows from the logs."""
    store = open_store(url, core_kinds())
    assert store.schema_version == SCHEMA
    report = rebuild_all(store, catalogue(), repair=False)
    store.close()
    assert (report.cases, report.entries) == (len(before["case_row"]), len(before["case_log"]))
    assert report.differences == []
    assert rows(url, shape) == before


def test_a_database_of_the_first_release_keeps_every_row(earlier: tuple[str, MetaData, Rows]) -> None:
    url, shape, before = earlier
    empty = {name for name, found in before.items() if not found}
    assert not empty, "the earlier database should have rows everywhere"
    _check_open(url, shape, before)


def test_a_migration_killed_in_the_middle_is_done_at_the_next_start(
    earlier: tuple[str, MetaData, Rows],
) -> None:
    url, shape, before = earlier
    kill_half_migrated(url, "ALTER TABLE notice ADD")
    assert revision(url) == OLDEST
    assert rows(url, shape) == before
    _check_open(url, shape, before)


def test_a_key_half_exchanged_is_exchanged_at_the_next_start(earlier: tuple[str, MetaData, Rows]) -> None:
    url, shape, before = earlier
    kill_half_migrated(url, "CONSTRAINT pk_measure")
    assert revision(url) in {OLDEST, "0005"}
    assert rows(url, shape) == before
    _check_open(url, shape, before)
    with engine_of(url) as engine:
        there = inspect(engine)
        assert there.get_pk_constraint("measure")["constrained_columns"] == ["case_id", "indicator"]
        assert [index["name"] for index in there.get_indexes("measure")] == ["ix_measure_figure"]


def test_there_and_back_again_changes_nothing(earlier: tuple[str, MetaData, Rows]) -> None:
    url, shape, before = earlier
    open_store(url).close()
    with engine_of(url) as engine:
        present = set(inspect(engine).get_table_names())
    _go_back(url)
    assert revision(url) == OLDEST
    assert rows(url) == before
    assert "process" in present
    with engine_of(url) as engine:
        assert "process" not in inspect(engine).get_table_names()
    _check_open(url, shape, before)


@pytest.mark.parametrize("to", ["0001", "0009", "nowhere"])
def test_a_way_back_that_is_none_is_refused(url: str, to: str) -> None:
    open_store(url).close()
    with engine_of(url) as engine, pytest.raises(ValueError, match=to):
        bring_down(engine, to)
    assert revision(url) == SCHEMA


@pytest.mark.postgresql
def test_there_is_no_way_back_while_others_are_connected(postgresql_url: str) -> None:
    with database(postgresql_url) as url:
        store = open_store(url)
        with pytest.raises(StoreError) as told:
            _go_back(url)
        store.close()
        assert told.value.kind == "locked"
        assert revision(url) == SCHEMA
        _go_back(url)
        assert revision(url) == OLDEST


def test_what_is_long_past_goes_from_an_earlier_database_too(earlier: tuple[str, MetaData, Rows]) -> None:
    url, _, before = earlier
    world = World(url=url)
    with world.store.write() as tx:
        kept = {row[0] for row in before["session"]}
        assert kept == {"live", "expired"}
        assert tx.access.forget_sessions(2**60) == 2
        assert tx.cases.forget_folds(2**60) == len([row for row in before["fold"] if row[2] is not None]) > 0
    world.check()
    world.close()
