"""Texts, conditions, percentiles, places: the small pure parts."""

from __future__ import annotations

import math
from typing import Any

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexi.kernel.condition import Condition
from hexi.kernel.indicator import figure, percentile
from hexi.kernel.place import DETOUR, Point, distance_m, point_in, walk
from hexi.kernel.scenario import IndicatorRule
from hexi.kernel.signal import Signal, digest, is_sos_kind
from hexi.kernel.text import Text

WORDS = st.text(min_size=1).filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(WORDS, st.dictionaries(st.from_regex(r"\A\w+\Z"), st.text()))
def test_filling_replaces_every_hole_once_and_nothing_else(said: str, values: dict[str, str]) -> None:
    holes = " ".join(f"{{{name}}}" for name in values)
    plain = said.replace("{", "").replace("}", "")
    text = Text(zh=f"#{plain}{holes}", en=f"#{holes}{plain}")
    assert text.fill(values, "zh") == f"#{plain}" + " ".join(values.values())
    assert text.fill({}, "en") == f"#{holes}{plain}"
    assert text.holes() == set(values)
    assert text.get("fr") == text.zh


@pytest.mark.parametrize(("zh", "en"), [("", "a"), ("一", ""), (" ", "a"), ("一", "\n")])
def test_a_text_has_both_languages(zh: str, en: str) -> None:
    with pytest.raises(ValueError, match="both languages"):
        Text(zh=zh, en=en)


# Conditions


@pytest.mark.parametrize(
    ("text", "data", "holds", "failed"),
    [
        ("data.n > 5", {"n": 6}, True, False),
        ("data.n > 5", {"n": 5}, False, False),
        ("data.n > 5", {}, True, True),
        ("data.n > 5", {"n": "six"}, True, True),
        ("data.n > 5", {"n": None}, True, True),
        ("data.n", {"n": 1}, True, True),
        ("100 / data.n > 5", {"n": 0}, True, True),
        ("data.n % 0 == 1", {"n": 1}, True, True),
        ("data.n * data.n > 0", {"n": 2**62}, True, True),
        ("int(data.n) > 5", {"n": 1e300}, True, True),
        ("data.n[7] == 1", {"n": [1]}, True, True),
        ("data.n.matches('(')", {"n": "x"}, True, True),
        ("nothing(data.n)", {"n": 1}, True, True),
        ("has(data.n) && data.n > 5", {}, False, False),
    ],
)
def test_what_cannot_be_decided_holds_and_says_so(
    text: str, data: dict, *, holds: bool, failed: bool
) -> None:
    verdict = Condition(text).judge({"data": data})
    assert (verdict.holds, verdict.error is not None) == (holds, failed)


@pytest.mark.parametrize("broken", [ZeroDivisionError, LookupError, OSError, RecursionError, AssertionError])
def test_a_packs_own_function_that_raises_holds(broken: type[Exception]) -> None:
    def own(_: object) -> bool:
        raise broken("wrong")

    verdict = Condition("own(data)").judge(cel.Context(variables={"data": {}}, functions={"own": own}))
    assert verdict.holds
    assert verdict.error


@given(JSON)
def test_no_data_whatever_escapes_a_condition(value: Any) -> None:
    for text in ("data.n > 5", "data.n == 'x'", "data.n.a[0] / data.n.b == 1", "data.n.exists(x, x > 1)"):
        verdict = Condition(text).judge(cel.Context(variables={"data": {"n": value}}))
        assert verdict.holds or verdict.error is None


@pytest.mark.parametrize("text", ["", "data.", "1 +", "data.n >", "'"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match="not a condition"):
        Condition(text)


# Signals


@pytest.mark.parametrize(
    ("kind", "sos"),
    [
        ("sos", True),
        ("SOS", True),
        ("a.b.sos", True),
        ("Vendor.SOS", True),
        ("sosa", False),
        ("mysos", False),
    ],
)
def test_a_cry_by_its_name(kind: str, *, sos: bool) -> None:
    assert is_sos_kind(kind) is sos


@given(st.dictionaries(st.text(), st.integers(-(2**62), 2**62), max_size=5), st.text(), st.integers(0, 2**40))
def test_a_signal_told_again_has_the_same_digest_and_another_one_not(
    data: dict, subject: str, at: int
) -> None:
    one = Signal(id="1", source="a", kind="k", received=at, subject=subject, data=data)
    again = Signal(
        id="1", source="a", kind="k", received=at + 9, subject=subject, data=dict(reversed(data.items()))
    )
    other = Signal(id="1", source="a", kind="k", received=at, subject=subject, data={**data, "one more": 1})
    assert digest(one) == digest(again) != digest(other)


# Figures


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.floats(0.1, 100))
def test_a_percentile_is_the_nearest_rank(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    at_most = sum(v <= found for v in values)
    below = sum(v < found for v in values)
    assert at_most >= math.ceil(percent / 100 * len(values)) > below


def test_a_percentile_of_nothing() -> None:
    assert percentile([], 50) is None


@given(st.lists(st.sampled_from([None, 0, 1])))
def test_a_share_counts_what_is_decided(hits: list[int | None]) -> None:
    found = figure(IndicatorRule(id="i", measure="share"), "p.i", [(hit, None) for hit in hits])
    assert (found.hits, found.counted) == (hits.count(1), hits.count(1) + hits.count(0))
    assert found.value == (found.hits / found.counted if found.counted else None)


# Places


POINTS = st.builds(Point, st.floats(-180, 180), st.floats(-90, 90))


@given(POINTS, POINTS)
def test_a_walk_is_as_long_back_as_there(a: Point, b: Point) -> None:
    assert distance_m(a, a) == 0
    assert distance_m(a, b) == pytest.approx(distance_m(b, a))
    assert walk(a, b).metres == pytest.approx(distance_m(a, b) * DETOUR)


def test_seven_hundred_metres_take_a_quarter_of_an_hour() -> None:
    way = walk(Point(117.2, 39.1), Point(117.206, 39.1))
    assert way.metres == pytest.approx(699, abs=2)
    assert way.seconds == pytest.approx(15 * 60, abs=5)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"lon": 1},
        {"lon": "1", "lat": 2},
        {"lon": True, "lat": 2},
        {"lon": 0, "lat": 0},
        {"lon": 181, "lat": 0},
        {"lon": math.nan, "lat": 1},
        {"lon": math.inf, "lat": 1},
        {"lon": [1], "lat": 1},
    ],
)
def test_what_is_no_position(data: dict) -> None:
    assert point_in(data) is None
