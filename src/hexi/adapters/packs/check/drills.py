"""Promises about the plans of drills, which nobody should find broken on the day of the drill."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hexi.adapters.packs.check.item import Placed, Whole
from hexi.adapters.packs.problem import Problem, broken_toml, wrong_form
from hexi.kernel.directory import WAYS
from hexi.kernel.text import Text
from hexi.spine.drill_plan import JUDGED, DrillPlan, parse_plan

_KIND = Text(zh="信号种类", en="kind")
_ROLE = Text(zh="角色", en="role")
_PROMISE = Text(zh="承诺", en="promise")
_WAY = Text(zh="通知方式", en="way")
_ALWAYS = frozenset({"duty", "subject"})
"""Roles without a step of their own: the desks of an escalation, and whoever is asked first."""


@dataclass(frozen=True)
class _Planned(Placed):
    """A plan that can be read, its file and its pack."""

    plan: DrillPlan


def plans_can_be_run(whole: Whole) -> Iterator[Problem]:
    """Every file in ``drills/`` is a plan, and all it names is there."""
    for source in whole.sources:
        for file in sorted((source.folder / "drills").glob("*.toml")):
            plan = _read(file)
            if isinstance(plan, Problem):
                yield plan
                continue
            for looks in _LOOKS:
                yield from looks(_Planned(file, source, plan), whole)


def _read(file: Path) -> DrillPlan | Problem:
    try:
        text = file.read_text("utf-8")
        table = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        return broken_toml(file, error)
    try:
        return parse_plan(table)
    except ValueError as error:
        return wrong_form(file, error, DrillPlan, text)


def _name(planned: _Planned, _: Whole) -> Iterator[Problem]:
    pack, file = planned.source.manifest.id, planned.file
    wanted = f"{pack}.{file.stem}"
    if planned.plan.id != wanted:
        yield planned.wrong(
            "id", f"编号应为 {wanted}（包.文件名）", f"the id should be {wanted}: pack and file"
        )


def _signals(planned: _Planned, whole: Whole) -> Iterator[Problem]:
    """A signal that opens nothing leaves nothing to judge."""
    answered = {kind for item in whole.items for kind in item.scenario.kinds()}
    any_opens = False
    for number, signal in enumerate(planned.plan.signal):
        where = f"signal[{number}]"
        if signal.kind not in whole.kinds:
            yield planned.unknown(f"{where}.kind", signal.kind, whole.kinds, _KIND)
        if signal.after >= planned.plan.lasts:
            yield planned.wrong(
                f"{where}.after", "演练已结束才发出", "it would come after the drill has ended"
            )
        any_opens |= signal.kind in answered or whole.is_cry(signal.kind)
    if not any_opens and all(signal.kind in whole.kinds for signal in planned.plan.signal):
        yield planned.wrong("signal", "没有场景响应这些信号", "no scenario answers any of these signals")


def _answers(planned: _Planned, whole: Whole) -> Iterator[Problem]:
    roles = {step.role for item in whole.items for step in item.scenario.response} | _ALWAYS
    for number, answer in enumerate(planned.plan.answer):
        where = f"answer[{number}]"
        if answer.role not in roles:
            yield planned.unknown(f"{where}.role", answer.role, roles, _ROLE)
        if answer.after >= planned.plan.lasts:
            yield planned.wrong(
                f"{where}.after", "演练已结束才应答", "it would come after the drill has ended"
            )


def _promises(planned: _Planned, _: Whole) -> Iterator[Problem]:
    for name in planned.plan.promises:
        if name not in JUDGED:
            yield planned.unknown(f"promises.{name}", name, JUDGED, _PROMISE)


def _ways(planned: _Planned, _: Whole) -> Iterator[Problem]:
    for way in planned.plan.down:
        if way not in WAYS:
            yield planned.unknown("down", way, WAYS, _WAY)


_LOOKS: tuple[Callable[[_Planned, Whole], Iterator[Problem]], ...] = (
    _name,
    _signals,
    _answers,
    _promises,
    _ways,
)
