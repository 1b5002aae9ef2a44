"""A case: the entries of its append-only log, and what they add up to.

The log is the truth; ``Case`` is its fold, made by ``kernel/fold.py``. States are the municipal view
(GB/T 30428.8), derived from milestones by ``STATE_AFTER``.
"""

from __future__ import annotations

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
    Act.HELP: OPEN_STATES | _CLOSED_STATES,
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
    live: bool = False
    """A drill that real people answer, siren and all."""
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
    renewed_at: Instant = 0
    """When a new alarm reopened it; only evidence brought since then lets it close."""

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
