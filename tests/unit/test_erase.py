"""Erasing a person: nothing of them is left but ids, and every case and number stays."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from sqlalchemy import select
from tests.unit.spine_world import PEOPLE, World, catalogue, core_kinds

from hexi.adapters.sql.tables import metadata
from hexi.spine.erase import OpenCaseError, erase_person
from hexi.spine.rebuild import rebuild_all

PRIVATE = (
    "王秀英",
    "+8613900000001",
    "3-401",
    "女儿",
    "+8613800000011",
    "Son",
    "+8613800000012",
    "门口摔倒",
    "117.21,",
    "跌倒压力 93",
)


@pytest.fixture
def world():
    world = World()
    yield world
    world.close()


def closed_case(world: World) -> str:
    case_id = world.send("pendant.sos", "device:D1", reading="跌倒压力 93").case_id
    world.act(case_id, "acknowledged", "person:W1")
    world.act(case_id, "arrived", "person:W1", proof="claimed", text="门口摔倒")
    world.act(case_id, "commented", "person:W1", text="门口摔倒")
    world.act(case_id, "closed", "person:W1", outcome="门口摔倒")
    assert not world.case(case_id).is_open
    return str(case_id)


def erase(world: World, person: str = "E1"):
    with world.store.write() as tx:
        return erase_person(tx, core_kinds(), person, "user:amy", world.clock.now())


def everything(world: World) -> str:
    with world.store.read() as tx:
        rows = [tuple(r) for t in metadata.tables.values() for r in tx.link.query(select(t))]
    return str(rows)


def test_nothing_personal_is_left_anywhere_in_the_database(world):
    case_id = closed_case(world)
    before = everything(world)
    assert all(word in before for word in PRIVATE)
    case, numbers = world.case(case_id), measures(world, case_id)
    done = erase(world)
    left = everything(world)
    assert [word for word in PRIVATE if word in left] == []
    assert (done.contacts, sorted(done.devices), done.cases) == (["K1", "K2"], ["D1", "D2"], [case_id])
    assert done.versions == 1
    assert min(done.notes, done.notices, done.signals) >= 2
    case.place = replace(case.place, address=None, building=None, point=None)
    assert world.case(case_id) == case
    assert case.place.street
    assert measures(world, case_id) == numbers != []
    assert rebuild_all(world.store, catalogue(), repair=False).differences == []


def measures(world: World, case_id: str):
    with world.store.read() as tx:
        return tx.measures.of_case(case_id)


def test_other_people_keep_everything(world):
    closed_case(world)
    erase(world)
    with world.store.read() as tx:
        for identity in ("E2", "W1", "P1"):
            found = tx.records.get("person", identity)
            assert found is not None
            assert found.data == PEOPLE["person", identity]


def test_a_device_that_cries_afterwards_still_opens_a_case(world):
    erase(world)
    with world.store.read() as tx:
        device = tx.records.get("device", "D1")
        assert device is not None
        assert device.data == {"type": "pendant"}
    taken = world.send("pendant.sos", "device:D1")
    assert taken.case_id is not None
    assert world.case(taken.case_id).subject == "device:D1"


def test_an_open_case_keeps_its_data_and_nothing_is_half_erased(world):
    closed_case(world)
    world.wait("1h")
    open_case = world.send("pendant.sos", "device:D1").case_id
    before = everything(world)
    with pytest.raises(OpenCaseError, match=str(open_case)):
        erase(world)
    assert everything(world) == before


def test_who_erased_is_logged_and_who_still_names_the_person_is_told(world):
    done = erase(world, "W1")
    assert done.named_by == ["person:E1", "person:E2"]
    assert erase(world, "P1").named_by == ["roster:street-120103007"]
    with world.store.read() as tx:
        assert [(k.by, k.what) for k in tx.access.looks("person:W1", 9)] == [("user:amy", "erased")]
    with pytest.raises(KeyError):
        erase(world, "nobody")


def test_the_archive_is_told_of_everything_that_was_erased(world):
    case_id = closed_case(world)
    erase(world)
    with world.store.read() as tx:
        told = {(e.subject, e.until) for e in tx.archive.erasures()}
    subjects = ("person:E1", "device:D1", "device:D2", f"case:{case_id}")
    assert told == {(subject, world.clock.now()) for subject in subjects}
