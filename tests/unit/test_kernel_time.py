"""Instants, durations, hours and days of the district."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexi.kernel.clock import (
    DAY,
    LOCAL,
    MINUTE,
    SimClock,
    format_duration,
    format_instant,
    from_datetime,
    local_day,
    next_local,
    parse_duration,
    parse_instant,
    parse_time_of_day,
    to_datetime,
)
from hexi.kernel.hours import closes_at, is_open, parse_hours
from hexi.kernel.scenario import describe_length

INSTANTS = st.integers(0, 4_102_444_800_000)
TIMES = st.times().map(lambda t: t.replace(second=0, microsecond=0))


@given(INSTANTS)
def test_an_instant_survives_being_written(at: int) -> None:
    assert parse_instant(format_instant(at)) == at
    assert from_datetime(to_datetime(at, LOCAL)) == at


@given(INSTANTS, st.integers(-14 * 60, 14 * 60))
def test_an_instant_is_the_same_in_every_zone(at: int, minutes: int) -> None:
    sign, ahead = "-" if minutes < 0 else "+", abs(minutes)
    moment = to_datetime(at).replace(tzinfo=None) + timedelta(minutes=minutes)
    text = f"{moment.isoformat(timespec='milliseconds')}{sign}{ahead // 60:02}:{ahead % 60:02}"
    assert parse_instant(text) == at


@pytest.mark.parametrize("text", ["2026-05-01T08:00:00", "2026-05-01", "soon", "", "2026-13-01T00:00:00Z"])
def test_a_time_without_its_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_instant(text)


@given(st.integers(0, 400 * DAY))
def test_a_duration_survives_being_written(length: int) -> None:
    assert parse_duration(format_duration(length)) == length
    assert describe_length(length).zh
    assert describe_length(length).en


@pytest.mark.parametrize(
    ("text", "length"), [("90s", 90_000), ("1h30m", 5_400_000), ("0.5s", 500), ("2 d", 2 * DAY), ("5ms", 5)]
)
def test_durations(text: str, length: int) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "5", "m", "-5s", "5 minutes", "1h-30m", "1e3s", "NaN", "5s5"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(INSTANTS, TIMES)
def test_the_next_time_of_day_is_ahead_by_at_most_a_day(at: int, wanted: time) -> None:
    found = next_local(at, wanted)
    assert at < found <= at + DAY
    assert to_datetime(found, LOCAL).time() == wanted


def test_a_day_begins_at_midnight_in_the_district() -> None:
    assert local_day(parse_instant("2026-05-01T15:59:59.999Z")) == "2026-05-01"
    assert local_day(parse_instant("2026-05-01T16:00:00Z")) == "2026-05-02"
    with pytest.raises(ValueError):
        parse_time_of_day("24:00")


@given(st.lists(st.integers(0, 10_000)))
def test_a_simulated_clock_never_goes_back(steps: list[int]) -> None:
    clock, last = SimClock(5_000), 5_000
    for step in steps:
        clock.set(step)
        assert clock.now() >= last
        last = clock.now()
    with pytest.raises(ValueError):
        clock.advance(-1)


# Opening hours


def at(text: str) -> int:
    return from_datetime(datetime.fromisoformat(f"2026-05-{text}:00+08:00"))


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        ("08:00-20:00", ["06T08:00", "06T19:59", "09T12:00"], ["06T07:59", "06T20:00"]),
        ("22:00-07:00", ["06T22:00", "06T23:59", "07T00:00", "07T06:59"], ["06T21:59", "07T07:00"]),
        ("Mo-Fr 08:00-18:00; Sa 09:00-12:00", ["08T08:00", "09T09:00"], ["09T08:59", "09T12:00", "10T10:00"]),
        ("Sa-Mo 10:00-11:00", ["09T10:00", "10T10:00", "11T10:00"], ["12T10:00", "08T10:00"]),
        ("Mo,We 00:00-24:00", ["04T00:00", "06T23:59"], ["05T00:00", "07T00:00"]),
        ("Fr 22:00-02:00", ["08T22:00", "09T01:59"], ["07T23:00", "08T01:00", "09T02:00"]),
        ("24/7", ["06T00:00", "10T23:59"], []),
        ("", [], ["06T12:00"]),
    ],
)
def test_when_it_is_open(hours: str, inside: list[str], outside: list[str]) -> None:
    spans = parse_hours(hours)
    assert [is_open(spans, at(t)) for t in inside + outside] == [True] * len(inside) + [False] * len(outside)


@pytest.mark.parametrize(
    "text", ["8-20", "08:00", "Mo 25:00-26:00", "Xx 08:00-10:00", "always", "08:00-20:61"]
)
def test_what_are_no_hours(text: str) -> None:
    with pytest.raises(ValueError):
        parse_hours(text)


@given(TIMES, TIMES, st.integers(0, 7 * 24 * 60 - 1))
def test_it_closes_at_the_first_minute_at_which_it_is_shut(start: time, end: time, minute: int) -> None:
    hours = parse_hours(f"{start:%H:%M}-{end:%H:%M}")
    now = from_datetime(datetime(2026, 5, 4, tzinfo=UTC)) + minute * MINUTE
    closes = closes_at(hours, now)
    if not is_open(hours, now):
        assert closes == now
    elif start != end:
        assert not is_open(hours, closes)
        assert is_open(hours, closes - 1)
        assert now < closes <= now + DAY
