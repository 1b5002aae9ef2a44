"""Promises about scenarios beside each other: one signal, one winner; one matter, one case."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from hexi.adapters.packs.check.item import Item, Whole
from hexi.adapters.packs.problem import Problem
from hexi.kernel.scenario import Scenario
from hexi.kernel.text import Text

_SCENARIO = Text(zh="场景", en="scenario")


def beats_exist(item: Item, whole: Whole) -> Iterator[Problem]:
    """``beats`` names other scenarios, and never each other."""
    for loser in item.scenario.beats:
        other = whole.scenarios.get(loser)
        if other is None:
            yield item.unknown("beats", loser, whole.scenarios, _SCENARIO)
        elif item.scenario.id in other.scenario.beats or other is item:
            yield item.wrong("beats", f"与 {loser} 互相优先", f"and {loser} beat each other")


def no_unexplained_overlap(whole: Whole) -> Iterator[Problem]:
    """Where two scenarios answer one kind, the files say which one wins."""
    for kind, items in _by_kind(whole).items():
        for one, other in combinations(items, 2):
            if not _explained(one.scenario, other.scenario):
                yield other.wrong(
                    "signal.kinds",
                    f"{kind} 也由 {one.scenario.id} 应答，没有说明谁优先（when、beats 或不同 severity）",
                    f"{one.scenario.id} answers {kind} too, and nothing says which wins"
                    " (when, beats or another severity)",
                )


def _by_kind(whole: Whole) -> dict[str, list[Item]]:
    answering: dict[str, list[Item]] = {}
    for item in whole.items:
        for kind in item.scenario.kinds():
            answering.setdefault(kind, []).append(item)
    return answering


def _explained(one: Scenario, other: Scenario) -> bool:
    beaten = one.id in other.beats or other.id in one.beats
    graded = one.case.severity is not other.case.severity
    parted = one.signal.when != other.signal.when
    return beaten or graded or parted


def one_matter_folds_in_one_way(whole: Whole) -> Iterator[Problem]:
    """Scenarios of one matter meet in one case only if they fold by the same things."""
    first: dict[str, Item] = {}
    for item in whole.items:
        other = first.setdefault(item.scenario.matter, item)
        if set(other.scenario.signal.same_case.by) != set(item.scenario.signal.same_case.by):
            yield item.wrong(
                "signal.same_case",
                f"与 {other.scenario.id} 同一事项，归并依据却不同",
                f"the same matter as {other.scenario.id}, but folded by other things",
            )
