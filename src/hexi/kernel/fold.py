"""The fold: what each entry of a case's log does to the case."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from hexi.kernel.case import (
    QUESTION,
    STATE_AFTER,
    Case,
    CaseState,
    Entry,
    Evidence,
    NoticeTrace,
    Promise,
    Role,
    Rung,
    StepPlan,
    Task,
)
from hexi.kernel.clock import Instant
from hexi.kernel.place import Location
from hexi.kernel.scenario import Severity

_ORDER = list(CaseState)
_FORWARD = _ORDER[: _ORDER.index(CaseState.CLOSED)]

Reducer = Callable[[Case, Entry], None]
_REDUCERS: dict[str, Reducer] = {}


def _on(*kinds: str) -> Callable[[Reducer], Reducer]:
    def register(reducer: Reducer) -> Reducer:
        _REDUCERS.update(dict.fromkeys(kinds, reducer))
        return reducer

    return register


def apply(case: Case, entry: Entry) -> None:
    """Fold one entry into the case, in place."""
    if entry.seq != case.version + 1:
        raise ValueError(f"case {case.id}: entry {entry.seq} after {case.version}")
    reducer = _REDUCERS.get(entry.kind)
    if reducer:
        reducer(case, entry)
    _enter_state(case, entry)
    case.version = entry.seq


def rebuild(case_id: str, entries: Iterable[Entry]) -> Case:
    """The case again, from its log alone."""
    case = Case(id=case_id)
    for entry in entries:
        apply(case, entry)
    return case


def known_kinds() -> frozenset[str]:
    """Every kind of entry that changes a case."""
    return frozenset(_REDUCERS)


def _enter_state(case: Case, entry: Entry) -> None:
    state = STATE_AFTER.get(entry.kind)
    if state is None or entry.body.get("step") == QUESTION:
        return
    backward = state in _FORWARD and case.state in _FORWARD and _ORDER.index(state) < _ORDER.index(case.state)
    ended = not case.is_open and state in _FORWARD
    if not backward and not ended:
        case.state = state


def _reach(case: Case, name: str, at: Instant) -> None:
    case.milestones.setdefault(name, at)
    promise = case.promises.get(name)
    if promise and promise.kept is None:
        promise.kept = at


@_on("reported")
def _reported(case: Case, entry: Entry) -> None:
    body = entry.body
    case.opened_at = body["signal"]["received"]
    case.scenario, case.scenario_version = body["scenario"], body["version"]
    case.matter, case.fold_key = body["matter"], body["fold_key"]
    case.severity = Severity(body["severity"])
    case.subject, case.device = body.get("subject"), body.get("device")
    case.place = msgspec.convert(body.get("place", {}), Location)
    case.signal_at = body["signal"].get("time")
    case.drill, case.live = body.get("drill", False), body.get("live", False)
    case.flags = list(body.get("flags", []))
    case.scenarios = [body["scenario"]]
    case.signals = [body["signal"]["id"]]
    case.level = body.get("level")
    case.evidence_needed = list(body.get("evidence", []))
    _add_promises(case, body)
    _reach(case, "reported", entry.at)


@_on("joined")
def _joined(case: Case, entry: Entry) -> None:
    case.signals.append(entry.body["signal"]["id"])
    _add_flags(case, entry.body.get("flags", []))


@_on("moved")
def _moved(case: Case, entry: Entry) -> None:
    """A later signal knows better where the person is now."""
    case.place = msgspec.convert(entry.body["place"], Location)


@_on("raised")
def _raised(case: Case, entry: Entry) -> None:
    """Another scenario of the same matter joined: never lowers, only adds."""
    body = entry.body
    severity = Severity(body["severity"])
    if severity.rank < case.severity.rank:
        case.severity = severity
        case.scenario, case.scenario_version = body["scenario"], body["version"]
    if body["scenario"] not in case.scenarios:
        case.scenarios.append(body["scenario"])
    case.evidence_needed += [e for e in body.get("evidence", []) if e not in case.evidence_needed]
    _add_promises(case, body)


def _add_promises(case: Case, body: dict[str, Any]) -> None:
    for name, due in body.get("promises", {}).items():
        known = case.promises.get(name)
        if known is None:
            case.promises[name] = Promise(due=due, kept=case.milestones.get(name))
        elif known.pending and due < known.due:
            known.due = due


def _add_flags(case: Case, flags: Iterable[str]) -> None:
    case.flags += [flag for flag in flags if flag not in case.flags]


@_on("asked")
def _asked(case: Case, entry: Entry) -> None:
    case.asked = "waiting"
    _reach(case, "asked", entry.at)


@_on("answered")
def _answered(case: Case, entry: Entry) -> None:
    case.asked = entry.body["answer"]


@_on("opened", "rang", "verified", "whistled", "handled")
def _milestone(case: Case, entry: Entry) -> None:
    _reach(case, entry.kind, entry.at)


@_on("planned")
def _planned(case: Case, entry: Entry) -> None:
    body = entry.body
    case.steps[body["step"]] = StepPlan(role=body["role"], due=body["due"])
    role = case.roles.setdefault(body["role"], Role())
    if role.need == 0:
        role.need = body["need"]


@_on("stepped")
def _stepped(case: Case, entry: Entry) -> None:
    case.steps[entry.body["step"]].run = entry.at


@_on("skipped")
def _skipped(case: Case, entry: Entry) -> None:
    case.steps[entry.body["step"]].skipped = entry.body["reason"]


@_on("told")
def _told(case: Case, entry: Entry) -> None:
    body = entry.body
    case.notices[body["notice"]] = NoticeTrace(
        role=body["role"],
        recipient=body["recipient"],
        way=body["way"],
        step=body["step"],
        t0=body["t0"],
        rungs={"L0": entry.at},
    )
    role = case.roles.setdefault(body["role"], Role())
    if body["recipient"] not in role.told:
        role.told.append(body["recipient"])


@_on("receipt")
def _receipt(case: Case, entry: Entry) -> None:
    body = entry.body
    notice = case.notices.get(body["notice"])
    if notice is None:
        return
    notice.rungs.setdefault(body["rung"], body.get("at", entry.at))
    if body["rung"] == Rung.HANDED_OVER and notice.step != QUESTION:
        _reach(case, "told", entry.at)


@_on("failed")
def _failed(case: Case, entry: Entry) -> None:
    notice = case.notices.get(entry.body["notice"])
    if notice:
        notice.failed = entry.body["reason"]


@_on("acknowledged", "declined", "set_off", "arrived")
def _person_act(case: Case, entry: Entry) -> None:
    role = case.roles.setdefault(entry.body["role"], Role())
    _take_back(role, entry)
    getattr(role, entry.kind).setdefault(entry.by, entry.at)
    _reach(case, "answered", entry.at)
    if entry.kind in {"set_off", "arrived"}:
        _reach(case, entry.kind, entry.at)
    required = [r for r in case.roles.values() if r.need and r.told]
    if all(r.satisfied for r in required) and entry.kind != "declined":
        _reach(case, "acknowledged", entry.at)


def _take_back(role: Role, entry: Entry) -> None:
    """A person's latest answer counts: who declines is not coming any more, and the other way round."""
    if entry.kind == "declined":
        role.acknowledged.pop(entry.by, None)
        role.set_off.pop(entry.by, None)
    else:
        role.declined.pop(entry.by, None)


@_on("evidence")
def _evidence(case: Case, entry: Entry) -> None:
    body = entry.body
    case.evidence.append(
        Evidence(type=body["type"], at=entry.at, by=entry.by, note=body.get("note"), file=body.get("file"))
    )


@_on("task_given")
def _task_given(case: Case, entry: Entry) -> None:
    body = entry.body
    case.tasks[body["task"]] = Task(owner=body["owner"], title=body["title"], due=body.get("due"))


@_on("checked_in")
def _checked_in(case: Case, entry: Entry) -> None:
    case.tasks[entry.body["task"]].checked_in = entry.at


@_on("task_done")
def _task_done(case: Case, entry: Entry) -> None:
    case.tasks[entry.body["task"]].done = entry.at


@_on("missed")
def _missed(case: Case, entry: Entry) -> None:
    case.promises[entry.body["promise"]].missed = entry.at


@_on("escalated")
def _escalated(case: Case, entry: Entry) -> None:
    case.level = entry.body["level"]
    case.milestones.setdefault("escalated", entry.at)


@_on("cleared")
def _cleared(case: Case, entry: Entry) -> None:
    case.milestones.setdefault("cleared", entry.at)


@_on("cancelled")
def _cancelled(case: Case, entry: Entry) -> None:
    case.milestones.setdefault("cancelled", entry.at)


@_on("flagged")
def _flagged(case: Case, entry: Entry) -> None:
    _add_flags(case, entry.body["flags"])


@_on("false_alarm")
def _false_alarm(case: Case, entry: Entry) -> None:
    """A person has looked into it, so it was answered."""
    case.false_alarm = entry.body["reason"]
    _reach(case, "answered", entry.at)


@_on("closed", "rejected")
def _closed(case: Case, entry: Entry) -> None:
    case.closed_at = entry.at
    case.outcome = entry.body.get("outcome")
    _reach(case, entry.kind, entry.at)


@_on("merged")
def _merged(case: Case, entry: Entry) -> None:
    case.merged_into = entry.body["into"]
    case.closed_at = entry.at


@_on("absorbed")
def _absorbed(case: Case, entry: Entry) -> None:
    case.absorbed.append(entry.body["case"])


@_on("released")
def _released(case: Case, entry: Entry) -> None:
    case.absorbed.remove(entry.body["case"])


@_on("unmerged")
def _unmerged(case: Case, entry: Entry) -> None:
    case.merged_into = case.closed_at = None
    case.state = CaseState(entry.body["state"])


@_on("reopened")
def _reopened(case: Case, entry: Entry) -> None:
    """Promises start anew; ``again``: a new alarm, so everyone is told again."""
    case.closed_at = case.false_alarm = case.outcome = None
    case.times_reopened += 1
    again = entry.body.get("again", False)
    for name in ("closed", "rejected", "verified", *(["handled"] if again else [])):
        case.milestones.pop(name, None)
    case.milestones.setdefault("reopened", entry.at)
    case.promises = {name: Promise(due=due) for name, due in entry.body.get("promises", {}).items()}
    if again:
        case.steps, case.roles, case.asked = {}, {}, None
        case.renewed_at = entry.at
