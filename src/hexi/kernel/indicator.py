"""Indicators: numbers counted from cases, each of which can name its cases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from math import ceil
from typing import Any

import msgspec

from hexi.kernel.case import Case
from hexi.kernel.clock import local_day
from hexi.kernel.condition import Condition
from hexi.kernel.scenario import IndicatorRule
from hexi.kernel.text import Text

_SPANS = {
    "told_in": "told",
    "answered_in": "answered",
    "acknowledged_in": "acknowledged",
    "set_off_in": "set_off",
    "arrived_in": "arrived",
    "handled_in": "handled",
    "closed_in": "closed",
}
_PROMISED_WITH = {"told": "acknowledged", "answered": "acknowledged"}
"""Milestones without a promise of their own are overdue with this one."""

CASE_NAMES = frozenset(
    {
        *_SPANS,
        "told_spread",
        "severity",
        "state",
        "open",
        "false_alarm",
        "escalated",
        "reopened",
        "scenario",
        "matter",
    }
)
"""What an indicator's ``where`` and ``of`` may speak of. Spans run from the signal's arrival."""

_MOVED_BY = {
    "receipt": frozenset({"told_in", "told_spread"}),
    "failed": frozenset[str](),
    "commented": frozenset[str](),
}
"""What of it an entry of a case's log can change, for kinds that change little; others may change all."""


class Indicator(msgspec.Struct, frozen=True, kw_only=True):
    """An indicator with its full name and the scenarios it counts."""

    id: str
    title: Text
    rule: IndicatorRule
    scenarios: tuple[str, ...] = ()
    """Empty: every case of the district."""

    def covers(self, case: Case) -> bool:
        """Whether the case belongs to what is counted; drills never do."""
        return counts(case) and self.covers_any(case.scenarios)

    def covers_any(self, scenarios: Iterable[str]) -> bool:
        """Whether a case with these scenarios belongs to what is counted."""
        return not self.scenarios or any(_matches(s, p) for s in scenarios for p in self.scenarios)


def moved(kinds: Iterable[str]) -> frozenset[str]:
    """What an indicator may see otherwise after entries of these kinds."""
    return frozenset[str]().union(*(_MOVED_BY.get(kind, CASE_NAMES) for kind in set(kinds)))


def counts(case: Case) -> bool:
    """Whether a case belongs to any figure at all."""
    return not (case.drill or case.merged_into)


def _matches(scenario: str, pattern: str) -> bool:
    return scenario == pattern or (pattern.endswith(".*") and scenario.startswith(pattern[:-1]))


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One case's part in one indicator. ``hit`` is None while it is not yet decided."""

    indicator: str
    case_id: str
    day: str
    street: str | None
    community: str | None
    grid: str | None
    hit: int | None
    value: float | None = None


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A computed indicator: ``value`` is None when nothing is counted yet."""

    indicator: str
    value: float | None
    counted: int
    hits: int


def case_values(case: Case) -> dict[str, Any]:
    """What CEL sees of a case; a milestone that was not reached is not there."""
    values: dict[str, Any] = {
        name: timedelta(milliseconds=case.milestones[milestone] - case.opened_at)
        for name, milestone in _SPANS.items()
        if milestone in case.milestones
    }
    handed = case.first_handover()
    if handed:
        values["told_spread"] = timedelta(milliseconds=max(handed) - min(handed))
    return values | {
        "severity": case.severity.value,
        "state": case.state.value,
        "open": case.is_open,
        "false_alarm": case.false_alarm is not None,
        "escalated": "escalated" in case.milestones,
        "reopened": "reopened" in case.milestones,
        "scenario": case.scenario,
        "matter": case.matter,
    }


class Seen:
    """A case as its indicators see it, made ready once for all of their conditions."""

    __slots__ = ("case", "day", "values")

    def __init__(self, case: Case) -> None:
        self.case = case
        self.day = local_day(case.opened_at)
        self.values = case_values(case)


MOST_VERDICTS = 1_000
"""Verdicts remembered by a meter; beyond it all are made anew."""


class Meter:
    """Measures cases against one indicator."""

    def __init__(self, indicator: Indicator) -> None:
        self.indicator = indicator
        self._where = Condition(indicator.rule.where) if indicator.rule.where else None
        self._names = sorted(self._where.names & CASE_NAMES) if self._where else []
        self.reads = self._read()
        """What of a case its part depends upon, as long as its place and scenarios are the same."""
        self._verdicts: dict[tuple[Any, ...], int] = {}
        """A condition says the same of the same values: most cases differ in none that one asks for."""

    def _read(self) -> frozenset[str]:
        rule = self.indicator.rule
        if rule.measure == "percentile":
            return frozenset({rule.of or ""})
        return frozenset({"open", *self._names} if rule.measure == "open_now" else self._names)

    def measure(self, seen: Seen) -> Measure:
        """The part of a case that the indicator covers, on the day it was opened."""
        case, (hit, value) = seen.case, self._judge(seen)
        return Measure(
            indicator=self.indicator.id,
            case_id=case.id,
            day=seen.day,
            street=case.place.street,
            community=case.place.community,
            grid=case.place.grid,
            hit=hit,
            value=value,
        )

    def _judge(self, seen: Seen) -> tuple[int | None, float | None]:
        rule, case, values = self.indicator.rule, seen.case, seen.values
        if rule.measure == "open_now" and not case.is_open:
            return 0, None
        if rule.measure == "percentile":
            span = values.get(rule.of or "")
            return (None, None) if span is None else (1, span.total_seconds())
        if self._where is None:
            return 1, None
        missing = [name for name in self._names if name not in values]
        if missing:
            return (0 if any(_overdue(case, name) for name in missing) else None), None
        return self._holds(self._where, tuple([values[name] for name in self._names])), None

    def _holds(self, where: Condition, given: tuple[Any, ...]) -> int:
        verdict = self._verdicts.get(given)
        if verdict is None:
            if len(self._verdicts) >= MOST_VERDICTS:
                self._verdicts.clear()
            verdict = int(where.judge(dict(zip(self._names, given, strict=True))).holds)
            self._verdicts[given] = verdict
        return verdict


def _overdue(case: Case, name: str) -> bool:
    """Whether a milestone that is not there was due: its promise was missed, or the case is over.

    A case that ended before anybody was sent (the elder said to be well) owed none, and one found
    to be a false alarm owes only what was missed before.
    """
    if "opened" not in case.milestones:
        return False
    milestone = _SPANS.get(name, "")
    promise = case.promises.get(_PROMISED_WITH.get(milestone, milestone))
    missed = promise is not None and promise.missed is not None
    return missed or not (case.is_open or case.false_alarm)


def figure(rule: IndicatorRule, indicator: str, rows: Iterable[tuple[int | None, float | None]]) -> Figure:
    """Reduce (hit, value) of the measured cases to one number."""
    decided = [(hit, value) for hit, value in rows if hit is not None]
    hits = sum(hit for hit, _ in decided)
    counted = len(decided)
    value: float | None
    if rule.measure == "share":
        value = hits / counted if counted else None
    elif rule.measure == "percentile":
        value = percentile([v for _, v in decided if v is not None], rule.percent)
    else:
        value = float(hits)
    return Figure(indicator=indicator, value=value, counted=counted, hits=hits)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile; None of nothing."""
    if not values:
        return None
    ranked = sorted(values)
    return ranked[max(0, ceil(percent / 100 * len(ranked)) - 1)]
