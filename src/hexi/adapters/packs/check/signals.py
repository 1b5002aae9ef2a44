"""Promises about what opens and clears a case."""

from __future__ import annotations

from collections.abc import Iterator

from hexi.adapters.packs.check.item import Item, Whole
from hexi.adapters.packs.problem import Problem, problem_at
from hexi.kernel.place import Level
from hexi.kernel.scenario import Scenario
from hexi.kernel.text import Text

_KIND = Text(
    zh="信号种类（没有包在 [kinds] 里声明它）", en="kind of signal (no pack declares it under [kinds])"
)
_FOLD = Text(zh="归并依据", en="thing to fold by")
_FOLDS = ("subject", "device", "source", "address", *Level)


def _named_kinds(scenario: Scenario) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "signal.kinds", scenario.signal.kinds
    yield "signal.cleared_by", scenario.signal.cleared_by
    if scenario.absence:
        yield "absence.kinds", scenario.absence.kinds
    if scenario.sequence:
        yield "sequence.first", scenario.sequence.first
        yield "sequence.then", scenario.sequence.then


def answers_something(item: Item, _: Whole) -> Iterator[Problem]:
    """A scenario says what opens it."""
    scenario = item.scenario
    if not scenario.kinds():
        yield item.wrong("signal", "没有写什么信号会立案", "nothing says which signal opens a case")
    for where, kinds in _named_kinds(scenario):
        if not kinds and where not in {"signal.kinds", "signal.cleared_by"}:
            yield item.wrong(where, "不能为空", "must not be empty")


def kinds_have_a_source(item: Item, whole: Whole) -> Iterator[Problem]:
    """Every kind a scenario waits for is declared by some pack, so that something sends it."""
    known = {*whole.kinds, *whole.own_kinds}
    for where, kinds in _named_kinds(item.scenario):
        for kind in kinds:
            if kind not in known:
                yield item.unknown(where, kind, known, _KIND)


def nothing_filters_a_cry(item: Item, whole: Whole) -> Iterator[Problem]:
    """No condition, count or question stands between an SOS and the people who help."""
    scenario = item.scenario
    if not whole.answers_a_cry(scenario):
        return
    filters = (
        ("signal.when", scenario.signal.when),
        ("signal.at_least", scenario.signal.at_least),
        ("ask", scenario.ask),
    )
    for where, present in filters:
        if present:
            yield item.wrong(
                where, "呼救不得加条件、计次或先询问", "an SOS has no condition, no count and no question"
            )


def folds_by_what_a_signal_has(item: Item, _: Whole) -> Iterator[Problem]:
    """``same_case.by`` names something that signals carry."""
    for name in item.scenario.signal.same_case.by:
        if name not in _FOLDS and not name.startswith("data."):
            yield item.unknown("signal.same_case", name, _FOLDS, _FOLD)


def clears_only_when_told(item: Item, _: Whole) -> Iterator[Problem]:
    """A case that may close itself names the signals that say the trouble is over."""
    if item.scenario.case.auto_close and not item.scenario.signal.cleared_by:
        yield item.wrong(
            "case.auto_close",
            "要自动结案，须写 signal.cleared_by",
            "to close itself it needs signal.cleared_by",
        )


def packs_agree_on_a_kind(whole: Whole) -> Iterator[Problem]:
    """A kind that one pack calls an SOS is an SOS everywhere."""
    first: dict[str, tuple[str, bool]] = {}
    for source in whole.sources:
        for kind, info in source.manifest.kinds.items():
            pack, sos = first.setdefault(kind, (source.manifest.id, info.sos))
            if sos != info.sos:
                message = Text(
                    zh=f"{kind} 是否呼救，与包 {pack} 说法不同",
                    en=f"the pack {pack} says otherwise whether {kind} is an SOS",
                )
                yield problem_at(source.manifest_file, f'kinds."{kind}"', message)
