"""Why this plan: a scenario's steps in words, as the case page shows them."""

from __future__ import annotations

from hexi.kernel.scenario import Scenario, Step, describe_length
from hexi.web.screens.plan import unless
from hexi.web.screens.words import gettext, listed, mark, say, word

_AT_ONCE = mark("at once")
_AFTER = mark("after %(length)s")
_TELL = mark("%(when)s: tell %(who)s by %(how)s")
_ELSE = mark("if that fails by %(how)s")
_ASK = mark("first ask %(who)s and wait %(length)s; no answer counts as real")
_PROMISE = mark("promise: %(promise)s within %(length)s")


def explain(scenario: Scenario) -> list[str]:
    """One sentence for each part of the plan, in the language of the page."""
    lines = [_asking(scenario)] if scenario.ask else []
    lines += [_step(step) for step in scenario.response]
    lines += [
        gettext(_PROMISE, promise=word("promise", name), length=say(describe_length(length)))
        for name, length in scenario.case.deadlines.items()
    ]
    return lines


def _asking(scenario: Scenario) -> str:
    rule = scenario.ask
    if rule is None:
        return ""
    return gettext(_ASK, who=word("recipient", rule.whom), length=say(describe_length(rule.wait)))


def _step(step: Step) -> str:
    when = gettext(_AFTER, length=say(describe_length(step.after))) if step.after else gettext(_AT_ONCE)
    who = listed(word("recipient", expression) for expression in step.tell)
    parts = [gettext(_TELL, when=when, who=who, how=_ways(step.by))]
    if step.else_by:
        parts.append(gettext(_ELSE, how=_ways(step.else_by)))
    if step.unless:
        parts.append(unless(step.unless))
    return "；".join(parts)


def _ways(by: tuple[str, ...]) -> str:
    return listed(word("way", way) for way in by)
