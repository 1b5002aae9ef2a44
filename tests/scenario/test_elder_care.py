"""The promises of the elder-care pack that its day does not show."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from tests.scenario.world import MORNING, World, catalogue

from hexi.kernel.catalogue import winner
from hexi.kernel.clock import DAY, MINUTE, SECOND

SOS = sorted(catalogue().sos_kinds)
OWN = sorted(s.id for s in catalogue().scenarios.values() if s.pack == "elder_care")
KIND_OF = {
    s.id: s.signal.kinds[0]
    for s in catalogue().scenarios.values()
    if s.pack == "elder_care" and s.signal.kinds
}
DATA = {
    "radar.fall": {"confidence": 0.9},
    "vitals.heart_rate": {"bpm": 150},
    "vitals.breathing": {"rpm": 30},
}


class TestNeverMasked:
    """A cry for help always opens a case, at once, and reaches a desk."""

    @pytest.mark.parametrize("kind", SOS)
    @pytest.mark.parametrize("subject", ["device:D1", "device:nowhere", "person:E2", "person:nobody", None])
    def test_opens_a_case_whoever_it_is(self, kind: str, subject: str | None) -> None:
        world = World()
        taken = world.send(kind, subject)
        assert taken.fate == "accepted"
        case = world.case(taken.case_id)
        assert case.severity == "extreme"
        assert case.asked is None
        desks = {"roster:street-120103007", "roster:district"}
        assert any(desk in world.told(case.id) for desk in desks)

    @pytest.mark.parametrize(
        "data",
        [
            {"percent": 2, "battery": "low"},
            {"confidence": 0.0, "bpm": 0},
            {"lon": "x", "lat": None},
            {"lon": 0, "lat": 0},
            {"deep": {"a": [{}] * 20}},
        ],
    )
    def test_whatever_else_it_says(self, data: dict) -> None:
        world = World()
        case = world.case(world.send("watch.sos", "device:D4f", **data).case_id)
        assert case.scenario == "elder_care.watch_sos"
        assert "contact:K41" in world.told(case.id)

    def test_cuts_the_question_short(self) -> None:
        world = World()
        asked = world.send("radar.fall", "device:D2", confidence=0.9).case_id
        assert world.case(asked).asked == "waiting"
        assert "contact:K21" not in world.told(asked)
        pressed = world.send("pendant.sos", "device:D2p").case_id
        assert pressed == asked
        assert world.case(asked).asked == "overtaken"
        assert "contact:K21" in world.told(asked)

    def test_reopens_and_tells_again_when_pressed_soon_after_closing(self) -> None:
        world = World()
        first = world.send("pendant.sos", "device:D1").case_id
        world.act(first, "false_alarm", "user:desk", reason="误碰")
        before = world.told(first).count("person:W1")
        world.wait("5m")
        assert world.send("pendant.sos", "device:D1").case_id == first
        assert world.case(first).is_open
        assert world.told(first).count("person:W1") > before

    def test_is_a_case_of_its_own_when_the_last_one_is_long_over(self) -> None:
        world = World()
        first = world.send("pendant.sos", "device:D1").case_id
        world.act(first, "false_alarm", "user:desk", reason="误碰")
        world.wait("11m")
        assert world.send("pendant.sos", "device:D1").case_id != first


class TestFolding:
    """Signals of one matter are one case."""

    def test_two_in_one_transaction(self) -> None:
        world = World()
        first, second = world.take(
            world.signal("pendant.sos", "device:D2p", source="a"),
            world.signal("watch.sos", "person:E2", source="b"),
        )
        assert first.case_id == second.case_id
        assert len(world.cases()) == 1

    def test_two_in_one_millisecond_in_two_transactions(self) -> None:
        world = World()
        first = world.send("cord.sos", "device:D4")
        second = world.send("bed.sos", "device:D4b")
        assert first.case_id == second.case_id
        assert world.case(first.case_id).signals == ["s1", "s2"]

    def test_two_processes_in_one_moment_make_one_case(self, tmp_path: Path) -> None:
        database = f"sqlite:///{tmp_path}/two.db"
        one, other = World(store=database), World(store=database, fill=False)
        together = Barrier(2)

        def press(world: World, source: str, number: int) -> str | None:
            together.wait()
            signal = world.signal("pendant.sos", "device:D1", source=source, id=str(number))
            return world.spine.take([signal]).taken[0].case_id

        for number in range(10):
            with ThreadPoolExecutor(2) as pool:
                presses = [pool.submit(press, one, "one", number), pool.submit(press, other, "other", number)]
                first, second = (future.result() for future in presses)
            assert first == second
            assert len(one.case(first).signals) == 2
            one.act(first, "false_alarm", "user:desk", reason="测试")
            for world in (one, other):
                world.clock.advance(11 * MINUTE)
        assert sum(case.scenario == "elder_care.pendant_sos" for case in one.cases()) == 10

    def test_another_elder_is_another_case(self) -> None:
        world = World()
        assert (
            world.send("pendant.sos", "device:D1").case_id != world.send("pendant.sos", "device:D2p").case_id
        )

    def test_pressed_again_tells_nobody_twice(self) -> None:
        world = World()
        first = world.send("pendant.sos", "device:D1").case_id
        notices = len(world.told(first).notices)
        for _ in range(5):
            world.wait("3s")
            assert world.send("pendant.sos", "device:D1").case_id == first
        assert len(world.told(first).notices) == notices
        assert len(world.case(first).signals) == 6

    def test_a_worse_scenario_raises_and_a_gentler_one_never_lowers(self) -> None:
        world = World()
        taken = world.send("vitals.heart_rate", "device:D5", bpm=150).case_id
        assert world.case(taken).severity == "severe"
        assert world.send("fall.confirmed", "device:D5r").case_id == taken
        assert world.case(taken).severity == "extreme"
        assert world.case(taken).scenario == "elder_care.fall_confirmed"
        assert world.send("pendant.cancel", "person:E5").case_id == taken
        assert world.case(taken).severity == "extreme"

    def test_smoke_is_never_hidden_in_an_open_emergency(self) -> None:
        world = World()
        pressed = world.send("pendant.sos", "person:E3").case_id
        smoke = world.send("smoke.alarm", "device:D3s").case_id
        assert smoke != pressed
        assert any("烟雾" in notice.text for notice in world.told(smoke).notices)


class TestPeople:
    """Acknowledgement counts per role, and silence climbs."""

    def test_the_daughter_does_not_silence_the_steward(self) -> None:
        world = World()
        case = world.send("pendant.sos", "device:D1").case_id
        world.act(case, "set_off", "contact:K11")
        world.act(case, "acknowledged", "person:P1", role="duty")
        assert "acknowledged" not in world.case(case).milestones
        world.wait("2m")
        assert "roster:district" in world.told(case)

    def test_a_steward_in_time_keeps_the_promise_and_the_district_asleep(self) -> None:
        world = World()
        case = world.send("pendant.sos", "device:D1").case_id
        world.wait("30s")
        world.act(case, "set_off", "person:W1")
        world.act(case, "acknowledged", "person:P1", role="duty")
        world.wait("10m")
        assert world.case(case).promises["acknowledged"].missed is None
        assert "roster:district" not in world.told(case)

    def test_when_steward_and_centre_decline_it_goes_up_at_once(self) -> None:
        world = World()
        case = world.send("pendant.sos", "device:D1").case_id
        world.act(case, "declined", "person:W1")
        assert "escalated" not in world.kinds(case)
        world.act(case, "declined", "centre:S2")
        assert "escalated" in world.kinds(case)

    @pytest.mark.parametrize("scenario", sorted(KIND_OF))
    def test_silence_ends_at_a_staffed_desk(self, scenario: str) -> None:
        world = World()
        kind = KIND_OF[scenario]
        subject = "device:D2"
        for _ in range(3 if kind == "device.false_alarm" else 1):
            case = world.send(kind, subject, **DATA.get(kind, {})).case_id
        assert world.case(case).scenario == scenario
        rules = catalogue().scenarios[scenario]
        urgent = rules.case.severity in {"extreme", "severe"}
        last_step = max(step.after for step in rules.response)
        world.wait("35m" if urgent else f"{(last_step + min(rules.case.deadlines.values())) // 1000 + 60}s")
        assert "roster:street-120103007" in world.told(case)
        assert "roster:district" in world.told(case) or not urgent

    def test_the_last_desk_is_reminded_until_it_answers(self) -> None:
        world = World()
        case = world.send("pendant.sos", "device:D1").case_id
        world.wait("40m")
        reminded = world.told(case).count("roster:district")
        assert reminded >= 3 * 2, "by desk and by app, at the step, at 15 minutes and every 5 after"
        world.act(case, "acknowledged", "person:P2", role="duty")
        world.wait("1h")
        assert world.told(case).count("roster:district") == reminded

    def test_a_closed_centre_is_passed_over_for_the_next_open_one(self) -> None:
        night = World()
        at_night = night.send("pendant.sos", "device:D1").case_id
        assert "centre:S2" in night.told(at_night)
        assert "centre:S1" not in night.told(at_night)
        day = World(MORNING)
        by_day = day.send("pendant.sos", "device:D1").case_id
        assert "centre:S1" in day.told(by_day)

    def test_without_any_open_centre_the_others_are_told_all_the_same(self) -> None:
        world = World()
        world.change("centre", "S2", hours="08:00-20:00")
        case = world.send("pendant.sos", "device:D1").case_id
        told = world.told(case)
        assert "person:W1" in told
        assert "roster:street-120103007" in told
        assert not any(notice.recipient.startswith("centre:") for notice in told.notices)

    def test_a_number_changed_in_the_middle_counts_from_the_next_notice(self) -> None:
        world = World()
        case = world.send("pendant.sos", "device:D1").case_id
        world.change("person", "P2", phone="+8613600009999")
        world.wait("2m")
        calls = [n for n in world.told(case).notices if n.recipient == "person:P2" and n.way == "call"]
        assert {notice.address for notice in calls} == {"+8613600009999"}

    def test_one_hanging_telephone_delays_nobody_else(self) -> None:
        world = World()
        world.phones.set("hangs", None, "contact:K11")
        case = world.send("pendant.sos", "device:D1").case_id
        told = world.told(case)
        assert "contact:K11" not in told
        assert {"contact:K12", "person:W1", "roster:street-120103007"} <= {n.recipient for n in told.notices}


class TestAsking:
    """A sensor's belief is asked about; anything but "well" is real."""

    def test_nobody_to_reach_goes_on_at_once(self) -> None:
        world = World()
        world.phones.set("fails", None, "person:E2")
        case = world.send("radar.fall", "device:D2", confidence=0.9).case_id
        world.wait("60s")
        assert world.case(case).asked in {"unreachable", "silence"}
        assert "contact:K21" in world.told(case)

    def test_a_telephone_that_never_rings_does_not_hold_up_help(self) -> None:
        world = World()
        world.phones.set("hangs", None, "person:E2")
        case = world.send("radar.fall", "device:D2", confidence=0.9).case_id
        world.wait("60s")
        assert "contact:K21" in world.told(case)

    def test_a_restart_in_the_middle_of_the_question_loses_nothing(self) -> None:
        world = World()
        case = world.send("radar.fall", "device:D2", confidence=0.9).case_id
        world.wait("5s")
        world.restart()
        world.wait("15s")
        assert world.case(case).asked == "silence"
        assert "contact:K21" in world.told(case)

    def test_a_fall_without_a_confidence_is_believed_and_flagged(self) -> None:
        world = World()
        case = world.case(world.send("radar.fall", "device:D2").case_id)
        assert "condition_failed" in case.flags
        assert case.asked == "waiting"

    def test_well_then_another_fall_asks_again(self) -> None:
        world = World()
        case = world.send("radar.fall", "device:D2", confidence=0.9).case_id
        world.act(case, "well", "person:E2")
        assert not world.case(case).is_open
        world.wait("3m")
        again = world.send("radar.fall", "device:D2", confidence=0.9).case_id
        world.wait("60s")
        assert "contact:K21" in world.told(again)


class TestCancelling:
    """Cancelled is not well."""

    def test_a_cancel_that_overtakes_its_cry_opens_a_case_too(self) -> None:
        world = World()
        cancelled = world.send("pendant.cancel", "device:D1").case_id
        assert world.case(cancelled).severity == "moderate"
        assert "roster:street-120103007" in world.told(cancelled)
        assert world.send("pendant.sos", "device:D1").case_id == cancelled
        assert world.case(cancelled).severity == "extreme"
        assert "person:W1" in world.told(cancelled)

    def test_nobody_rings_back_so_the_district_does(self) -> None:
        world = World()
        case = world.send("pendant.cancel", "device:D1").case_id
        world.wait("10m")
        assert world.case(case).is_open
        assert "roster:district" in world.told(case)


class TestDoubts:
    """What is doubtful is accepted, flagged and shown."""

    def test_a_device_clock_that_lies_moves_no_deadline(self) -> None:
        world = World()
        now = world.clock.now()
        case = world.case(
            world.send("pendant.sos", "device:D1", time=now - 400 * DAY, flags=("clock_wrong",)).case_id
        )
        assert case.flags == ["clock_wrong"]
        assert case.signal_at == now - 400 * DAY
        assert case.opened_at == now
        assert case.promises["acknowledged"].due == now + 60 * SECOND
        assert case.promises["arrived"].due == now + 15 * MINUTE

    def test_the_same_signal_again_changes_nothing(self) -> None:
        world = World()
        signal = world.signal("pendant.sos", "device:D1", id="x")
        first = world.take(signal)[0]
        log = world.log(first.case_id)
        again = world.take(signal, signal)
        assert [(t.fate, t.case_id) for t in again] == [("repeat", first.case_id)] * 2
        assert world.log(first.case_id) == log

    def test_an_id_used_again_for_something_else_is_taken_and_flagged(self) -> None:
        world = World()
        first = world.send("pendant.sos", "device:D1", id="x").case_id
        other = world.send("pendant.sos", "device:D2p", id="x")
        assert other.fate == "accepted"
        assert other.case_id != first
        assert world.case(other.case_id).flags == ["id_reused"]

    def test_an_unknown_kind_is_kept_and_opens_nothing_unless_it_cries(self) -> None:
        world = World()
        quiet = world.send("toaster.hot", "device:D1")
        assert (quiet.fate, quiet.case_id, quiet.flags) == ("accepted", None, ("unknown_kind",))
        cry = world.send("toaster.sos", "device:D1")
        case = world.case(cry.case_id)
        assert case.scenario == "core.unknown_sos"
        assert "unknown_kind" in case.flags
        assert "roster:street-120103007" in world.told(case.id)

    def test_an_installers_test_is_a_drill(self) -> None:
        world = World()
        world.change("device", "D1", test_until="2026-05-06T18:00")
        case = world.case(world.send("pendant.sos", "device:D1").case_id)
        assert case.drill
        assert all(notice.text.startswith(("【演练】", "[DRILL]")) for notice in world.told(case.id).notices)


class TestGentle:
    """Technical trouble rings no telephone."""

    @pytest.mark.parametrize("kind", ["battery.low", "power.lost", "device.silent", "device.false_alarm"])
    def test_no_telephone_rings(self, kind: str) -> None:
        world = World()
        for _ in range(3):
            case = world.send(kind, "device:D2").case_id
        world.wait("40m")
        assert world.told(case).notices
        assert {notice.way for notice in world.told(case).notices} <= {"app", "desk"}

    def test_a_short_power_cut_disturbs_nobody(self) -> None:
        world = World()
        case = world.send("power.lost", "device:D4e").case_id
        world.wait("9m")
        world.send("power.restored", "device:D4e")
        world.wait("1h")
        assert world.case(case).state == "closed"
        assert world.told(case).notices == []

    def test_three_false_alarms_in_a_week_and_not_in_a_month(self) -> None:
        world = World()
        for _ in range(4):
            assert world.send("device.false_alarm", "device:D2").case_id is None
            world.wait("4d")
        world.send("device.false_alarm", "device:D2")
        assert world.send("device.false_alarm", "device:D2").case_id is not None


def test_every_notice_says_how_to_answer_in_both_languages() -> None:
    for scenario in OWN:
        for step in catalogue().scenarios[scenario].response:
            assert step.text is not None, scenario
            for digit in step.replies:
                assert f"{digit}" in step.text.zh, (scenario, step.role, digit)
                assert f"{digit}" in step.text.en, (scenario, step.role, digit)
            assert "回复" in step.text.zh
            assert "Reply" in step.text.en


def test_every_scenario_guides_the_operator() -> None:
    for scenario in OWN:
        guidance = catalogue().scenarios[scenario].guidance
        assert guidance is not None, scenario
        assert "120" in guidance.zh or catalogue().scenarios[scenario].case.severity != "extreme", scenario


def test_no_two_scenarios_of_the_pack_want_the_same_kind() -> None:
    for kind in catalogue().kinds:
        answering = [a.scenario for a in catalogue().answering(kind)]
        assert len(answering) <= 1, (kind, winner(answering))
