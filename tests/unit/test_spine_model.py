"""Whatever people and devices do in whatever order, the log stays the truth."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.spine_world import World

from hexi.kernel.case import ALLOWED, STATE_AFTER, Act, CaseState, Entry, Rung
from hexi.kernel.fold import rebuild

KINDS = ["pendant.sos", "cord.sos", "radar.fall", "battery.low", "battery.ok", "cough", "motion", "heartbeat"]
KINDS += ["door.opened", "door.closed", "crash.sos", "crash.level", "unheard.of"]
SUBJECTS = ["device:D1", "device:D2", "device:D3", "device:D9", "person:E2", "person:nobody", None]
WHO = ["person:W1", "person:P1", "person:E1", "contact:K1", "contact:K2", "centre:S1", "user:desk"]
DATA = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["steward", "duty", "family", "x"]),
        "reason": st.sampled_from(["", "误碰"]),
        "outcome": st.just("好"),
        "text": st.sampled_from(["", "在路上"]),
        "type": st.sampled_from(["outcome", "photo", "location", "song"]),
        "proof": st.sampled_from(["qr", "place"]),
        "lon": st.just(117.21),
        "lat": st.just(39.09),
        "number": st.just("120"),
        "unit": st.sampled_from(["U1", "none"]),
        "within": st.sampled_from(["5m", "soon"]),
    },
)
WAITS = ["0s", "1s", "21s", "61s", "3m", "16m", "5h", "25h"]


class Life(RuleBasedStateMachine):
    """A day of the small district."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.spoil("unit", "U1", name="燃气公司", phone="+8610000001", level="district")
        self.logs: dict[str, list[Entry]] = {}
        self.states: dict[str, CaseState] = {}

    def teardown(self) -> None:
        self.world.close()

    @rule(
        kind=st.sampled_from(KINDS), subject=st.sampled_from(SUBJECTS), confidence=st.sampled_from([0.1, 0.9])
    )
    def signal(self, kind: str, subject: str | None, confidence: float) -> None:
        taken = self.world.send(kind, subject, confidence=confidence)
        if kind.endswith(".sos"):
            assert self.world.case(taken.case_id).is_open

    @rule(kind=st.sampled_from(KINDS), subject=st.sampled_from(SUBJECTS))
    def twice(self, kind: str, subject: str | None) -> None:
        signal = self.world.signal(kind, subject)
        first = self.world.take(signal)[0]
        before = [self.world.log(case) for case in self.world.ids()]
        second = self.world.take(signal)[0]
        assert (second.fate, second.case_id) == ("repeat", first.case_id)
        assert [self.world.log(case) for case in self.world.ids()] == before

    @rule(act=st.sampled_from(Act), who=st.sampled_from(WHO), data=DATA, pick=st.integers(0, 9))
    def act(self, act: Act, who: str, data: dict[str, Any], pick: int) -> None:
        cases = self.world.ids()
        if not cases:
            return
        case, into = cases[pick % len(cases)], cases[(pick + 1) % len(cases)]
        notices = sorted(self.world.case(case).notices)
        notice = notices[pick % len(notices)] if notices else None
        before = self.world.case(case)
        taken = self.world.act(case, act.value, who, **data, into=into, notice=notice)
        assert "failed" not in taken.flags
        if taken.fate == "refused":
            assert self.world.case(case) == before
        elif not before.merged_into:
            assert before.state in ALLOWED[act]

    @rule(pick=st.integers(0, 99), rung=st.sampled_from([*Rung, None]), gone=st.booleans())
    def receipt(self, pick: int, rung: Rung | None, *, gone: bool) -> None:
        if self.world.sent:
            error = None if rung else "out of reach"
            notice = self.world.sent[pick % len(self.world.sent)]
            self.world.report(notice, rung=rung, error=error, permanent=gone)

    @rule(way=st.sampled_from(["call", "app", "sms", "desk"]), fails=st.booleans())
    def line(self, way: str, *, fails: bool) -> None:
        (self.world.down.add if fails else self.world.down.discard)(way)

    @rule(length=st.sampled_from(WAITS))
    def wait(self, length: str) -> None:
        self.world.wait(length)

    @rule(down=st.sampled_from([0, 60_000, 36_000_000]))
    def restart(self, down: int) -> None:
        self.world.clock.advance(down)
        self.world.restart()
        self.world.wait("0s")

    @invariant()
    def logs_only_grow(self) -> None:
        now = {case: self.world.log(case) for case in self.world.ids()}
        assert all(now[case][: len(log)] == log for case, log in self.logs.items())
        self.logs = now

    @invariant()
    def rows_and_measures_are_what_the_log_says(self) -> None:
        self.world.check()

    @invariant()
    def an_open_case_waits_for_something_or_for_its_desk(self) -> None:
        for case_id in self.world.ids():
            case = self.world.case(case_id)
            if case.is_open:
                taken = any(r.acknowledged for r in case.roles.values())
                assert self.world.deadlines(case_id) or case.next_due is None
                assert self.world.deadlines(case_id) or (case.promises and taken)
            else:
                assert not self.world.deadlines(case_id)

    @invariant()
    def one_key_has_one_open_case(self) -> None:
        cases = [self.world.case(case) for case in self.world.ids()]
        with self.world.store.read() as tx:
            holders = {case.fold_key: tx.cases.holder(case.fold_key) for case in cases}
        for case in cases:
            assert (case.state == "merged") == bool(case.merged_into)
            if case.is_open:
                assert holders[case.fold_key]

    @invariant()
    def states_come_from_the_table(self) -> None:
        for case_id, log in self.logs.items():
            case = rebuild(case_id, log)
            entered = {STATE_AFTER[e.kind] for e in log if e.kind in STATE_AFTER}
            assert case.state in entered


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=8,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
