"""People: who is told when and how often, whose answer counts for what, and how silence climbs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.spine_world import NIGHT, STREET, World

from hexi.kernel.case import Rung
from hexi.kernel.clock import MINUTE, SECOND
from hexi.kernel.response import RETRY_AFTER, Notice

DESK, DISTRICT = f"roster:street-{STREET}", "roster:district"


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.check()
    world.close()


def press(world: World) -> str:
    return world.send("pendant.sos", "device:D1").case_id or ""


def stored(world: World, case: str, recipient: str, way: str) -> Notice:
    with world.store.read() as tx:
        return next(n for n in tx.notices.of_case(case) if (n.recipient, n.way) == (recipient, way))


class TestNeed:
    def test_the_daughter_does_not_silence_the_steward(self, world: World) -> None:
        case = press(world)
        world.act(case, "set_off", "contact:K1")
        world.wait("2m")
        assert "acknowledged" not in world.case(case).milestones
        assert {DESK} <= world.told(case)
        assert world.case(case).promises["acknowledged"].missed

    def test_the_stewards_answer_keeps_the_promise_and_skips_the_step(self, world: World) -> None:
        case = press(world)
        world.act(case, "acknowledged", "person:W1")
        world.wait("3m")
        found = world.case(case)
        assert found.promises["acknowledged"].kept
        assert found.steps["t.sos#3"].skipped == "steward.acknowledged"
        assert DESK not in world.told(case)

    def test_who_takes_an_answer_back_is_not_relied_upon(self, world: World) -> None:
        case = press(world)
        world.act(case, "acknowledged", "person:W1")
        world.act(case, "declined", "person:W1", reason="在医院")
        assert "steward.declined" in [e.body.get("reason") for e in world.log(case)]
        assert DESK in world.told(case)
        world.wait("2m")
        assert world.case(case).steps["t.sos#3"].run

    def test_who_declines_and_then_comes_counts(self, world: World) -> None:
        case = press(world)
        world.act(case, "declined", "person:W1")
        world.act(case, "set_off", "person:W1")
        steward = world.case(case).roles["steward"]
        assert (steward.satisfied, steward.declined) == (True, {})

    def test_declining_three_times_goes_up_once(self, world: World) -> None:
        for centre in ("S1", "S2"):
            world.change("centre", centre, hours="00:00-00:01")
        case = press(world)
        for _ in range(3):
            world.act(case, "declined", "person:W1")
        assert world.kinds(case).count("escalated") == 1

    def test_an_answer_stops_what_still_waits_for_that_person_only(self, world: World) -> None:
        world.down = {"call"}
        case = press(world)
        world.act(case, "acknowledged", "person:W1")
        assert stored(world, case, "person:W1", "call").state == "dropped"
        assert stored(world, case, "contact:K1", "call").state == "waiting"


class TestClimbing:
    def test_silence_goes_to_the_street_then_the_district_then_again(self, world: World) -> None:
        case = press(world)
        world.wait("61s")
        assert (world.case(case).level, DISTRICT in world.told(case)) == ("street", False)
        world.wait("5m")
        assert (world.case(case).level, DISTRICT in world.told(case)) == ("district", True)
        before = world.kinds(case).count("escalated")
        world.wait("10m")
        assert world.kinds(case).count("escalated") >= before + 2

    def test_an_earlier_answer_of_the_street_does_not_silence_the_district(self, world: World) -> None:
        case = press(world)
        world.wait("61s")
        world.act(case, "acknowledged", "person:P1", role="duty")
        world.wait("10m")
        assert world.case(case).level == "street"
        world.wait("5m")
        sent = len(world.sent)
        world.wait("5m")
        assert len(world.sent) > sent
        world.act(case, "acknowledged", "person:P1", role="duty")
        sent = len(world.sent)
        world.wait("1h")
        assert len(world.sent) == sent

    def test_a_single_promise_climbs_to_the_top_too(self, world: World) -> None:
        case = world.send("battery.low", "device:D2").case_id or ""
        world.wait("3d")
        world.wait("11m")
        assert (world.case(case).level, DISTRICT in world.told(case)) == ("district", True)

    def test_a_promise_that_fell_due_while_down_fires_at_once(self, world: World) -> None:
        case = press(world)
        world.clock.advance(20 * MINUTE)
        world.restart()
        world.settle(world.spine.tick())
        found = world.case(case)
        assert {n for n, p in found.promises.items() if p.missed} == {"acknowledged", "arrived"}
        assert found.steps["t.sos#3"].run == world.clock.now()
        assert DISTRICT in world.told(case)

    def test_an_open_case_always_waits_for_something(self, world: World) -> None:
        case = press(world)
        for _ in range(60):
            world.wait("5m")
            assert world.deadlines(case)

    def test_a_whistled_unit_that_does_not_report(self, world: World) -> None:
        world.spoil("unit", "U1", name="燃气公司", phone="+8610000001", level="district")
        for reports in (True, False):
            case = world.send("battery.low", "device:D2" if reports else "device:D3").case_id or ""
            assert world.act(case, "whistled", "user:desk", unit="U1", within="30m").fate == "accepted"
            if reports:
                assert world.act(case, "checked_in", "unit:U1").fate == "accepted"
            world.wait("31m")
            assert ("escalated" in world.kinds(case)) is not reports


class TestWays:
    def test_everyone_shares_one_moment(self, world: World) -> None:
        case = world.case(press(world))
        first = [n for n in case.notices.values() if n.step != "t.sos#3"]
        assert {(n.recipient, n.way) for n in first} == {
            ("contact:K1", "call"),
            ("contact:K1", "app"),
            ("contact:K2", "call"),
            ("contact:K2", "app"),
            ("person:W1", "call"),
            ("centre:S1", "call"),
        }
        assert {n.t0 for n in first} == {case.opened_at}

    def test_a_closed_centre_is_passed_over(self) -> None:
        world = World(NIGHT)
        assert {"centre:S2"} <= world.told(press(world))
        assert "centre:S1" not in world.told(world.ids()[0])

    def test_retries_wait_longer_each_time_and_end(self, world: World) -> None:
        world.down = {("person:W1", "call")}
        case, t0 = press(world), world.clock.now()
        at = [t0]
        for wait in RETRY_AFTER:
            at.append(at[-1] + wait)
            assert stored(world, case, "person:W1", "call").next_at == at[-1]
            world.wait(f"{wait}ms")
        notice = stored(world, case, "person:W1", "call")
        assert (notice.state, notice.attempts) == ("failed", len(RETRY_AFTER) + 1)
        assert stored(world, case, "person:W1", "sms").state == "handed"
        assert [n.id for n in world.sent].count(notice.id) == len(RETRY_AFTER) + 1

    def test_else_by_comes_only_when_every_way_of_the_person_failed(self, world: World) -> None:
        case = press(world)
        world.wait("5m")
        assert not [n for n in world.case(case).notices.values() if n.way == "sms" and n.role == "steward"]

    def test_a_permanent_failure_does_not_wait(self, world: World) -> None:
        world.held = {"call"}
        case = press(world)
        world.report(stored(world, case, "person:W1", "call"), error="no such number", permanent=True)
        assert stored(world, case, "person:W1", "sms").state == "handed"

    def test_nobody_of_a_needed_role_to_reach_goes_up_at_once(self, world: World) -> None:
        world.down = {"app"}
        case = world.send("battery.low", "device:D2").case_id or ""
        world.wait("2m")
        assert "family.unreached" in [e.body.get("reason") for e in world.log(case)]
        assert DESK in world.told(case)

    def test_quiet_hours_hold_what_is_gentle_and_not_what_is_urgent(self) -> None:
        world = World(NIGHT)
        gentle = world.send("battery.low", "device:D2").case_id or ""
        urgent = press(world)
        assert stored(world, gentle, "contact:K1", "app").state == "waiting"
        assert stored(world, gentle, "contact:K2", "app").state == "handed"
        assert stored(world, urgent, "contact:K1", "app").state == "handed"
        world.wait("7h")
        assert stored(world, gentle, "contact:K1", "app").state == "waiting"
        world.wait("30m")
        assert stored(world, gentle, "contact:K1", "app").state == "handed"

    def test_a_number_changed_mid_case_is_used_by_the_next_notice(self, world: World) -> None:
        world.down = {("person:W1", "call")}
        case = press(world)
        world.change("person", "W1", phone="+8613799999999")
        world.wait("70s")
        assert stored(world, case, "person:W1", "sms").address == "+8613799999999"
        assert stored(world, case, "person:W1", "call").address == "+8613700000001"

    def test_each_reads_their_own_language(self, world: World) -> None:
        press(world)
        assert {n.language for n in world.sent if n.recipient == "contact:K2"} == {"en"}

    def test_no_rung_is_inferred_from_another(self, world: World) -> None:
        world.held = {"call", "app"}
        case = press(world)
        notice = stored(world, case, "contact:K1", "call")
        assert set(world.case(case).notices[notice.id].rungs) == {"L0"}
        world.report(notice, rung=Rung.SEEN)
        world.act(case, "set_off", "contact:K1", notice=notice.id)
        assert set(world.case(case).notices[notice.id].rungs) == {"L0", "L3", "L4", "L5"}
        assert "told" not in world.case(case).milestones
        at = world.case(case).notices[notice.id].rungs["L3"]
        world.clock.advance(SECOND)
        world.report(notice, rung=Rung.SEEN)
        assert world.case(case).notices[notice.id].rungs["L3"] == at

    def test_a_lying_channel_changes_nothing_about_who_has_answered(self, world: World) -> None:
        case = press(world)
        world.wait("61s")
        assert "told" in world.case(case).milestones
        assert world.case(case).promises["acknowledged"].missed


class TestAsking:
    def ask(self, world: World) -> str:
        case = world.send("radar.fall", "device:D2", confidence=0.9).case_id or ""
        assert (world.case(case).asked, world.told(case)) == ("waiting", {"person:E1"})
        return case

    def test_well_closes(self, world: World) -> None:
        case = self.ask(world)
        world.act(case, "well", "person:E1")
        assert (world.case(case).state, world.case(case).outcome) == ("closed", "well")
        world.wait("5m")
        assert world.told(case) == {"person:E1"}

    def test_help_goes_on_at_once(self, world: World) -> None:
        case = self.ask(world)
        world.act(case, "help", "person:E1")
        assert (world.case(case).asked, "contact:K1" in world.told(case)) == ("help", True)

    @pytest.mark.parametrize(
        ("rings", "silent"), [(None, 60), (0, 20), (10, 30), (39, 59), (41, 60), (59, 60)]
    )
    def test_silence_counts_from_ringing_with_a_cap(self, rings: int | None, silent: int) -> None:
        world = World()
        world.held = {"call"}
        case = self.ask(world)
        opened = world.clock.now()
        if rings is not None:
            world.wait(f"{rings}s")
            world.report(stored(world, case, "person:E1", "call"), rung=Rung.ON_DEVICE)
        while world.case(case).asked == "waiting":
            world.wait("500ms")
        answered = next(e for e in world.log(case) if e.kind == "answered")
        assert (answered.at, answered.body["answer"]) == (opened + silent * SECOND, "silence")
        assert "contact:K1" in world.told(case)

    def test_handing_a_call_over_is_not_ringing(self, world: World) -> None:
        case = self.ask(world)
        world.wait("59s")
        assert world.case(case).asked == "waiting"

    def test_unreachable_goes_on_at_once(self, world: World) -> None:
        world.held = {"call"}
        case = self.ask(world)
        world.report(stored(world, case, "person:E1", "call"), error="no such number", permanent=True)
        assert (world.case(case).asked, "contact:K1" in world.told(case)) == ("unreachable", True)

    def test_nobody_to_ask_goes_on_at_once(self, world: World) -> None:
        case = world.send("radar.fall", "device:nowhere", confidence=0.9).case_id
        assert world.case(case).asked == "unreachable"

    def test_a_helper_who_answers_early_ends_the_question(self, world: World) -> None:
        case = self.ask(world)
        world.act(case, "acknowledged", "user:desk")
        assert (world.case(case).asked, "contact:K1" in world.told(case)) == ("taken", True)
