"""What a case still has before it: who will be told next, and which promise breaks next."""

from __future__ import annotations

from typing import NamedTuple

from hexi.kernel.case import Case
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import Instant
from hexi.kernel.deadline import Deadline, DeadlineKind
from hexi.kernel.place import UPWARD, Level
from hexi.kernel.scenario import Step, describe_length
from hexi.web.screens.words import gettext, listed, mark, say, word

_UNLESS = mark("unless: %(condition)s")
_ACKNOWLEDGED = mark("%(role)s has acknowledged")
_REACHED = mark("%(role)s: %(milestone)s")
_ANY = mark("anyone")
_GOES_UP = mark("if broken, the %(level)s duty desk is told")


class Planned(NamedTuple):
    """Something that happens by itself at an instant unless somebody acts."""

    at: Instant
    who: str
    how: str
    reason: str


class Due(NamedTuple):
    """A promise that is still open."""

    name: str
    at: Instant
    reason: str


def step_of(catalogue: Catalogue, key: str) -> Step | None:
    """The step of a scenario that a key of a case's plan means."""
    identity, _, number = key.partition("#")
    scenario = catalogue.scenarios.get(identity)
    index = number.partition("@")[0]
    if scenario is None or not index.isdigit() or not 0 < int(index) <= len(scenario.response):
        return None
    return scenario.response[int(index) - 1]


def planned(case: Case, catalogue: Catalogue, deadlines: list[Deadline] | None = None) -> list[Planned]:
    """The steps still to come, soonest first."""
    steps = [
        _planned(step_of(catalogue, key), plan.role, plan.due)
        for key, plan in case.steps.items()
        if case.is_open and plan.run is None and plan.skipped is None
    ]
    return sorted(steps + _asked(deadlines or []))


def _planned(step: Step | None, role: str, at: Instant) -> Planned:
    if step is None:
        return Planned(at, word("role", role), "", "")
    who = listed(_recipient(expression) for expression in step.tell)
    return Planned(at, who, " ".join(word("way", way) for way in step.by), unless(step.unless))


def _recipient(expression: str) -> str:
    return word("recipient", expression)


def unless(condition: str | None) -> str:
    """The condition of a step in words."""
    if not condition:
        return ""
    role, _, milestone = condition.partition(".")
    name = gettext(_ANY) if role == "any" else word("role", role)
    form = _ACKNOWLEDGED if milestone == "acknowledged" else _REACHED
    return gettext(_UNLESS, condition=gettext(form, role=name, milestone=word("answer", milestone)))


def _asked(deadlines: list[Deadline]) -> list[Planned]:
    kinds = {
        DeadlineKind.ASK: mark("everyone is told if no answer comes"),
        DeadlineKind.REMIND: mark("the desk is told again"),
    }
    return [Planned(d.due_at, gettext(kinds[d.kind]), "", "") for d in deadlines if d.kind in kinds]


def promises(case: Case) -> list[Due]:
    """The promises that are still open, soonest first."""
    found = [(p.due, name) for name, p in case.promises.items() if p.pending and case.is_open]
    return [Due(name, due, reason(case, name)) for due, name in sorted(found)]


def reason(case: Case, name: str) -> str:
    """Why a promise has the time it has, in one line."""
    span = case.promises[name].due - case.opened_at
    said = describe_length(max(1000, round(span / 1000) * 1000))
    level = Level(case.level or Level.COMMUNITY)
    above = gettext(_GOES_UP, level=word("level", UPWARD[level] or Level.DISTRICT))
    return gettext(mark("within %(length)s of the alarm; %(above)s"), length=say(said), above=above)
