"""Promises about what is counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from hexi.adapters.packs.check.conditions import FUNCTION, NAME
from hexi.adapters.packs.check.item import Item, Whole
from hexi.adapters.packs.problem import Problem, problem_at, with_suggestion
from hexi.kernel.condition import FUNCTIONS, Condition, unknown_names
from hexi.kernel.indicator import CASE_NAMES
from hexi.kernel.scenario import IndicatorRule
from hexi.kernel.text import Text

_SPANS = (*sorted(name for name in CASE_NAMES if name.endswith("_in")), "told_spread")


def of_scenario(item: Item, whole: Whole) -> Iterator[Problem]:
    """A scenario's own indicators are sound."""
    yield from _sound(item.file, item.scenario.indicator, whole)


def of_pack(whole: Whole) -> Iterator[Problem]:
    """A pack's indicators are sound."""
    for source in whole.sources:
        yield from _sound(source.manifest_file, source.manifest.indicator, whole)


def _sound(file: Path, rules: Iterable[IndicatorRule], whole: Whole) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, rule in enumerate(rules):
        where = f"indicator[{number}]"
        if rule.id in seen:
            yield problem_at(
                file, f"{where}.id", Text(zh=f"{rule.id} 写了两次", en=f"{rule.id} is there twice")
            )
        seen.add(rule.id)
        for key, message in (*_shape(rule), *_where(rule), *_over(rule, whole)):
            yield problem_at(file, f"{where}.{key}", message)


def _shape(rule: IndicatorRule) -> Iterator[tuple[str, Text]]:
    if rule.measure == "percentile" and rule.of not in _SPANS:
        message = Text(zh=f"百分位要写 of，可用：{'、'.join(_SPANS)}", en="needs one of " + ", ".join(_SPANS))
        yield "of", with_suggestion(message, rule.of or "", _SPANS)
    if rule.measure == "share" and rule.where is None:
        yield "where", Text(zh="占比要写 where", en="a share needs where")
    if not 0 < rule.percent <= 100:
        yield "percent", Text(zh="应在 0 与 100 之间", en="must lie between 0 and 100")


def _where(rule: IndicatorRule) -> Iterator[tuple[str, Text]]:
    if rule.where is None:
        return
    condition = Condition(rule.where)
    for name in unknown_names(condition, CASE_NAMES):
        yield "where", _unknown(name, CASE_NAMES, NAME)
    for name in sorted(condition.functions - FUNCTIONS):
        yield "where", _unknown(name, FUNCTIONS, FUNCTION)


def _over(rule: IndicatorRule, whole: Whole) -> Iterator[tuple[str, Text]]:
    known = {*whole.scenarios, *(f"{source.manifest.id}.*" for source in whole.sources), "*"}
    for pattern in rule.over:
        if pattern not in known:
            yield "over", _unknown(pattern, known, Text(zh="场景", en="scenario"))


def _unknown(word: str, known: Iterable[str], what: Text) -> Text:
    message = Text(zh=f"不认识的{what.zh}：{word}", en=f"unknown {what.en}: {word}")
    return with_suggestion(message, word, known)
