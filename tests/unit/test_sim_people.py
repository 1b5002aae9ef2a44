from collections import Counter

import msgspec

from hexi.kernel.case import Act
from hexi.kernel.clock import DAY, MINUTE
from hexi.kernel.response import Notice
from hexi.kernel.signal import Lane
from hexi.sim import people
from hexi.sim.faults import Faults
from hexi.sim.people import People, habit_of

NOW = 1_777_777_777_000
NOTICE = Notice(
    id="N1",
    case_id="C1",
    step="elder_care.pendant_sos#1",
    role="steward",
    recipient="person:W001",
    name="王敏",
    way="call",
    address="+861990000910001",
    text="…",
    language="zh",
    t0=NOW,
    lane=Lane.SOS,
)


def notice(**changes):
    return msgspec.structs.replace(NOTICE, **changes)


def crowd(count=400, **changes):
    """The answers of one sort of recipient in many cases."""
    known = People(seed=1)
    return [known.answers(notice(case_id=f"C{n}", id=f"N{n}", **changes), NOW) for n in range(count)]


def kinds(answers):
    return [planned.signal.kind for planned in answers]


def test_the_same_seed_answers_the_same():
    assert People(1).answers(NOTICE, NOW) == People(1).answers(NOTICE, NOW)


def test_most_stewards_go_and_arrive_in_some_minutes():
    answered = [a for a in crowd() if a]
    assert 0.75 < len(answered) / 400 < 0.95
    going = [a for a in answered if kinds(a)[0] == "act.set_off"]
    assert len(going) > 0.8 * len(answered)
    travel = sorted(a[1].at - a[0].at for a in going)
    assert 5 * MINUTE < travel[len(travel) // 2] < 12 * MINUTE


def test_those_who_go_finish_what_they_came_for():
    ends = Counter(kinds(a)[-1] for a in crowd() if a and kinds(a)[0] == "act.set_off")
    assert set(ends) == {"act.false_alarm", "act.closed"}
    assert ends["act.false_alarm"] > 3 * ends["act.closed"]


def test_acts_are_in_order_and_never_before_the_notice():
    for answers in crowd():
        times = [planned.at for planned in answers]
        assert times == sorted(times)
        assert all(at > NOW for at in times)
        assert all(planned.signal.received == planned.at for planned in answers)


def test_every_act_is_one_the_case_knows_and_says_who_did_it():
    for recipient in (
        "person:E00001",
        "contact:E00001-C1",
        "person:W001",
        "centre:SC01",
        "roster:district",
        "unit:120",
    ):
        for answers in crowd(60, recipient=recipient):
            for planned in answers:
                assert planned.signal.kind.removeprefix("act.") in set(Act)
                assert planned.signal.subject.startswith("case:C")
                assert planned.signal.data["by"] == recipient


def test_asked_elders_are_well_unless_it_is_real():
    said = Counter(kinds(a)[0] for a in crowd(recipient="person:E00007", step="ask") if a)
    assert set(said) == {"act.well", "act.help"}
    assert said["act.well"] > 5 * said["act.help"]


def test_nobody_answers_one_case_twice_by_different_ways():
    known = People(seed=1)
    first = [known.answers(notice(case_id=f"C{n}"), NOW) for n in range(50)]
    second = [known.answers(notice(case_id=f"C{n}", way="app"), NOW) for n in range(50)]
    assert all(not later for earlier, later in zip(first, second, strict=True) if earlier)
    assert any(later for earlier, later in zip(first, second, strict=True) if not earlier)


def test_a_centre_that_never_answers_never_answers():
    known = People(1, Faults(never_answer=frozenset({"centre:SC07"})))
    assert not any(known.answers(notice(case_id=f"C{n}", recipient="centre:SC07"), NOW) for n in range(50))
    assert any(known.answers(notice(case_id=f"C{n}", recipient="centre:SC08"), NOW) for n in range(50))


def test_spared_notices_are_left_to_real_people():
    known = People(1, spared=lambda n: n.case_id == "C1")
    assert known.answers(NOTICE, NOW) == []
    assert any(known.answers(notice(case_id=f"C{n}"), NOW) for n in range(2, 50))


def test_what_does_not_burn_is_done_within_a_day_or_two():
    answered = [a for a in crowd(lane=Lane.BULK) if a]
    assert all(kinds(a) == ["act.acknowledged", "act.handled", "act.closed"] for a in answered)
    assert all(a[-1].at < NOW + 4 * DAY for a in answered)


def test_desks_acknowledge_and_do_not_go():
    assert {k for a in crowd(recipient="person:P0001", role="duty") for k in kinds(a)} == {"act.acknowledged"}


def test_memory_of_answers_is_bounded(monkeypatch):
    monkeypatch.setattr(people, "REMEMBERED", 10)
    known = People(1)
    for n in range(100):
        known.answers(notice(case_id=f"C{n}"), NOW)
    assert len(known._answered) == 10


def test_whose_habits():
    assert [
        habit_of(notice(recipient=r)) for r in ("person:E1", "person:W1", "person:P1", "roster:district")
    ] == [
        "subject",
        "steward",
        "desk",
        "desk",
    ]
