"""Ask: the well-being question. Well closes; help, silence or nobody to reach go on."""

from __future__ import annotations

from hexi.kernel.case import QUESTION, Rung
from hexi.kernel.clock import MINUTE
from hexi.kernel.deadline import Deadline, DeadlineKind, case_key
from hexi.kernel.response import Notice, Receipt
from hexi.kernel.scenario import Scenario
from hexi.spine import notify
from hexi.spine.directory import resolve
from hexi.spine.work import CaseFile, Work

HARD_CAP = MINUTE
"""No answer by then is silence, whether or not anything rang."""

_RINGS = frozenset({"call"})
"""Ways that tell us when it rings; with the others the hand-over has to do."""

REPLIES = {"1": "well", "2": "help"}


def start(work: Work, file: CaseFile, scenario: Scenario) -> None:
    """Ask the person first; the case is open and visible meanwhile."""
    rule = scenario.ask
    if rule is None:
        return
    file.log("asked", whom=rule.whom, wait=int(rule.wait))
    told = notify.tell(
        work,
        file,
        resolve(rule.whom, work.directory, file.case),
        notify.Message(step="ask", role="subject", by=rule.by, text=rule.text, replies=REPLIES),
    )
    if not told:
        go_on(work, file, "unreachable")
        return
    _arm(work, file, work.now + HARD_CAP)


def _arm(work: Work, file: CaseFile, due: int) -> None:
    key = case_key(file.case.id, DeadlineKind.ASK, "answer")
    work.tx.deadlines.arm([Deadline(key=key, due_at=due, kind=DeadlineKind.ASK, case_id=file.case.id)])


def rearm(work: Work, file: CaseFile) -> None:
    """The question still waits for its answer, as long as it may."""
    if file.case.asked == "waiting":
        _arm(work, file, file.case.milestones["asked"] + HARD_CAP)


def heard(work: Work, file: CaseFile, notice: Notice, receipt: Receipt) -> None:
    """The question rings at the person's, or could not be put at all."""
    if receipt.error:
        _all_failed(work, file)
    elif receipt.rung is Rung.ON_DEVICE or (receipt.rung is Rung.HANDED_OVER and notice.way not in _RINGS):
        _ringing(work, file)


def _ringing(work: Work, file: CaseFile) -> None:
    """From the first ringing the person has the stated time, and never longer than the cap."""
    if "rang" in file.case.milestones:
        return
    scenario = work.catalogue.scenarios.get(file.case.scenario)
    wait = scenario.ask.wait if scenario and scenario.ask else HARD_CAP
    file.log("rang")
    _arm(work, file, min(work.now + wait, file.case.milestones["asked"] + HARD_CAP))


def silent(work: Work, deadline: Deadline) -> None:
    """Nobody answered in time."""
    file = work.case(deadline.case_id or "")
    if file and file.case.is_open and file.case.asked == "waiting":
        go_on(work, file, "silence")


def _all_failed(work: Work, file: CaseFile) -> None:
    """Every way to ask has failed: do not wait for an answer that cannot come."""
    asked = [n for n in file.case.notices.values() if n.step == "ask"]
    if file.case.asked == "waiting" and all(n.failed for n in asked):
        go_on(work, file, "unreachable")


def go_on(work: Work, file: CaseFile, answer: str, by: str = "system", via: str = "") -> None:
    """The question is over and help is on its way: every scenario of the case starts its steps."""
    file.log("answered", by=by, via=via, answer=answer)
    work.tx.deadlines.cancel([case_key(file.case.id, DeadlineKind.ASK, "answer")])
    asked = [n.recipient for n in file.case.notices.values() if n.step == QUESTION]
    work.tx.notices.drop(file.case.id, asked)
    for identity in list(file.case.scenarios):
        scenario = work.catalogue.scenarios.get(identity)
        if scenario:
            notify.dispatch(work, file, scenario)
