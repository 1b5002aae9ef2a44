"""Escalate: a broken promise goes one level up; at the top the desk is reminded until it answers."""

from __future__ import annotations

import msgspec

from hexi.kernel.clock import MINUTE
from hexi.kernel.deadline import Deadline, DeadlineKind, case_key
from hexi.kernel.place import UPWARD, Level
from hexi.spine import notify, wording
from hexi.spine.work import CaseFile, Work

REMIND_EVERY = 5 * MINUTE
"""How often the last desk is told again while nobody there has answered."""

_BY = ("desk", "app", "call")
_ELSE_BY = ("sms",)
_REPLIES = {"1": "acknowledged"}


def promise_due(work: Work, deadline: Deadline) -> None:
    """A promise's time has come: if it was not kept, say so and go up."""
    file = work.case(deadline.case_id or "")
    name = deadline.body["promise"]
    promise = file.case.promises.get(name) if file else None
    if file is None or promise is None or not promise.pending or not file.case.is_open:
        return
    if promise.due > work.now:
        work.tx.deadlines.arm([msgspec.structs.replace(deadline, due_at=promise.due)])
        return
    file.log("missed", promise=name, due=promise.due)
    up(work, file, reason=name)


def up(work: Work, file: CaseFile, reason: str) -> None:
    """Tell the desk one level above the last one told; at the top, tell it again."""
    level = Level(file.case.level or Level.COMMUNITY)
    above = UPWARD[level] or Level.DISTRICT
    count = sum(1 for n in file.case.steps if n.startswith("escalation")) + 1
    step = f"escalation#{count}"
    file.log("escalated", level=above, reason=reason)
    file.log("planned", step=step, role="duty", need=1, due=work.now)
    file.log("stepped", step=step)
    _tell_desk(work, file, above, step)
    if above is Level.DISTRICT:
        _arm_reminder(work, file)


def _tell_desk(work: Work, file: CaseFile, level: Level, step: str) -> None:
    message = notify.Message(
        step=step, role="duty", by=_BY, text=wording.DESK, replies=_REPLIES, else_by=_ELSE_BY
    )
    notify.tell(work, file, work.directory.desk(level, file.case), message)


def _arm_reminder(work: Work, file: CaseFile) -> None:
    key = case_key(file.case.id, DeadlineKind.REMIND, "desk")
    due = work.now + REMIND_EVERY
    work.tx.deadlines.arm([Deadline(key=key, due_at=due, kind=DeadlineKind.REMIND, case_id=file.case.id)])


def remind_due(work: Work, deadline: Deadline) -> None:
    """Still nobody at the last desk has answered: tell it again."""
    file = work.case(deadline.case_id or "")
    if file is None or not file.case.is_open or notify.reached(file.case, "duty.acknowledged"):
        return
    up(work, file, reason="reminder")
