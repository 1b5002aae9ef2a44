"""Drills: an exercise is begun, its cases are its own, and it ends by itself.

The signals of a drill come from ``drill:<id>`` and carry the flag that only a permitted door may set. Its
cases hold fold keys of their own, so nothing real joins them and they join nothing real. A deadline row
ends the drill even when whoever began it is gone.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hexi.kernel.case import Case
from hexi.kernel.clock import SECOND, Instant
from hexi.kernel.deadline import Deadline, DeadlineKind
from hexi.kernel.ports import Transaction
from hexi.kernel.record import Record
from hexi.kernel.signal import DRILL_SOURCE, Flag, Signal
from hexi.spine.close import end
from hexi.spine.drill_plan import DrillPlan
from hexi.spine.work import Work

RECORD = "drill"
"""The kind of record that keeps a drill: its plan, its cases, when it began and ended."""

SLACK = 5 * SECOND
"""A drill whose runner is gone ends this long after its time."""

KEPT_AT_MOST = 500
OUTCOME = "drill"
"""The outcome with which the platform closes the cases of a drill."""


class DrillState(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the record of a drill keeps; references and times only."""

    plan: DrillPlan
    live: bool
    send: str
    began: Instant
    ended: Instant | None = None
    cases: list[str] = []


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """Who begins a drill, when, and how: with real people, with which way out."""

    by: str
    at: Instant
    live: bool
    send: str


def begin(tx: Transaction, identity: str, plan: DrillPlan, begun: Begun) -> None:
    """Keep the drill and arm its end."""
    state = DrillState(plan=plan, live=begun.live, send=begun.send, began=begun.at)
    _keep(tx, identity, state, begun.at, begun.by)
    _arm_end(tx, identity, begun.at + plan.lasts + SLACK)


def finish(tx: Transaction, identity: str, now: Instant) -> None:
    """The drill is to end now; the clock closes its cases at once."""
    _arm_end(tx, identity, now)


def state_of(record: Record) -> DrillState:
    """What a drill's record keeps."""
    return msgspec.convert(record.data, DrillState)


def find(tx: Transaction, identity: str) -> DrillState | None:
    """A drill by id."""
    record = tx.records.get(RECORD, identity)
    return state_of(record) if record else None


def every(tx: Transaction, limit: int = KEPT_AT_MOST) -> list[Record]:
    """The latest drills first; an id begins with its time."""
    before = max(0, tx.records.count(RECORD) - limit)
    return tx.records.find(RECORD, limit=limit, offset=before)[::-1]


def run_of(signal: Signal) -> str | None:
    """The drill to which a signal belongs; None of everything real and of an installer's test."""
    known = Flag.DRILL in signal.flags and signal.source.startswith(DRILL_SOURCE)
    return signal.source.removeprefix(DRILL_SOURCE) if known else None


def run_of_case(case: Case) -> str | None:
    """The drill to which a case belongs, by its fold key."""
    if not case.drill or not case.fold_key.startswith(DRILL_SOURCE):
        return None
    return case.fold_key.partition("|")[0].removeprefix(DRILL_SOURCE)


def enter(work: Work, signal: Signal, case_id: str) -> dict[str, Any]:
    """A case of a drill is opened: it is entered in the drill's record; what its log says of it."""
    run = run_of(signal)
    state = find(work.tx, run) if run else None
    if run is None or state is None:
        return {}
    state.cases.append(case_id)
    _keep(work.tx, run, state, work.now, "system")
    return {"live": True} if state.live else {}


def due(work: Work, deadline: Deadline) -> None:
    """The drill is over: its open cases close, and the record says when."""
    identity = deadline.body["drill"]
    state = find(work.tx, identity)
    if state is None or state.ended:
        return
    for case_id in state.cases:
        file = work.case(case_id)
        if file and file.case.drill and file.case.is_open:
            end(work, file, "closed", "system", "drill", outcome=OUTCOME)
    state.ended = work.now
    _keep(work.tx, identity, state, work.now, "system")


def _arm_end(tx: Transaction, identity: str, at: Instant) -> None:
    key = f"drill/{identity}"
    tx.deadlines.arm([Deadline(key=key, due_at=at, kind=DeadlineKind.DRILL, body={"drill": identity})])


def _keep(tx: Transaction, identity: str, state: DrillState, at: Instant, by: str) -> None:
    data = msgspec.to_builtins(state)
    tx.records.put(Record(kind=RECORD, id=identity, version=0, data=data, at=at, by=by))
