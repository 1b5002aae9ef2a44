"""Cases: what opens one, what folds into it, how it ends, comes back and is merged; a cry is never masked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.spine_world import MORNING, SCENARIOS, World, build, catalogue

from hexi.kernel.catalogue import KindInfo
from hexi.kernel.text import Text

SOS = ["pendant.sos", "cord.sos", "crash.sos", "unheard.of.sos", "sos", "Vendor.SOS"]
OTHER = [*sorted(set(catalogue().kinds) - set(SOS)), "unheard.of"]
EVERYWHERE = {"lon": 117.21, "lat": 39.09}


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.check()
    world.close()


def finish(world: World, case_id: str | None) -> None:
    assert world.act(case_id, "arrived", "person:W1").fate == "accepted"
    assert world.act(case_id, "closed", "user:desk", outcome="已送医").fate == "accepted"


def is_answered(world: World, case_id: str | None) -> bool:
    case = world.case(case_id)
    return case.is_open and case.severity == "extreme" and bool(case.next_due) and case.asked != "waiting"


class TestNeverMasked:
    @pytest.mark.parametrize("sos", SOS)
    def test_whatever_else_comes_before_or_after(self, world: World, sos: str) -> None:
        """Every pair, in every order, for one person after the other, all at one place and one moment."""
        orders = [order for kind in OTHER for order in ([kind, sos], [sos, kind], [kind, kind, sos, sos])]
        for number, kinds in enumerate(orders):
            subject = f"person:N{number}"
            found = {k: world.send(k, subject, confidence=0.9, **EVERYWHERE).case_id for k in kinds}
            assert is_answered(world, found[sos]), kinds
            assert world.case(found[sos]).subject == subject

    @pytest.mark.parametrize("sos", SOS)
    @pytest.mark.parametrize("subject", ["person:nobody", "device:nothing", "device:", "nonsense", "", None])
    def test_whoever_it_is(self, world: World, sos: str, subject: str | None) -> None:
        taken = world.send(sos, subject)
        assert is_answered(world, taken.case_id)
        assert world.deadlines(taken.case_id)

    @pytest.mark.parametrize("time", [0, 1, 4_000_000_000_000])
    def test_whatever_its_clock_says(self, world: World, time: int) -> None:
        case = world.case(world.send("pendant.sos", "device:D1", time=time).case_id)
        assert case.promises["acknowledged"].due == world.clock.now() + 60_000

    def test_at_one_place_at_one_moment(self, world: World) -> None:
        taken = world.take(*(world.signal("pendant.sos", f"person:N{i}", **EVERYWHERE) for i in range(5)))
        assert len({t.case_id for t in taken}) == 5

    def test_behind_a_whole_batch_of_readings(self, world: World) -> None:
        readings = [world.signal("heartbeat", f"device:R{i}") for i in range(500)]
        *_, taken = world.take(*readings, world.signal("pendant.sos", "device:D1"))
        assert is_answered(world, taken.case_id)

    @pytest.mark.parametrize("data", [{"drill": "no"}, {"lon": "x"}, {"device": 5}, {"n": [None] * 9}])
    def test_whatever_its_data(self, world: World, data: dict) -> None:
        case = world.case(world.send("pendant.sos", "device:D1", **data).case_id)
        assert not case.drill
        assert world.told(case.id) >= {"contact:K1", "person:W1"}

    def test_an_id_used_again_for_a_cry(self, world: World) -> None:
        world.send("heartbeat", "device:D1", id="x")
        taken = world.send("pendant.sos", "device:D1", id="x")
        assert (taken.id, taken.flags) == ("x", ("id_reused",))
        assert is_answered(world, taken.case_id)
        assert world.send("pendant.sos", "device:D1", id="x").fate == "repeat"

    def test_an_sos_scenario_never_asks_first(self) -> None:
        asking = {**SCENARIOS["fall"], "signal": {"kinds": ["watch.sos"], "matter": "emergency"}}
        world = World(known=build({"fall": SCENARIOS["fall"], "asks": asking}))
        asked = world.send("radar.fall", "device:D2", confidence=0.9).case_id
        assert world.send("watch.sos", "device:D1").case_id == asked
        assert world.case(asked).asked == "overtaken"
        assert world.case(world.send("watch.sos", "device:D3").case_id).asked is None

    def test_help_after_well_is_a_cry_again(self, world: World) -> None:
        case = world.send("radar.fall", "device:D2", confidence=0.9).case_id
        world.act(case, "well", "person:E1")
        assert world.case(case).state == "closed"
        assert world.act(case, "help", "person:E1").fate == "accepted"
        assert is_answered(world, case)
        assert "contact:K1" in world.told(case)

    def test_a_kind_that_a_pack_declares_and_nobody_answers(self) -> None:
        title = Text(zh="怪", en="odd")
        world = World(known=build({"sos": SCENARIOS["sos"]}, kinds={"odd.sos": KindInfo(title=title)}))
        assert is_answered(world, world.send("odd.sos", "device:D1").case_id)

    def test_an_installers_test_never_swallows_the_real_thing(self, world: World) -> None:
        world.change("device", "D1", test_until="2026-05-06T11:00")
        drill = world.send("pendant.sos", "device:D1").case_id
        assert world.case(drill).drill
        assert all(n.text.startswith(("【演练】", "[DRILL] ")) for n in world.sent)
        world.wait("2h")
        real = world.send("pendant.sos", "device:D1").case_id
        assert real != drill
        assert not world.case(real).drill

    @pytest.mark.parametrize(
        ("until", "drill"),
        [
            ("soon", False),
            ("2026-05-06T03:00:00Z", True),
            ("2026-05-06", False),
            ("2026-05-06T10:00:01", True),
        ],
    )
    def test_until_when_a_device_is_in_test(self, world: World, until: str, *, drill: bool) -> None:
        world.change("device", "D1", test_until=until)
        assert world.case(world.send("pendant.sos", "device:D1").case_id).drill is drill

    def test_a_clearing_signal_does_not_close_over_a_cry(self) -> None:
        smoke = {
            "signal": {"kinds": ["smoke.alarm"], "cleared_by": ["smoke.over"], "matter": "emergency"},
            "case": {"severity": "extreme", "deadlines": {"closed": "1h"}, "auto_close": True},
            "response": SCENARIOS["door"]["response"],
        }
        world = World(known=build({"sos": SCENARIOS["sos"], "smoke": smoke}))
        case = world.send("smoke.alarm", "device:D2").case_id
        assert world.send("pendant.sos", "device:D1").case_id == case
        world.send("smoke.over", "device:D2")
        assert "cleared" in world.kinds(case)
        assert world.case(case).is_open
        alone = world.send("smoke.alarm", "device:D3").case_id
        world.send("smoke.over", "device:D3")
        assert world.case(alone).outcome == "cleared"


class TestFolding:
    def test_the_same_signal_twice_changes_nothing(self, world: World) -> None:
        signal = world.signal("pendant.sos", "device:D1")
        first = world.take(signal)[0]
        log, sent = world.log(first.case_id), len(world.sent)
        second = world.take(signal, signal)
        assert {(t.fate, t.case_id) for t in second} == {("repeat", first.case_id)}
        assert (world.log(first.case_id), len(world.sent), len(world.ids())) == (log, sent, 1)

    def test_pressed_again_while_open_tells_nobody_twice(self, world: World) -> None:
        case = world.send("pendant.sos", "device:D1").case_id
        sent = len(world.sent)
        assert world.send("cord.sos", "device:D2").case_id == case
        assert (len(world.sent), len(world.case(case).signals)) == (sent, 2)

    def test_pressed_again_after_helpers_have_left_tells_everyone_again(self, world: World) -> None:
        case = world.send("pendant.sos", "device:D1").case_id
        world.act(case, "arrived", "person:W1")
        for _ in range(2):
            world.act(case, "handled", "person:W1", outcome="无碍")
            sent = len(world.sent)
            world.wait("1m")
            assert world.send("pendant.sos", "device:D1").case_id == case
            assert {n.recipient for n in world.sent[sent:]} >= {"contact:K1", "person:W1"}

    def test_soon_after_closing_everyone_is_told_again(self, world: World) -> None:
        case = world.send("pendant.sos", "device:D1").case_id
        finish(world, case)
        sent = len(world.sent)
        world.wait("9m")
        assert world.send("pendant.sos", "device:D1").case_id == case
        assert {n.recipient for n in world.sent[sent:]} >= {"contact:K1", "person:W1"}
        assert world.case(case).promises["arrived"].due == world.clock.now() + 15 * 60_000
        assert world.act(case, "closed", "user:desk").fate == "refused"
        finish(world, case)

    def test_reopened_by_a_new_alarm_it_still_holds_its_key(self, world: World) -> None:
        case = world.send("pendant.sos", "device:D1").case_id
        world.act(case, "false_alarm", "user:desk", reason="误碰")
        for _ in range(3):
            world.wait("8m")
            assert world.send("pendant.sos", "device:D1").case_id == case

    def test_pressed_again_when_the_file_of_the_first_scenario_has_gone(self, world: World) -> None:
        case = world.send("radar.fall", "device:D2", confidence=0.9).case_id
        world.send("pendant.sos", "device:D1")
        finish(world, case)
        world.spine.use(catalogue=build({"sos": SCENARIOS["sos"]}))
        sent = len(world.sent)
        assert world.send("pendant.sos", "device:D1").case_id == case
        assert {n.recipient for n in world.sent[sent:]} >= {"contact:K1", "person:W1"}
        assert world.case(case).next_due
        world.spine.use(catalogue=world.catalogue)
        world.act(case, "commented", "user:desk", text="好")

    def test_long_after_closing_it_is_another_case(self, world: World) -> None:
        case = world.send("pendant.sos", "device:D1").case_id
        finish(world, case)
        world.wait("11m")
        assert world.send("pendant.sos", "device:D1").case_id != case

    def test_a_case_reopened_by_hand_leaves_the_key_to_the_newer_one(self, world: World) -> None:
        old = world.send("battery.low", "device:D2").case_id
        world.act(old, "closed", "user:desk")
        world.wait("1m")
        new = world.send("battery.low", "device:D2").case_id
        world.act(old, "reopened", "user:desk", reason="查错了")
        assert world.send("battery.low", "device:D2").case_id == new
        world.act(old, "closed", "user:desk")
        world.wait("1m")
        assert world.send("battery.low", "device:D2").case_id == new

    def test_an_overtaken_question_starts_every_step_once(self, world: World) -> None:
        case = world.send("radar.fall", "device:D2", confidence=0.9).case_id
        world.send("pendant.sos", "device:D1")
        told = [n for n in world.sent if n.recipient == "person:W1"]
        assert {n.step for n in told} == {"t.fall#1", "t.fall#2", "t.sos#2"} - {"t.fall#1"}
        assert world.case(case).scenario == "t.fall"
        assert sorted(world.case(case).scenarios) == ["t.fall", "t.sos"]


class TestMerging:
    def merged(self, world: World) -> tuple[str, str]:
        first = world.send("pendant.sos", "device:D1").case_id or ""
        second = world.send("pendant.sos", "device:D3").case_id or ""
        assert world.act(first, "merged", "user:desk", into=second).fate == "accepted"
        return first, second

    def test_signals_and_answers_go_to_the_survivor(self, world: World) -> None:
        first, second = self.merged(world)
        assert world.send("pendant.sos", "device:D1").case_id == second
        assert world.act(first, "acknowledged", "person:W1").case_id == second
        assert world.case(second).roles["steward"].acknowledged
        assert (world.case(first).state, world.deadlines(first)) == ("merged", [])

    def test_also_through_two_mergers(self, world: World) -> None:
        first, second = self.merged(world)
        third = world.send("pendant.sos", "person:N").case_id
        world.act(second, "merged", "user:desk", into=third)
        assert world.send("pendant.sos", "device:D1").case_id == third
        assert world.act(first, "commented", "user:desk", text="好").case_id == third
        assert world.case(second).state == "merged"

    def test_when_the_survivor_has_closed_a_later_cry_is_a_case_of_its_own(self, world: World) -> None:
        first, second = self.merged(world)
        finish(world, second)
        world.wait("5m")
        assert world.send("pendant.sos", "device:D1").case_id == second
        finish(world, second)
        world.wait("1h")
        assert world.send("pendant.sos", "device:D1").case_id not in {first, second}

    def test_a_worse_case_never_ends_in_a_lesser_one(self, world: World) -> None:
        worse = world.send("pendant.sos", "device:D1").case_id
        lesser = world.send("battery.low", "device:D2").case_id
        assert world.act(worse, "merged", "user:desk", into=lesser).fate == "refused"
        assert world.act(lesser, "merged", "user:desk", into=worse).fate == "accepted"

    def test_a_real_case_never_ends_in_a_drill(self, world: World) -> None:
        world.change("device", "D3", test_until="2026-05-06T11:00")
        real = world.send("pendant.sos", "device:D1").case_id
        drill = world.send("pendant.sos", "device:D3").case_id
        assert world.act(real, "merged", "user:desk", into=drill).fate == "refused"

    @pytest.mark.parametrize("into", ["", "nowhere", "itself"])
    def test_only_into_another_open_case(self, world: World, into: str) -> None:
        case = world.send("pendant.sos", "device:D1").case_id
        taken = world.act(case, "merged", "user:desk", into=case if into == "itself" else into)
        assert (taken.fate, world.case(case).is_open) == ("refused", True)

    def test_undone_it_stands_as_before(self, world: World) -> None:
        first = world.send("pendant.sos", "device:D1").case_id
        pending, before = sorted(world.deadlines(first)), world.case(first)
        second = world.send("pendant.sos", "device:D3").case_id
        world.act(first, "merged", "user:desk", into=second)
        world.act(first, "unmerged", "user:desk")
        after = world.case(first)
        assert (after.state, after.roles, after.steps) == (before.state, before.roles, before.steps)
        assert sorted(world.deadlines(first)) == pending
        assert world.send("pendant.sos", "device:D1").case_id == first
        assert world.case(second).absorbed == []

    def test_undone_after_hours_what_fell_due_happens_at_once(self, world: World) -> None:
        first, _ = self.merged(world)
        world.wait("1h")
        world.act(first, "unmerged", "user:desk")
        world.settle(world.spine.tick())
        case = world.case(first)
        assert case.promises["acknowledged"].missed == world.clock.now()
        assert "roster:street-120103007" in world.told(first)

    def test_undone_the_question_is_still_open(self, world: World) -> None:
        asked = world.send("radar.fall", "device:D2", confidence=0.9).case_id
        other = world.send("pendant.sos", "device:D3").case_id
        world.act(asked, "merged", "user:desk", into=other)
        world.wait("2m")
        world.act(asked, "unmerged", "user:desk")
        world.settle(world.spine.tick())
        assert world.case(asked).asked == "silence"
        assert "contact:K1" in world.told(asked)


class TestClosing:
    def test_only_with_evidence(self, world: World) -> None:
        case = world.send("pendant.sos", "device:D1").case_id
        refused = world.act(case, "closed", "user:desk", outcome="好")
        assert refused.error
        assert (refused.fate, refused.error.en) == ("refused", "evidence is missing: arrival")
        finish(world, case)
        assert (world.case(case).state, world.deadlines(case)) == ("closed", [])

    def test_twice_is_refused(self, world: World) -> None:
        case = world.send("pendant.sos", "device:D1").case_id
        finish(world, case)
        assert world.act(case, "closed", "user:other", outcome="好").fate == "refused"
        assert world.kinds(case).count("closed") == 1

    @pytest.mark.parametrize(
        ("act", "data"),
        [
            ("nonsense", {}),
            ("evidence", {"type": "song"}),
            ("evidence", {"type": "photo"}),
            ("handled", {}),
            ("false_alarm", {"reason": "  "}),
            ("whistled", {"unit": "none"}),
            ("task_done", {}),
            ("task_done", {"task": ["x"]}),
            ("evidence", {"type": ["x"]}),
            ("reopened", {"reason": "x"}),
            ("unmerged", {}),
        ],
    )
    def test_what_is_not_allowed_changes_nothing(self, world: World, act: str, data: dict) -> None:
        case = world.send("pendant.sos", "device:D1").case_id
        before = world.log(case)
        taken = world.act(case, act, "user:desk", **data)
        assert (taken.fate, bool(taken.error)) == ("refused", True)
        assert world.log(case) == before

    def test_false_alarms_of_a_device_are_counted_by_a_signal(self, world: World) -> None:
        case = world.send("pendant.sos", "device:D1").case_id
        world.act(case, "false_alarm", "user:desk", reason="误碰")
        with world.store.read() as tx:
            (signal, _), *_ = tx.signals.recent("device:D1", 1)
        assert (signal.kind, signal.data["case"]) == ("device.false_alarm", case)

    def test_the_log_holds_ids_and_no_words(self, world: World) -> None:
        case = world.send("pendant.sos", "device:D1").case_id
        world.act(case, "commented", "user:desk", text="胸口疼，女儿在路上")
        world.act(case, "declined", "person:W1", reason="在医院陪护")
        bodies = str([entry.body for entry in world.log(case)])
        assert not [word for word in ("胸口疼", "医院", "王秀英", "+86", "赵管家") if word in bodies]


def test_two_matters_of_one_person_are_two_cases() -> None:
    world = World(MORNING)
    cases = {world.send(kind, "device:D1").case_id for kind in ("pendant.sos", "battery.low")}
    assert len(cases) == 2
