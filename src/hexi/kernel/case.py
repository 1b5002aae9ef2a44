"""A case: an append-only log and what it adds up to.

The log is the truth. ``Case`` is its fold; ``rebuild`` gives the same value again from the log
alone. States are the municipal view (GB/T 30428.8), derived from milestones by ``STATE_AFTER``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Literal

import msgspec

from hexi.kernel.clock import Instant
from hexi.kernel.place import Location
from hexi.kernel.scenario import Severity


class CaseState(StrEnum):
    """Where a case stands, in the words of GB/T 30428.8."""

    REPORTED = "reported"
    ACCEPTED = "accepted"
    OPENED = "opened"
    DISPATCHED = "dispatched"
    HANDLED = "handled"
    VERIFIED = "verified"
    CLOSED = "closed"
    REJECTED = "rejected"
    MERGED = "merged"
    REOPENED = "reopened"


OPEN_STATES = frozenset(CaseState) - {CaseState.CLOSED, CaseState.REJECTED, CaseState.MERGED}

STATE_AFTER: dict[str, CaseState] = {
    "reported": CaseState.REPORTED,
    "asked": CaseState.ACCEPTED,
    "opened": CaseState.OPENED,
    "told": CaseState.DISPATCHED,
    "whistled": CaseState.DISPATCHED,
    "set_off": CaseState.DISPATCHED,
    "arrived": CaseState.HANDLED,
    "handled": CaseState.HANDLED,
    "verified": CaseState.VERIFIED,
    "closed": CaseState.CLOSED,
    "rejected": CaseState.REJECTED,
    "merged": CaseState.MERGED,
    "reopened": CaseState.REOPENED,
}
"""The one table of states: the state a case enters with an entry of its log."""

QUESTION = "ask"
"""The step of the well-being question: asking the person is not yet telling the helpers."""

_ORDER = list(CaseState)
_FORWARD = _ORDER[: _ORDER.index(CaseState.CLOSED)]


class Act(StrEnum):
    """What a person can do to a case."""

    ACKNOWLEDGED = "acknowledged"
    DECLINED = "declined"
    SET_OFF = "set_off"
    ARRIVED = "arrived"
    HANDLED = "handled"
    EVIDENCE = "evidence"
    COMMENTED = "commented"
    WHISTLED = "whistled"
    CHECKED_IN = "checked_in"
    CALLED = "called"
    TASK_DONE = "task_done"
    WELL = "well"
    HELP = "help"
    CANCELLED = "cancelled"
    FALSE_ALARM = "false_alarm"
    VERIFIED = "verified"
    CLOSED = "closed"
    REOPENED = "reopened"
    MERGED = "merged"
    UNMERGED = "unmerged"


_CLOSED_STATES = frozenset({CaseState.CLOSED, CaseState.REJECTED})
ALLOWED: dict[Act, frozenset[CaseState]] = {
    **dict.fromkeys(Act, OPEN_STATES),
    Act.EVIDENCE: OPEN_STATES | _CLOSED_STATES,
    Act.COMMENTED: frozenset(CaseState),
    Act.REOPENED: _CLOSED_STATES,
    Act.UNMERGED: frozenset({CaseState.MERGED}),
}
"""The one table of transitions: in which states each act is allowed."""


class Rung(StrEnum):
    """The evidence ladder of one notice; a rung is never inferred from another one."""

    COMMITTED = "L0"
    HANDED_OVER = "L1"
    ON_DEVICE = "L2"
    SEEN = "L3"
    ANSWERED = "L4"
    UNDER_WAY = "L5"
    ARRIVED = "L6"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a case's log. ``by`` is a reference (``person:W1``, ``user:desk``) or ``system``."""

    seq: int
    at: Instant
    kind: str
    by: str = "system"
    via: str = ""
    body: dict[str, Any] = {}


class Promise(msgspec.Struct, omit_defaults=True):
    """A deadline the case promised, and whether it was kept."""

    due: Instant
    kept: Instant | None = None
    missed: Instant | None = None

    @property
    def pending(self) -> bool:
        """Neither kept nor missed yet."""
        return self.kept is None and self.missed is None


class Role(msgspec.Struct, omit_defaults=True):
    """What became of one role: who was told, and each one's own answer with its time."""

    need: int | Literal["all"] = 0
    told: list[str] = []
    acknowledged: dict[str, Instant] = {}
    declined: dict[str, Instant] = {}
    set_off: dict[str, Instant] = {}
    arrived: dict[str, Instant] = {}

    @property
    def satisfied(self) -> bool:
        """Whether enough of the role have acknowledged."""
        wanted = len(self.told) if self.need == "all" else self.need
        return len(self.acknowledged) >= wanted


class NoticeTrace(msgspec.Struct, omit_defaults=True):
    """One notice as the log knows it: to whom, by which way, and the rungs it has climbed."""

    role: str
    recipient: str
    way: str
    step: str
    t0: Instant
    rungs: dict[str, Instant] = {}
    failed: str | None = None


class StepPlan(msgspec.Struct, omit_defaults=True):
    """A step of the response: due, and run or skipped."""

    role: str
    due: Instant
    run: Instant | None = None
    skipped: str | None = None


class Task(msgspec.Struct, omit_defaults=True):
    """Something a role or unit has to do as part of the case."""

    owner: str
    title: dict[str, str]
    due: Instant | None = None
    checked_in: Instant | None = None
    done: Instant | None = None


class Evidence(msgspec.Struct, omit_defaults=True):
    """A proof: ``outcome``, ``text``, ``photo``, ``location``.

    ``note`` is the id of a record with the words, so that they can be erased; ``file`` a digest.
    """

    type: str
    at: Instant
    by: str
    note: str | None = None
    file: str | None = None


class Case(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the log of a case adds up to."""

    id: str
    version: int = 0
    state: CaseState = CaseState.REPORTED
    scenario: str = ""
    scenario_version: str = ""
    matter: str = ""
    fold_key: str = ""
    severity: Severity = Severity.MINOR
    subject: str | None = None
    device: str | None = None
    place: Location = Location()
    opened_at: Instant = 0
    signal_at: Instant | None = None
    closed_at: Instant | None = None
    drill: bool = False
    flags: list[str] = []
    scenarios: list[str] = []
    signals: list[str] = []
    milestones: dict[str, Instant] = {}
    promises: dict[str, Promise] = {}
    evidence_needed: list[str] = []
    evidence: list[Evidence] = []
    roles: dict[str, Role] = {}
    notices: dict[str, NoticeTrace] = {}
    steps: dict[str, StepPlan] = {}
    tasks: dict[str, Task] = {}
    level: str | None = None
    asked: str | None = None
    false_alarm: str | None = None
    merged_into: str | None = None
    absorbed: list[str] = []
    outcome: str | None = None
    times_reopened: int = 0

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to do something."""
        return self.state in OPEN_STATES

    @property
    def next_due(self) -> Instant | None:
        """When the next promise breaks."""
        return min((p.due for p in self.promises.values() if p.pending), default=None)

    @property
    def first_answer(self) -> Instant | None:
        """When a human first answered."""
        return self.milestones.get("answered")

    def first_handover(self) -> list[Instant]:
        """The L1 times of the notices of the first moment, for the told-spread."""
        told = [n for n in self.notices.values() if n.step != QUESTION]
        t0 = min((n.t0 for n in told), default=None)
        return [n.rungs["L1"] for n in told if n.t0 == t0 and "L1" in n.rungs]


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
    case.drill = body.get("drill", False)
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
    getattr(role, entry.kind).setdefault(entry.by, entry.at)
    _reach(case, "answered", entry.at)
    if entry.kind in {"set_off", "arrived"}:
        _reach(case, entry.kind, entry.at)
    required = [r for r in case.roles.values() if r.need and r.told]
    if all(r.satisfied for r in required) and entry.kind != "declined":
        _reach(case, "acknowledged", entry.at)


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
    case.false_alarm = entry.body["reason"]


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
    for name in ("closed", "rejected", "verified"):
        case.milestones.pop(name, None)
    case.milestones.setdefault("reopened", entry.at)
    case.promises = {name: Promise(due=due) for name, due in entry.body.get("promises", {}).items()}
    if entry.body.get("again"):
        case.steps, case.roles, case.asked = {}, {}, None
