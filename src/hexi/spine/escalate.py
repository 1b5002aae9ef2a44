"""Escalate: a broken promise goes one level up, and silence there goes on up to the last desk."""

from __future__ import annotations

import msgspec

from hexi.kernel.case import QUESTION, Case
from hexi.kernel.clock import HOUR, MINUTE, Duration, Instant
from hexi.kernel.deadline import Deadline, DeadlineKind, case_key
from hexi.kernel.place import UPWARD, Level
from hexi.kernel.response import Notice
from hexi.spine import notify, wording
from hexi.spine.notify import URGENT
from hexi.spine.work import CaseFile, Work

REMIND_EVERY = 5 * MINUTE
"""How long a desk that was told has to answer before the next level, or at the top itself, is told."""

REMIND_AT_MOST = 4 * HOUR
"""A case that is not urgent doubles the wait with each reminder, up to this."""

_STEP = "escalation#"
_BY = ("desk", "app")
_URGENT_BY = ("desk", "app", "call")
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
    count = sum(1 for n in file.case.steps if n.startswith(_STEP)) + 1
    step = f"{_STEP}{count}"
    file.log("escalated", level=above, reason=reason)
    file.log("planned", step=step, role="duty", need=1, due=work.now)
    file.log("stepped", step=step)
    _tell_desk(work, file, above, step)
    _arm_reminder(work, file, "desk", work.now + _patience(file.case))


def _patience(case: Case) -> Duration:
    """How long before the desk is told again."""
    if case.severity in URGENT:
        return REMIND_EVERY
    wait = REMIND_EVERY
    for _ in filter(lambda name: name.startswith(_STEP), case.steps):
        wait = min(2 * wait, REMIND_AT_MOST)
    return wait


def unreached(work: Work, file: CaseFile, notice: Notice) -> None:
    """When every way to everyone of a needed step has failed, the case goes up without waiting."""
    same = [n for n in file.case.notices.values() if n.step == notice.step]
    role = file.case.roles.get(notice.role)
    if not file.case.is_open or role is None or not role.need or role.acknowledged:
        return
    if notice.step != QUESTION and not notice.step.startswith(_STEP) and all(n.failed for n in same):
        up(work, file, reason=f"{notice.role}.unreached")


def _tell_desk(work: Work, file: CaseFile, level: Level, step: str) -> None:
    message = notify.Message(
        step=step,
        role="duty",
        by=_URGENT_BY if file.case.severity in URGENT else _BY,
        text=wording.DESK,
        replies=_REPLIES,
        else_by=_ELSE_BY,
    )
    notify.tell(work, file, work.directory.desk(level, file.case), message)


def last_told(case: Case) -> Instant:
    """When a desk was last told that the case is late; 0 when none was."""
    return max((plan.run or 0 for name, plan in case.steps.items() if name.startswith(_STEP)), default=0)


def _arm_reminder(work: Work, file: CaseFile, name: str, due: Instant) -> None:
    key = case_key(file.case.id, DeadlineKind.REMIND, name)
    reminder = Deadline(
        key=key, due_at=due, kind=DeadlineKind.REMIND, case_id=file.case.id, body={"of": name}
    )
    work.tx.deadlines.arm([reminder])


def await_task(work: Work, file: CaseFile, task: str) -> None:
    """Whoever was given the task reports by its due time, or the case goes up."""
    due = file.case.tasks[task].due
    if due is not None:
        _arm_reminder(work, file, task, due)


def rearm(work: Work, file: CaseFile) -> None:
    """Reminders that the case owes, again."""
    told = last_told(file.case)
    if told:
        _arm_reminder(work, file, "desk", told + _patience(file.case))
    for name, task in file.case.tasks.items():
        if task.checked_in is None and task.done is None:
            await_task(work, file, name)


def remind_due(work: Work, deadline: Deadline) -> None:
    """Still nobody has answered who was told to: go on up, or tell the last desk again."""
    file = work.case(deadline.case_id or "")
    if file is None or not file.case.is_open:
        return
    name = deadline.body.get("of", "desk")
    task = file.case.tasks.get(name)
    if task and (task.checked_in or task.done):
        return
    if task is None and _answered(work, file):
        return
    up(work, file, reason="reminder" if task is None else name)


def _answered(work: Work, file: CaseFile) -> bool:
    """Whether the desk has taken the case since it was last told; an answer from before does not count."""
    told = last_told(file.case)
    entries = [*work.tx.cases.log(file.case.id), *file.fresh]
    return any(
        e.at >= told and e.kind == "acknowledged" and e.body["role"] == "duty" for e in reversed(entries)
    )
