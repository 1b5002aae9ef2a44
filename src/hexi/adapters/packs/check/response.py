"""Promises about who is told, how, and what they can answer."""

from __future__ import annotations

from collections.abc import Iterator

from hexi.adapters.packs.check.item import Item, Whole
from hexi.adapters.packs.problem import Problem
from hexi.kernel.case import Act
from hexi.kernel.directory import WAYS
from hexi.kernel.scenario import Scenario, Severity
from hexi.kernel.text import Text
from hexi.spine.close import EVIDENCE_NAMES
from hexi.spine.directory import WHO

MILESTONES = ("acknowledged", "set_off", "arrived", "told")
"""What a step's ``unless`` may wait for."""

_URGENT = frozenset({Severity.EXTREME, Severity.SEVERE})
_WHO = Text(zh="接收人", en="recipient")
_WAY = Text(zh="通知方式", en="way")
_ACT = Text(zh="动作", en="act")
_EVIDENCE = Text(zh="凭证", en="evidence")
_ROLE = Text(zh="角色（前面的步骤里没有）", en="role (no earlier step has it)")
_MILESTONE = Text(zh="进展", en="milestone")


def alarm_has_a_response(item: Item, _: Whole) -> Iterator[Problem]:
    """No case opens with nobody told."""
    if not any(step.tell for step in item.scenario.response):
        yield item.wrong("response", "立案后没有通知任何人", "a case opens and nobody is told")


def ways_are_known(item: Item, _: Whole) -> Iterator[Problem]:
    """Settings bind only these ways to channels."""
    used = [(f"response[{n}].by", step.by) for n, step in enumerate(item.scenario.response)]
    used += [(f"response[{n}].else_by", step.else_by) for n, step in enumerate(item.scenario.response)]
    if item.scenario.ask:
        used.append(("ask.by", item.scenario.ask.by))
    for where, ways in used:
        for way in ways:
            if way not in WAYS:
                yield item.unknown(where, way, WAYS, _WAY)
        if not ways and not where.endswith("else_by"):
            yield item.wrong(where, "至少要有一种通知方式", "needs at least one way")


def recipients_resolve(item: Item, whole: Whole) -> Iterator[Problem]:
    """Every expression of ``tell`` means somebody."""
    known = {*WHO, *whole.recipients}
    for where, expression in _tells(item.scenario):
        kind, colon, identity = expression.partition(":")
        named = colon and kind in {"unit", "person"} and identity
        if expression not in known and not named:
            yield item.unknown(where, expression, {*known, "unit:<id>", "person:<id>"}, _WHO)


def _tells(scenario: Scenario) -> Iterator[tuple[str, str]]:
    if scenario.ask:
        yield "ask.whom", scenario.ask.whom
    for number, step in enumerate(scenario.response):
        yield from ((f"response[{number}].tell", expression) for expression in step.tell)


def emergency_reaches_a_desk(item: Item, _: Whole) -> Iterator[Problem]:
    """Every chain of an emergency ends at a desk that is staffed day and night."""
    scenario = item.scenario
    reached = any(who.endswith(".duty") for step in scenario.response for who in step.tell)
    if scenario.case.severity in _URGENT and not reached:
        yield item.wrong(
            "response",
            "没有一步通知值班台（如 street.duty）",
            "no step tells a duty desk (such as street.duty)",
        )


def unless_names_a_role_and_a_milestone(item: Item, _: Whole) -> Iterator[Problem]:
    """A step is left out only for a reason that says whose answer it was."""
    roles: list[str] = []
    for number, step in enumerate(item.scenario.response):
        if step.unless is not None:
            yield from _unless(item, f"response[{number}].unless", step.unless, roles)
            if not step.after:
                yield item.wrong(
                    f"response[{number}].unless", "须同时写 after", "makes sense only with after"
                )
        roles.append(step.role)


def _unless(item: Item, where: str, condition: str, roles: list[str]) -> Iterator[Problem]:
    role, dot, milestone = condition.partition(".")
    if not dot:
        yield item.wrong(
            where,
            f"要写明是谁，如 {roles[0] if roles else 'steward'}.{condition}",
            f"say whose, such as {roles[0] if roles else 'steward'}.{condition}",
        )
        return
    if role not in {*roles, "any"}:
        yield item.unknown(where, role, [*roles, "any"], _ROLE)
    if milestone not in MILESTONES:
        yield item.unknown(where, milestone, MILESTONES, _MILESTONE)


def somebody_must_answer(item: Item, _: Whole) -> Iterator[Problem]:
    """Of at least one role an answer is needed, and of every role that ``unless`` waits for."""
    steps = item.scenario.response
    for number, step in enumerate(steps):
        if isinstance(step.need, int) and step.need < 0:
            yield item.wrong(f"response[{number}].need", "不能小于 0", "must not be below 0")
        role, _dot, milestone = (step.unless or "").partition(".")
        if milestone == "acknowledged" and role != "any" and item.scenario.role_need(role) == 0:
            yield item.wrong(
                f"response[{number}].unless",
                f"{role} 的 need 是 0，等不到它的应答",
                f"nobody of {role} need answer (need = 0)",
            )
    if steps and all(step.need == 0 for step in steps):
        yield item.wrong("response", "没有任何角色必须应答", "nobody at all need answer")


def replies_are_acts(item: Item, _: Whole) -> Iterator[Problem]:
    """A number that people press is something that can be done to a case."""
    acts = [act.value for act in Act]
    for number, step in enumerate(item.scenario.response):
        for digit, act in step.replies.items():
            if act not in acts:
                yield item.unknown(f"response[{number}].replies.{digit}", act, acts, _ACT)


def evidence_can_be_given(item: Item, _: Whole) -> Iterator[Problem]:
    """What a case needs for closing is something that can be shown."""
    for name in item.scenario.case.evidence:
        if name not in EVIDENCE_NAMES:
            yield item.unknown("case.evidence", name, EVIDENCE_NAMES, _EVIDENCE)


def public_is_never_about_a_person(item: Item, whole: Whole) -> Iterator[Problem]:
    """What leaves the platform as a public warning shows nobody's distress."""
    if not item.scenario.case.public:
        return
    same = [other.scenario for other in whole.items if other.scenario.matter == item.scenario.matter]
    if any(_about_a_person(scenario) for scenario in same):
        yield item.wrong(
            "case.public", "涉及个人的事项不得公开", "a matter that concerns a person is never public"
        )


def _about_a_person(scenario: Scenario) -> bool:
    told = any(expression.startswith("subject") for _, expression in _tells(scenario))
    said = any(step.text and step.text.holes() & {"subject", "address"} for step in scenario.response)
    return told or said or "subject" in scenario.signal.same_case.by
