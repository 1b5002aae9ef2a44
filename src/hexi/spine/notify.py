"""Notify: the steps of a response, the notices they owe, and the receipts that come back."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from hexi.kernel.case import Case
from hexi.kernel.clock import Instant
from hexi.kernel.deadline import Deadline, DeadlineKind, case_key
from hexi.kernel.directory import Address, Recipient
from hexi.kernel.response import RETRY_AFTER, Notice, NoticeState, Receipt
from hexi.kernel.scenario import Scenario, Severity, Step
from hexi.kernel.signal import Lane
from hexi.kernel.text import Text
from hexi.spine import wording
from hexi.spine.directory import resolve
from hexi.spine.work import CaseFile, Work

URGENT = frozenset({Severity.EXTREME, Severity.SEVERE})
"""Severities that ignore quiet hours, travel first and are told by call."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What one step says to one role."""

    step: str
    role: str
    by: tuple[str, ...]
    text: Text
    replies: dict[str, str]
    else_by: tuple[str, ...] = ()


def dispatch(work: Work, file: CaseFile, scenario: Scenario) -> None:
    """Start every step of a scenario that has not been planned yet; all first steps share one moment."""
    if "opened" not in file.case.milestones or file.case.times_reopened:
        file.log("opened", scenario=scenario.id)
    fresh = [(key, step) for key, step in _steps(file.case, scenario) if key not in file.case.steps]
    for key, step in fresh:
        file.log("planned", step=key, role=step.role, need=step.need, due=work.now + step.after)
    work.tx.deadlines.arm(_later(file, key) for key, step in fresh if step.after)
    for key, step in fresh:
        if not step.after:
            _run(work, file, key, step)


def _steps(case: Case, scenario: Scenario) -> list[tuple[str, Step]]:
    again = f"@{case.times_reopened}" if case.times_reopened else ""
    return [(f"{scenario.id}#{i}{again}", step) for i, step in enumerate(scenario.response, 1)]


def _later(file: CaseFile, key: str) -> Deadline:
    return Deadline(
        key=case_key(file.case.id, DeadlineKind.STEP, key),
        due_at=file.case.steps[key].due,
        kind=DeadlineKind.STEP,
        case_id=file.case.id,
        body={"step": key},
    )


def rearm(work: Work, file: CaseFile) -> None:
    """Steps that have neither run nor become needless are still to come."""
    steps = file.case.steps.items()
    work.tx.deadlines.arm(
        _later(file, key) for key, plan in steps if plan.run is None and plan.skipped is None
    )


def step_due(work: Work, deadline: Deadline) -> None:
    """A later step's time has come: run it unless somebody made it needless."""
    file = work.case(deadline.case_id or "")
    if file is None or not file.case.is_open:
        return
    key = deadline.body["step"]
    scenario = work.catalogue.scenarios.get(key.partition("#")[0])
    step = dict(_steps(file.case, scenario)).get(key) if scenario else None
    if step is None:
        file.log("skipped", step=key, reason="scenario gone")
    elif step.unless and reached(file.case, step.unless):
        file.log("skipped", step=key, reason=step.unless)
    else:
        _run(work, file, key, step)


def reached(case: Case, condition: str) -> bool:
    """Whether ``<role>.<milestone>`` holds; ``any`` asks every role."""
    role, _, milestone = condition.partition(".")
    asked = case.roles.values() if role == "any" else [case.roles[role]] if role in case.roles else []
    if milestone == "acknowledged" and role != "any":
        return any(r.satisfied and bool(r.acknowledged) for r in asked)
    return any(getattr(r, milestone, None) for r in asked)


def _run(work: Work, file: CaseFile, key: str, step: Step) -> None:
    file.log("stepped", step=key)
    recipients = [r for expression in step.tell for r in _who(work, file.case, expression)]
    text = step.text or wording.STANDARD
    message = Message(
        step=key, role=step.role, by=step.by, text=text, replies=step.replies, else_by=step.else_by
    )
    tell(work, file, recipients, message)
    if step.task:
        file.log("task_given", task=key, owner=step.role, title=msgspec.to_builtins(step.task))


def _who(work: Work, case: Case, expression: str) -> list[Recipient]:
    own = work.catalogue.recipients.get(expression)
    if own is None:
        return resolve(expression, work.directory, case)
    found = [work.directory.recipient(ref) for ref in own(work.directory, case)]
    return [recipient for recipient in found if recipient]


def tell(work: Work, file: CaseFile, recipients: Sequence[Recipient], message: Message) -> int:
    """Owe one notice per person and way, all at this one moment; says how many. Nobody is told twice."""
    told = 0
    for recipient in {r.ref: r for r in recipients}.values():
        addresses = ways(recipient, message.by) or ways(recipient, message.else_by)
        if not addresses:
            file.log("unreached", role=message.role, recipient=recipient.ref, reason="no address")
        for address in addresses:
            told += _owe(work, file, recipient, address, message)
    if not recipients:
        file.log("unreached", role=message.role, recipient="", reason="nobody found")
    return told


def ways(recipient: Recipient, by: Sequence[str]) -> list[Address]:
    """The person's addresses for the asked ways, in the asked order, one of each."""
    return [a for way in by for a in [next((x for x in recipient.addresses if x.by == way), None)] if a]


def _owe(work: Work, file: CaseFile, recipient: Recipient, address: Address, message: Message) -> int:
    identity = notice_id(file.case.id, message.step, recipient.ref, address)
    if identity in file.case.notices:
        return 0
    notice = Notice(
        id=identity,
        case_id=file.case.id,
        step=message.step,
        role=message.role,
        recipient=recipient.ref,
        name=recipient.name,
        way=address.by,
        address=address.to,
        text=wording.fill(work, file.case, message.text, recipient.language),
        language=recipient.language,
        t0=work.now,
        lane=Lane.SOS if file.case.severity in URGENT else Lane.BULK,
        replies=message.replies,
        else_by=message.else_by,
        drill=file.case.drill,
        next_at=_not_before(work, file.case, recipient),
    )
    due = notice.next_at <= work.now
    work.tx.notices.add(notice, work.share.name if due and work.share.sends else None)
    file.log(
        "told",
        notice=identity,
        role=message.role,
        recipient=recipient.ref,
        way=address.by,
        step=message.step,
        t0=work.now,
    )
    if due and work.share.sends:
        work.outcome.notices.append(notice)
    elif due:
        work.outcome.left = True
    return 1


def _not_before(work: Work, case: Case, recipient: Recipient) -> Instant:
    if case.severity in URGENT or recipient.quiet_until is None:
        return work.now
    return recipient.quiet_until


def notice_id(case_id: str, step: str, recipient: str, address: Address) -> str:
    """The idempotency key of a notice: the same for the same step, person and way, for ever."""
    said = f"{case_id}\0{step}\0{recipient}\0{address.by}\0{address.to}"
    return f"{case_id}-{blake2b(said.encode(), digest_size=6).hexdigest()}"


def receive(work: Work, file: CaseFile, notice: Notice, receipt: Receipt) -> None:
    """A channel reports: a rung climbed, or an attempt that failed."""
    if receipt.rung:
        _climbed(work, file, notice, receipt)
    elif notice.state in {NoticeState.WAITING, NoticeState.HANDED}:
        _attempt_failed(work, file, notice, receipt)


def _climbed(work: Work, file: CaseFile, notice: Notice, receipt: Receipt) -> None:
    trace = file.case.notices.get(notice.id)
    if trace is None or receipt.rung is None or receipt.rung in trace.rungs:
        return
    file.log(
        "receipt",
        via=notice.way,
        notice=notice.id,
        rung=receipt.rung,
        evidence=receipt.evidence,
        at=receipt.at,
    )
    if notice.state is NoticeState.WAITING:
        done = msgspec.structs.replace(
            notice, state=NoticeState.HANDED, attempts=notice.attempts + 1, error=None
        )
        work.tx.notices.update(done)


def _attempt_failed(work: Work, file: CaseFile, notice: Notice, receipt: Receipt) -> None:
    attempts = notice.attempts + 1
    if not receipt.permanent and attempts <= len(RETRY_AFTER) and file.case.is_open:
        work.tx.notices.update(
            msgspec.structs.replace(
                notice,
                attempts=attempts,
                error=receipt.error,
                state=NoticeState.WAITING,
                next_at=work.now + RETRY_AFTER[attempts - 1],
            )
        )
        return
    failed = msgspec.structs.replace(notice, attempts=attempts, error=receipt.error, state=NoticeState.FAILED)
    work.tx.notices.update(failed)
    file.log("failed", via=notice.way, notice=notice.id, reason=receipt.error or "")
    _fall_back(work, file, notice)


def _fall_back(work: Work, file: CaseFile, notice: Notice) -> None:
    """When every way of a step to a person has failed, use the ways kept for that."""
    same = [
        n for n in file.case.notices.values() if n.step == notice.step and n.recipient == notice.recipient
    ]
    if not file.case.is_open or not all(n.failed for n in same):
        return
    recipient = work.directory.recipient(notice.recipient)
    tried = {n.way for n in same}
    left = tuple(way for way in notice.else_by if way not in tried)
    if recipient is None or not left:
        return
    text = Text(zh=notice.text, en=notice.text)
    message = Message(step=notice.step, role=notice.role, by=left, text=text, replies=notice.replies)
    tell(work, file, [recipient], message)
