"""The fold of a case's log, the table of states, and what one case counts for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexi.kernel.case import ALLOWED, OPEN_STATES, STATE_AFTER, Act, Case, CaseState, Entry
from hexi.kernel.clock import MINUTE
from hexi.kernel.fold import apply, known_kinds, rebuild
from hexi.kernel.indicator import CASE_NAMES, Indicator, Measure, Meter, Seen, moved
from hexi.kernel.scenario import IndicatorRule, Severity
from hexi.kernel.text import Text

T0 = 1_780_000_000_000
SEVERITIES = st.sampled_from(list(Severity))
PEOPLE = ["person:W1", "person:W2", "contact:K1"]
BODIES: dict[str, dict[str, Any]] = {
    "asked": {"whom": "subject", "wait": 20_000},
    "answered": {"answer": "silence"},
    "opened": {"scenario": "t.a"},
    "handled": {"role": "steward"},
    "verified": {},
    "whistled": {"unit": "unit:U1", "task": "w"},
    "escalated": {"level": "street", "reason": "arrived"},
    "cancelled": {},
    "cleared": {},
    "false_alarm": {"reason": "marked"},
    "closed": {"outcome": "done"},
    "rejected": {"outcome": "false_alarm"},
    "merged": {"into": "other", "state": "opened"},
    "flagged": {"flags": ["clock_wrong"]},
    "unheard_of": {"x": 1},
    "told": {
        "notice": "n1",
        "role": "steward",
        "recipient": "person:W1",
        "way": "call",
        "step": "s",
        "t0": T0,
    },
    "receipt": {"notice": "n1", "rung": "L1"},
    "failed": {"notice": "n1", "reason": "busy"},
    "commented": {"note": "n"},
    "missed": {"promise": "arrived", "due": T0},
    **{kind: {"role": "steward"} for kind in ("acknowledged", "declined", "set_off", "arrived")},
}


def reported(**changes: Any) -> tuple[str, str, dict[str, Any]]:
    body = {
        "scenario": "t.a",
        "version": "1",
        "matter": "m",
        "fold_key": "m|x",
        "severity": "severe",
        "signal": {"id": "s1", "received": T0},
        "promises": {"acknowledged": T0 + MINUTE, "arrived": T0 + 15 * MINUTE},
    }
    return "reported", "system", body | changes


def log(*said: tuple[str, str, dict[str, Any]], every: int = 1_000) -> list[Entry]:
    return [
        Entry(seq=n, at=T0 + (n - 1) * every, kind=kind, by=by, body=body)
        for n, (kind, by, body) in enumerate(said, 1)
    ]


STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(BODIES)), st.sampled_from(PEOPLE)).map(lambda p: (*p, BODIES[p[0]])),
    max_size=30,
)
PLANNED = ("planned", "system", {"step": "s", "role": "steward", "need": 1, "due": T0})


@given(STEPS)
def test_folding_step_by_step_is_rebuilding_and_states_follow_the_table(steps: list[Any]) -> None:
    case = Case(id="C")
    entries = log(reported(), PLANNED, *steps)
    for entry in entries:
        before = case.state
        apply(case, entry)
        assert case == rebuild("C", entries[: entry.seq])
        assert case.state in {before, STATE_AFTER.get(entry.kind)}
        if before not in OPEN_STATES:
            assert case.state not in OPEN_STATES
        assert case.version == entry.seq
    assert all(case.milestones[name] >= T0 for name in case.milestones)


@given(st.permutations(list(Severity)))
def test_a_case_is_raised_and_never_lowered(severities: list[Severity]) -> None:
    raised = [("raised", "system", {"scenario": f"t.{s}", "version": "1", "severity": s}) for s in severities]
    case = rebuild("C", log(reported(severity="moderate"), *raised))
    assert case.severity is Severity.EXTREME
    assert case.scenario == "t.extreme"
    assert len(case.scenarios) == 5


def test_a_promise_may_only_come_nearer() -> None:
    later = {
        "scenario": "t.b",
        "version": "1",
        "severity": "minor",
        "promises": {"arrived": T0 + 60 * MINUTE},
    }
    nearer = later | {"promises": {"arrived": T0 + 5 * MINUTE, "closed": T0 + 90 * MINUTE}}
    case = rebuild("C", log(reported(), ("raised", "system", later), ("raised", "system", nearer)))
    assert {name: p.due - T0 for name, p in case.promises.items()} == {
        "acknowledged": MINUTE,
        "arrived": 5 * MINUTE,
        "closed": 90 * MINUTE,
    }


@given(STEPS, st.integers(-3, 3).filter(lambda n: n != 1))
def test_a_gap_in_a_log_is_refused(steps: list[Any], jump: int) -> None:
    entries = log(reported(), PLANNED, *steps)
    case = rebuild("C", entries)
    wrong = Entry(seq=case.version + jump, at=T0, kind="opened")
    with pytest.raises(ValueError, match="after"):
        apply(case, wrong)


@given(
    st.lists(st.tuples(st.sampled_from(["acknowledged", "declined"]), st.sampled_from(PEOPLE)), max_size=9)
)
def test_the_latest_answer_of_each_person_counts(answers: list[tuple[str, str]]) -> None:
    case = rebuild("C", log(reported(), PLANNED, *((kind, by, {"role": "steward"}) for kind, by in answers)))
    role, last = case.roles["steward"], {by: kind for kind, by in answers}
    assert set(role.acknowledged) == {by for by, kind in last.items() if kind == "acknowledged"}
    assert set(role.declined) == {by for by, kind in last.items() if kind == "declined"}
    assert role.satisfied == bool(role.acknowledged)


def test_the_tables_are_whole() -> None:
    assert set(ALLOWED) == set(Act)
    assert set(STATE_AFTER) <= known_kinds()
    assert set(STATE_AFTER.values()) == set(CaseState)
    assert all(Act.HELP in ALLOWED and state in ALLOWED[Act.HELP] for state in CaseState if state != "merged")


# Indicators


def meter(measure: str, where: str | None, **rule: Any) -> Meter:
    made = IndicatorRule(id="i", measure=measure, where=where, **rule)  # type: ignore[arg-type]
    return Meter(Indicator(id="t.i", title=Text(zh="一", en="i"), rule=made))


def measured(measure: str, where: str | None, *said: tuple[str, str, dict[str, Any]], **rule: Any) -> Measure:
    case = rebuild("C", log(reported(), *said, every=MINUTE))
    return meter(measure, where, **rule).measure(Seen(case))


ARRIVED = ("arrived", "person:W1", {"role": "steward"})
OPENED = ("opened", "system", BODIES["opened"])
MISSED = ("missed", "system", BODIES["missed"])
CLOSED = ("closed", "user:d", BODIES["closed"])


@pytest.mark.parametrize(
    ("said", "hit"),
    [
        ([OPENED], None),
        ([OPENED, ARRIVED], 1),
        ([OPENED] * 15 + [ARRIVED], 0),
        ([OPENED, MISSED], 0),
        ([OPENED, MISSED, ARRIVED], 1),
        ([OPENED, CLOSED], 0),
        ([CLOSED], None),
    ],
)
def test_arrival_counts_when_it_is_decided(said: list[Any], hit: int | None) -> None:
    found = measured("share", "arrived_in <= duration('15m')", *said)
    assert found.hit == hit


def test_what_is_open_and_how_long_it_took() -> None:
    assert measured("open_now", "severity == 'severe'", OPENED).hit == 1
    assert measured("open_now", "severity == 'severe'", OPENED, CLOSED).hit == 0
    assert measured("percentile", None, OPENED, ARRIVED, of="arrived_in").value == 120.0


def test_drills_and_merged_cases_are_not_counted() -> None:
    indicator = Indicator(id="t.i", title=Text(zh="一", en="i"), rule=IndicatorRule(id="i", measure="count"))
    merged = ("merged", "user:d", BODIES["merged"])
    assert not indicator.covers(rebuild("C", log(reported(drill=True))))
    assert not indicator.covers(rebuild("C", log(reported(), merged)))
    assert indicator.covers(rebuild("C", log(reported(), OPENED)))


METERS = [
    meter("count", None),
    *(meter("share", f"{name} <= duration('3s')") for name in sorted(CASE_NAMES) if name.endswith("_in")),
    meter("share", "open && !escalated || false_alarm || reopened"),
    meter("share", "state == 'dispatched' && severity == 'severe' && told_spread <= duration('2s')"),
    meter("open_now", None),
    meter("open_now", "scenario == 't.a' && matter == 'm'"),
    meter("percentile", None, of="told_in"),
    meter("percentile", None, of="told_spread"),
]


@given(STEPS)
def test_a_part_that_an_entry_cannot_move_stays_as_it_is(steps: list[Any]) -> None:
    case = Case(id="C")
    for entry in log(reported(), PLANNED, *steps):
        before = [m.measure(Seen(case)) for m in METERS]
        apply(case, entry)
        after = [m.measure(Seen(case)) for m in METERS]
        changed = [m for m, old, new in zip(METERS, before, after, strict=True) if old != new]
        assert not any(moved([entry.kind]).isdisjoint(m.reads) for m in changed if m.reads)
        assert moved([entry.kind]) == CASE_NAMES or all(m.reads for m in changed)


def test_what_a_receipt_moves() -> None:
    assert moved(["receipt", "receipt", "commented"]) == {"told_in", "told_spread"}
    assert moved(["receipt", "unheard_of"]) == CASE_NAMES
    assert moved([]) == frozenset()
