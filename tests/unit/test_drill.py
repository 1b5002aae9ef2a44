"""Drills inside the spine: plans, what a drill must never do, and the judge of its promises."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.spine_world import World

from hexi.adapters.packs.drills import BrokenPlanError, read_plan, read_plans
from hexi.kernel.catalogue import FALSE_ALARM
from hexi.kernel.signal import Flag, Signal
from hexi.spine import drill
from hexi.spine.drill_plan import DrillPlan, parse_plan
from hexi.spine.drill_report import DrillReport, judge
from hexi.spine.work import Taken

PLAN: dict[str, Any] = {
    "id": "t.one",
    "title": {"zh": "试", "en": "Try"},
    "about": {"zh": "试", "en": "Try"},
    "lasts": "30m",
    "cast": {"device": "pendant"},
    "promises": {"told": "10s", "acknowledged": "60s", "arrived": "15m"},
    "signal": [{"kind": "pendant.sos", "after": "1m", "data": {"after": "5s"}}],
}
RUN = "260506-100000"


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.check()
    world.close()


def begin(world: World, **changes: Any) -> DrillPlan:
    plan = parse_plan({**PLAN, **changes})
    begun = drill.Begun(by="token:t", at=world.clock.now(), live=False, send="sink")
    with world.store.write() as tx:
        drill.begin(tx, RUN, plan, begun)
    return plan


def exercise(world: World, kind: str, subject: str, identity: str = "x1", **data: Any) -> Taken:
    signal = Signal(
        id=identity,
        source=f"drill:{RUN}",
        kind=kind,
        received=world.clock.now(),
        subject=subject,
        data=data,
        flags=(Flag.DRILL,),
    )
    return world.take(signal)[0]


def report(world: World) -> DrillReport:
    with world.store.read() as tx:
        state = drill.find(tx, RUN)
        assert state
        return judge(RUN, state, [(case, tx.cases.log(case)) for case in state.cases])


class TestPlans:
    def test_lengths_are_read_and_a_signals_data_is_left_alone(self) -> None:
        plan = parse_plan(PLAN)
        assert (plan.lasts, plan.signal[0].after, plan.promises["arrived"]) == (1_800_000, 60_000, 900_000)
        assert plan.signal[0].data == {"after": "5s"}

    @pytest.mark.parametrize(
        "changes",
        [
            {"lasts": "9h"},
            {"lasts": "soon"},
            {"signal": []},
            {"cast": {"device": "pendant", "many": 51}},
            {"answer": [{"role": "steward", "act": "closed", "after": "1s"}]},
            {"unknown": 1},
        ],
    )
    def test_what_is_wrong_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"."):
            parse_plan({**PLAN, **changes})

    def test_a_broken_file_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "broken.toml"
        file.write_text("id = ")
        with pytest.raises(BrokenPlanError, match=r"broken\.toml"):
            read_plan(file)

    def test_the_built_in_plans_promise_something_and_end_after_it_can_be_seen(self) -> None:
        plans = read_plans()
        assert len(plans) >= 4
        for plan in plans.values():
            assert plan.promises
            last = max((answer.after for answer in plan.answer), default=0)
            assert last < plan.lasts


class TestApart:
    def test_a_drills_sequence_ends_in_a_drill(self, world: World) -> None:
        begin(world)
        exercise(world, "door.opened", "device:D1")
        world.wait("16m")
        (case,) = [case for case in map(world.case, world.ids()) if case.matter == "door"]
        assert case.drill

    def test_a_drill_neither_ends_nor_prolongs_what_is_awaited_for_real(self, world: World) -> None:
        begin(world)
        world.send("door.opened", "device:D1")
        exercise(world, "door.closed", "device:D1")
        world.wait("16m")
        (case,) = [case for case in map(world.case, world.ids()) if case.matter == "door"]
        assert not case.drill

    def test_a_drills_false_alarm_is_not_counted_against_the_device(self, world: World) -> None:
        begin(world)
        case_id = exercise(world, "pendant.sos", "device:D1").case_id
        assert case_id
        world.act(case_id, "false_alarm", "user:desk", reason="x")
        with world.store.read() as tx:
            kinds = [signal.kind for signal, _ in tx.signals.recent("device:D1", 50)]
        assert FALSE_ALARM not in kinds

    def test_an_act_marked_as_a_drill_is_refused_on_a_real_case(self, world: World) -> None:
        begin(world)
        real = world.send("pendant.sos", "device:D1").case_id
        said = {"by": "person:W1", "drill": True}
        taken = exercise(world, "act.acknowledged", f"case:{real}", "a1", **said)
        assert taken.fate == "refused"

    def test_a_fallback_notice_carries_the_mark_once(self, world: World) -> None:
        begin(world)
        exercise(world, "pendant.sos", "device:D1")
        assert world.sent
        assert all(n.text.count("演练") + n.text.count("DRILL") == 1 for n in world.sent)


class TestTheEnd:
    def test_a_deadline_closes_its_cases(self, world: World) -> None:
        begin(world, lasts="2m")
        case_id = exercise(world, "pendant.sos", "device:D1").case_id
        assert case_id
        real = world.send("pendant.sos", "device:D2").case_id
        world.wait("3m")
        assert not world.case(case_id).is_open
        assert world.case(real).is_open
        with world.store.read() as tx:
            state = drill.find(tx, RUN)
        assert state
        assert state.ended is not None


class TestTheJudge:
    def test_kept_missed_and_not_judged(self, world: World) -> None:
        begin(world, lasts="5m")
        case_id = exercise(world, "pendant.sos", "device:D1").case_id
        world.wait("30s")
        world.act(case_id, "acknowledged", "person:W1", role="steward")
        world.wait("5m")
        found = report(world)
        assert {p.name: p.held for p in found.cases[0].promises} == {
            "told": True,
            "acknowledged": True,
            "arrived": None,
        }
        assert not found.passed

    def test_a_drill_without_a_case_has_not_passed(self, world: World) -> None:
        begin(world, lasts="1s")
        world.wait("1m")
        assert not report(world).passed


def test_toml_says_the_same_as_the_table() -> None:
    text = 'id = "a"\nlasts = "1m"\ntitle = { zh = "试", en = "t" }\nabout = { zh = "试", en = "t" }\n'
    text += 'cast = { device = "radar" }\n[[signal]]\nkind = "radar.fall"\n'
    assert parse_plan(tomllib.loads(text)).cast.device == "radar"
