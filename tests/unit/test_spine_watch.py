"""Watch: silence, absence, sequences, how often, and trouble that is over; also across restarts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.unit.spine_world import World

from hexi.kernel.clock import HOUR
from hexi.kernel.ports import StoreError, Transaction
from hexi.spine import uplinks
from hexi.spine.records import keep
from hexi.spine.spine import Job
from hexi.spine.uplinks import Uplink


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.check()
    world.close()


def beat(world: World, hours: float) -> None:
    for _ in range(int(hours * 2)):
        world.send("heartbeat", "device:D9")
        world.wait("30m")


def no_space(_: Transaction) -> None:
    raise StoreError("no space left", kind="full")


def fail_to_commit(world: World, kind: str, subject: str, **data: Any) -> None:
    with pytest.raises(StoreError):
        world.spine.process([Job(signals=[world.signal(kind, subject, **data)]), Job(call=no_space)])


class TestSilence:
    def test_three_missed_beats_are_a_case_and_the_next_beats_end_it(self, world: World) -> None:
        beat(world, 24)
        assert not world.cases("t.silent")
        world.wait("4h")
        (case,) = world.cases("t.silent")
        assert case.device == "device:D9"
        beat(world, 4)
        assert world.case(case.id).outcome == "cleared"

    def test_a_device_never_heard_is_missed_too(self, world: World) -> None:
        world.wait("4h")
        assert len(world.cases("t.silent")) == 1

    def test_after_our_own_outage_it_has_a_whole_interval_again(self, world: World) -> None:
        beat(world, 2)
        world.clock.advance(20 * HOUR)
        world.restart()
        ready = world.clock.now()
        world.wait("179m")
        assert not world.cases("t.silent")
        world.wait("2m")
        (case,) = world.cases("t.silent")
        assert case.opened_at >= ready + 3 * HOUR

    def test_a_restart_does_not_bring_a_silent_device_back(self, world: World) -> None:
        world.wait("4h")
        (case,) = world.cases("t.silent")
        world.restart()
        world.wait("24h")
        assert world.case(case.id).is_open
        beat(world, 4)
        assert not world.case(case.id).is_open

    def test_a_beat_that_came_with_a_commit_that_failed_is_not_forgotten(self, world: World) -> None:
        world.wait("2h")
        fail_to_commit(world, "heartbeat", "device:D9")
        world.send("battery.low", "device:D2")
        world.wait("90m")
        assert not world.cases("t.silent")

    def test_it_is_watched_as_soon_as_it_is_registered_and_not_when_removed(self, world: World) -> None:
        world.change("device", "D7", type="sensor", heartbeat="10m")
        world.change("device", "D9", heartbeat="")
        world.wait("6h")
        assert [case.device for case in world.cases("t.silent")] == ["device:D7"]


class TestAbsence:
    def test_not_seen_between_the_hours(self, world: World) -> None:
        world.send("motion", "device:D2")
        world.wait("23h")
        (case,) = world.cases("t.still")
        assert case.subject == "person:E1"
        assert case.opened_at == world.clock.now()

    def test_seen_between_the_hours(self, world: World) -> None:
        for _ in range(3):
            world.send("motion", "device:D2")
            world.wait("22h")
            world.send("motion", "device:D2")
            world.wait("2h")
        assert not world.cases("t.still")

    def test_seen_only_before_the_hours(self, world: World) -> None:
        world.wait("18h")
        world.send("motion", "device:D2")
        world.wait("5h")
        assert len(world.cases("t.still")) == 1

    def test_a_restart_in_the_hours_changes_nothing(self, world: World) -> None:
        world.send("motion", "device:D2")
        world.wait("20h")
        world.restart()
        world.wait("3h")
        assert len(world.cases("t.still")) == 1

    def test_hours_that_ended_while_we_were_down_are_given_again(self, world: World) -> None:
        world.send("motion", "device:D2")
        world.send("motion", "device:D3")
        world.clock.advance(30 * HOUR)
        world.restart()
        world.settle(world.spine.tick())
        assert not world.cases("t.still")
        world.send("motion", "device:D3")
        world.wait("4h")
        assert [case.subject for case in world.cases("t.still")] == ["person:E1"]

    def test_watching_that_began_with_a_commit_that_failed_begins_with_the_next(self, world: World) -> None:
        fail_to_commit(world, "motion", "device:D2")
        world.send("motion", "device:D2")
        world.wait("48h")
        assert world.cases("t.still")


class TestSequence:
    def test_the_other_thing_did_not_follow(self, world: World) -> None:
        world.send("door.opened", "device:D2")
        world.wait("14m")
        assert not world.cases("t.door")
        world.wait("1m")
        assert [case.subject for case in world.cases("t.door")] == ["person:E1"]

    def test_it_followed_or_it_was_another_door(self, world: World) -> None:
        world.send("door.opened", "device:D2")
        world.send("door.opened", "device:D3")
        world.wait("5m")
        world.send("door.closed", "device:D2")
        world.wait("1h")
        assert [case.device for case in world.cases("t.door")] == ["device:D3"]

    def test_saying_again_that_it_is_open_does_not_start_the_time_anew(self, world: World) -> None:
        for _ in range(3):
            world.send("door.opened", "device:D2")
            world.wait("5m")
        assert len(world.cases("t.door")) == 1

    def test_after_a_restart_it_fires_at_once(self, world: World) -> None:
        world.send("door.opened", "device:D2")
        world.clock.advance(HOUR)
        world.restart()
        world.settle(world.spine.tick())
        assert len(world.cases("t.door")) == 1

    def test_whatever_the_first_signal_said(self, world: World) -> None:
        data = {"kind": "front", "subject": "x", "self": 1, "signal": {}, "by": "?"}
        world.take(msgspec.structs.replace(world.signal("door.opened", "device:D2"), data=data))
        world.wait("16m")
        assert len(world.cases("t.door")) == 1
        assert not world.cases("core.technical")


class TestOften:
    def test_only_the_third_in_time_counts(self, world: World) -> None:
        for _ in range(2):
            assert world.send("cough", "person:E1").case_id is None
        world.wait("11m")
        assert [bool(world.send("cough", "person:E1").case_id) for _ in range(3)] == [False, False, True]

    def test_three_in_one_batch(self, world: World) -> None:
        taken = world.take(*(world.signal("cough", "person:E1") for _ in range(3)))
        assert [bool(t.case_id) for t in taken] == [False, False, True]

    def test_of_one_person(self, world: World) -> None:
        assert not [i for i in range(9) if world.send("cough", f"person:N{i}").case_id]


def test_trouble_that_is_over_closes_by_itself(world: World) -> None:
    case = world.send("battery.low", "device:D2").case_id
    assert world.send("battery.ok", "device:D3").case_id is None
    assert world.case(case).is_open
    assert world.send("battery.ok", "device:D2").case_id == case
    assert (world.case(case).state, world.case(case).outcome) == ("closed", "cleared")


GATE = "mqtt:gate"


def hear_over(world: World, link: str | None, kind: str = "heartbeat", subject: str = "device:D9") -> None:
    world.spine.process([Job(signals=[world.signal(kind, subject)], link=link)])


def stand(world: World, *, up: bool) -> None:
    """The link goes up or down, and its holder goes on saying so for a day."""
    now = world.clock.now()
    state = Uplink(holder="a", beat=now + 24 * HOUR, up=up, since=now)
    with world.store.write() as tx:
        uplinks.declare(tx, [GATE])
        tx.settings.put(f"uplink/{GATE}", msgspec.json.encode(state).decode())


class TestUnheard:
    """While a link is down, its devices are unheard, not silent."""

    def test_a_dead_link_excuses_its_devices_and_then_gives_them_a_whole_interval(self, world: World) -> None:
        stand(world, up=True)
        hear_over(world, GATE)
        stand(world, up=False)
        world.wait("6h")
        assert not world.cases("t.silent")
        stand(world, up=True)
        back = world.clock.now()
        world.wait("179m")
        assert not world.cases("t.silent")
        world.wait("2m")
        (case,) = world.cases("t.silent")
        assert case.opened_at >= back + 3 * HOUR

    def test_also_when_another_process_looks_after_deadlines(self, world: World) -> None:
        stand(world, up=True)
        hear_over(world, GATE)
        world.restart()
        stand(world, up=False)
        world.wait("6h")
        assert not world.cases("t.silent")

    def test_a_device_heard_over_another_way_is_missed_all_the_same(self, world: World) -> None:
        stand(world, up=True)
        hear_over(world, GATE)
        hear_over(world, None)
        stand(world, up=False)
        world.wait("4h")
        assert len(world.cases("t.silent")) == 1

    def test_a_link_that_is_gone_from_the_settings_excuses_nobody(self, world: World) -> None:
        stand(world, up=False)
        hear_over(world, GATE)
        with world.store.write() as tx:
            uplinks.declare(tx, [])
        world.wait("4h")
        assert len(world.cases("t.silent")) == 1

    def test_a_record_that_is_changed_does_not_forget_the_link(self, world: World) -> None:
        stand(world, up=True)
        hear_over(world, GATE)
        with world.store.write() as tx:
            record = tx.records.get("device", "D9")
            assert record
            keep(tx, world.catalogue.record_kinds, msgspec.structs.replace(record, at=world.clock.now()))
        stand(world, up=False)
        world.wait("6h")
        assert not world.cases("t.silent")


class TestLastWill:
    """The broker says that a device has gone; a word from the device itself outweighs that."""

    def test_the_device_is_missed_within_minutes_and_its_word_ends_it(self, world: World) -> None:
        world.send("heartbeat", "device:D9")
        world.wait("1m")
        world.send("device.offline", "device:D9")
        world.wait("50s")
        assert not world.cases("t.silent")
        world.wait("20s")
        (case,) = world.cases("t.silent")
        world.send("device.online", "device:D9")
        assert world.case(case.id).outcome == "cleared"
        world.wait("170m")
        assert len(world.cases("t.silent")) == 1

    def test_one_that_connects_again_at_once_is_not_missed(self, world: World) -> None:
        world.send("device.offline", "device:D9")
        world.wait("30s")
        world.send("device.online", "device:D9")
        world.wait("170m")
        assert not world.cases("t.silent")
        world.send("device.offline", "device:D9")
        world.wait("2m")
        assert len(world.cases("t.silent")) == 1

    def test_a_will_told_again_and_again_is_one_case(self, world: World) -> None:
        world.send("device.offline", "device:D9")
        world.wait("2m")
        (case,) = world.cases("t.silent")
        for _ in range(3):
            world.send("device.offline", "device:D9")
            world.wait("30m")
        assert world.case(case.id).signals == case.signals
        assert len(world.cases("t.silent")) == 1

    def test_another_process_hears_the_device_come_back(self, world: World) -> None:
        world.send("device.offline", "device:D9")
        world.wait("2m")
        (case,) = world.cases("t.silent")
        world.restart()
        world.send("device.online", "device:D9")
        assert not world.case(case.id).is_open
