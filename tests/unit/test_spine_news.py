"""News about a case: the person has moved, a device is back, a reminder, a false alarm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.spine_world import World

from hexi.kernel.place import Point


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.check()
    world.close()


def test_a_cry_from_elsewhere_moves_the_open_case(world: World) -> None:
    case = world.send("pendant.sos", "person:E1").case_id or ""
    home = world.case(case).place.point
    again = world.send("cord.sos", "person:E1", lon=117.25, lat=39.05)
    assert again.case_id == case
    assert world.case(case).place.point == Point(117.25, 39.05) != home
    world.send("pendant.sos", "person:E1")
    assert world.case(case).place.point == Point(117.25, 39.05)


def test_the_first_word_of_a_silent_device_ends_its_case_at_once(world: World) -> None:
    world.wait("4h")
    (case,) = world.cases("t.silent")
    world.send("heartbeat", "device:D9")
    assert world.case(case.id).outcome == "cleared"
    world.wait("4h")
    assert len(world.cases("t.silent")) == 2


def test_urgent_reminders_keep_their_pace_and_others_slow_down(world: World) -> None:
    gentle = world.send("battery.low", "device:D2").case_id or ""
    world.wait("3d")
    begun = world.kinds(gentle).count("escalated")
    world.wait("1d")
    assert 1 <= world.kinds(gentle).count("escalated") - begun <= 12
    ways = {n.way for n in world.case(gentle).notices.values() if n.role == "duty"}
    assert "call" not in ways
    urgent = world.send("pendant.sos", "person:E1").case_id or ""
    world.wait("2h")
    assert world.kinds(urgent).count("escalated") >= 20


def test_a_false_alarm_was_answered_and_owes_no_arrival(world: World) -> None:
    case = world.send("pendant.sos", "person:E1").case_id or ""
    world.wait("30s")
    world.act(case, "false_alarm", "user:desk", reason="按错了")
    milestones = world.case(case).milestones
    assert milestones["answered"] - world.case(case).opened_at == 30_000
    assert "arrived" not in milestones
