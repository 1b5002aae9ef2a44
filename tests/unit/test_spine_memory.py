"""Memory: what the spine remembers of the directory is never older than the last change of a record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from tests.unit.spine_world import World, core_kinds

from hexi.adapters.sql import open_store
from hexi.kernel.case import Rung
from hexi.kernel.ports import StoreError, Transaction
from hexi.kernel.response import Receipt
from hexi.kernel.signal import Flag
from hexi.spine import directory, work
from hexi.spine.records import keep
from hexi.spine.spine import Job


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(url=f"sqlite:///{tmp_path / 'hexi.db'}")
    yield world
    world.check()
    world.close()


def elsewhere(world: World, kind: str, identity: str, **fields: object) -> None:
    """Another process changes a record."""
    with other(world) as tx:
        known = tx.records.get(kind, identity)
        data = (known.data if known else {}) | fields
        keep(tx, core_kinds(), world.record(kind, identity, data))


@contextmanager
def other(world: World) -> Iterator[Transaction]:
    """A transaction of another process."""
    store = open_store(f"sqlite:///{world.store._writing.url.database}", core_kinds())
    with store.write() as tx:
        yield tx
    store.close()


def press(world: World) -> str:
    world.wait("11m")  # the last case has been over for long
    return world.send("pendant.sos", "device:D1").case_id or ""


def over(world: World, case: str) -> None:
    world.act(case, "false_alarm", "person:W1", reason="test")


class TestChangedElsewhere:
    def test_a_device_given_to_somebody_else(self, world: World) -> None:
        assert world.case(press(world)).subject == "person:E1"
        elsewhere(world, "device", "D1", owner="E2")
        assert world.case(press(world)).subject == "person:E2"

    def test_a_person_who_has_moved(self, world: World) -> None:
        first = press(world)
        assert world.case(first).place.point is not None
        over(world, first)
        elsewhere(world, "person", "E1", lon=117.3, lat=39.2, address="9-901")
        second = world.case(press(world))
        assert (second.place.point.lon, second.place.point.lat) == (117.3, 39.2)  # type: ignore[union-attr]
        assert any("9-901" in notice.text for notice in world.sent if notice.case_id == second.id)

    def test_a_contact_who_came_and_one_whose_number_changed(self, world: World) -> None:
        over(world, press(world))
        elsewhere(world, "contact", "K9", name="邻居", person="E1", phone="+8613800000099", order=3)
        elsewhere(world, "contact", "K1", phone="+8613800000077")
        case = press(world)
        told = {(n.recipient, n.address) for n in world.sent if n.case_id == case and n.way == "call"}
        assert {("contact:K9", "+8613800000099"), ("contact:K1", "+8613800000077")} <= told

    def test_a_device_that_was_unknown(self, world: World) -> None:
        assert world.send("heartbeat", "device:NEW").flags == (Flag.UNKNOWN_DEVICE,)
        elsewhere(world, "device", "NEW", type="sensor")
        assert world.send("heartbeat", "device:NEW").flags == ()

    def test_a_device_that_was_taken_out(self, world: World) -> None:
        assert world.send("heartbeat", "device:D9").flags == ()
        with other(world) as tx:
            tx.records.put(msgspec.structs.replace(world.record("device", "D9", {}), deleted=True))
        assert world.send("heartbeat", "device:D9").flags == (Flag.UNKNOWN_DEVICE,)


class TestChangedHere:
    def test_between_two_signals_of_one_transaction(self, world: World) -> None:
        """The first is looked up before the change, the second after it."""

        def give(tx: Transaction) -> None:
            data = {"type": "pendant", "owner": "E2"}
            keep(tx, core_kinds(), world.record("device", "D1", data))

        before, after = (Job(signals=[world.signal("pendant.sos", "device:D1")]) for _ in range(2))
        world.settle(world.spine.process([before, Job(call=give), after]))
        subjects = [world.case(job.result[0].case_id).subject for job in (before, after)]
        assert subjects == ["person:E1", "person:E2"]

    def test_a_change_that_was_undone_is_not_remembered(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor when the next change of a record gets the very number that the undone one had."""
        give = Job(call=lambda tx: keep(tx, core_kinds(), world.record("device", "D1", {"owner": "E2"})))
        seen = Job(signals=[world.signal("pendant.sos", "device:D1")])

        def fails(_: object) -> None:
            raise StoreError("the disk is full", kind="full")

        with monkeypatch.context() as patch:
            patch.setattr(world.spine, "_finish", fails)
            with pytest.raises(StoreError):
                world.spine.process([give, seen])
        elsewhere(world, "person", "P1", name="另一位")
        assert world.case(press(world)).subject == "person:E1"


@pytest.mark.parametrize("kept", [20_000, 3])
def test_many_cries_at_once_find_whom_each_alone_finds(
    world: World, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(directory, "MOST_KEPT", kept)
    subjects = ["device:D1", "person:E2", "device:D3", "person:nobody", "device:unheard", "odd", "person:E1"]
    alone = [_found(world, [subject])[0] for subject in subjects]
    world.restart()
    assert _found(world, subjects) == alone
    assert len({told for told, *_ in alone}) > 2


def _found(world: World, subjects: list[str]) -> list[tuple[object, ...]]:
    """Who was told of a cry about each, and about whom; the cases are over afterwards."""
    world.wait("11m")
    taken = world.take(*(world.signal("pendant.sos", subject) for subject in subjects))
    world.wait("1s")
    found = []
    for one in taken:
        case = world.case(one.case_id)
        found.append((frozenset(world.told(one.case_id)), case.subject, case.place, one.flags))
    for case_id in {one.case_id for one in taken}:
        over(world, case_id or "")
    return found


def test_more_than_can_be_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "MOST_KEPT", 2)
    monkeypatch.setattr(work, "MOST_KNOWN", 2)
    for _ in range(2):
        assert world.case(press(world)).subject == "person:E1"
        flags = [world.send("heartbeat", f"device:{name}").flags for name in ("D1", "X", "D9", "D2")]
        assert flags == [(), (Flag.UNKNOWN_DEVICE,), (), ()]
    assert len(world.spine.means.memory.views.entries) <= 2
    assert len(world.spine.means.memory.known) <= 2


def test_more_links_than_can_be_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was forgotten is looked up again; what its deadline says stays right."""
    monkeypatch.setattr(work, "MOST_KNOWN", 2)
    names = ("D7", "D8", "D9")
    for name in names:
        world.change("device", name, type="sensor", heartbeat="10m")
    for link in ("mqtt:gate", "mqtt:other", "mqtt:gate"):
        for name in names:
            world.spine.process([Job(signals=[world.signal("heartbeat", f"device:{name}")], link=link)])
            assert len(world.spine.means.memory.links) <= 2
        with world.store.read() as tx:
            found = [tx.deadlines.get(f"silence/device:{name}") for name in names]
        assert [one.body["link"] for one in found if one] == [link] * 3


def test_many_receipts_at_once_are_each_in_their_case(world: World) -> None:
    subjects = ["device:D1", "person:E2"]
    told = world.spine.take([world.signal("pendant.sos", subject) for subject in subjects]).notices
    at = world.clock.now()
    receipts = [Receipt(notice_id=notice.id, at=at, rung=Rung.HANDED_OVER) for notice in told]
    unknown = Receipt(notice_id="unheard of", at=at, rung=Rung.HANDED_OVER)
    jobs = [Job(receipts=[receipt]) for receipt in (*receipts, unknown, receipts[0])]
    world.spine.process([Job(signals=[world.signal("pendant.sos", "device:D1")]), *jobs])
    assert len({notice.case_id for notice in told}) == len(subjects)
    for notice in told:
        assert world.case(notice.case_id).notices[notice.id].rungs["L1"] == at
        assert world.kinds(notice.case_id).count("receipt") == sum(n.case_id == notice.case_id for n in told)
