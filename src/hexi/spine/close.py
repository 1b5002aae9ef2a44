"""Close: with evidence; and the ways a case ends or comes back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hexi.kernel.case import Case
from hexi.kernel.catalogue import FALSE_ALARM
from hexi.kernel.clock import Duration
from hexi.kernel.deadline import Deadline, DeadlineKind, case_key
from hexi.kernel.scenario import Scenario
from hexi.kernel.text import Text
from hexi.spine import notify
from hexi.spine.scene import Scene, fold_key
from hexi.spine.work import CaseFile, Work

EVIDENCE_NAMES = {
    "arrival": Text(zh="到场", en="arrival"),
    "outcome": Text(zh="处置结果", en="outcome"),
    "photo": Text(zh="照片", en="photo"),
    "text": Text(zh="文字说明", en="a text"),
    "location": Text(zh="位置", en="location"),
    "verified": Text(zh="核查", en="verification"),
    "answer": Text(zh="有人应答", en="an answer by a person"),
}
_MILESTONE_OF = {"arrival": "arrived", "verified": "verified", "answer": "answered"}


def missing_evidence(case: Case, brought: Iterable[str] = ()) -> list[str]:
    """What the scenarios ask for and neither is there yet nor comes with the closing act."""
    since = case.renewed_at
    given = {evidence.type for evidence in case.evidence if evidence.at >= since} | set(brought)
    given |= {name for name, milestone in _MILESTONE_OF.items() if _reached(case, milestone)}
    return [name for name in case.evidence_needed if name not in given]


def _reached(case: Case, milestone: str) -> bool:
    """A case that a new alarm reopened asks its people anew; its milestones keep the first time."""
    if not case.renewed_at:
        return milestone in case.milestones
    if milestone == "answered":
        return any(r.acknowledged or r.declined for r in case.roles.values())
    if milestone == "arrived":
        return any(r.arrived for r in case.roles.values())
    return case.milestones.get(milestone, 0) >= case.renewed_at


def end(work: Work, file: CaseFile, kind: str, by: str, via: str, **body: Any) -> None:
    """The case is over: nothing waits for it any more, its fold key stays for a while."""
    file.log(kind, by, via, **body)
    case = file.case
    rest(work, case)
    for key in _keys(work, case):
        holder = work.surviving(work.tx.cases.holder(key) or "")
        if holder is file:
            work.tx.cases.release_fold(key, work.now + _stays(work, case))


def rest(work: Work, case: Case) -> None:
    """Nothing falls due and nobody is told any more."""
    work.tx.deadlines.cancel([d.key for d in work.tx.deadlines.of_case(case.id)])
    work.tx.notices.drop(case.id)


def _keys(work: Work, case: Case) -> list[str]:
    """The fold keys of a case and of those merged into it."""
    files = [work.case(identity) for identity in case.absorbed]
    return [case.fold_key, *(key for file in files if file for key in _keys(work, file.case))]


def hold(work: Work, file: CaseFile) -> None:
    """From now on signals fold into the case again; a key that another open case holds stays there."""
    for key in _keys(work, file.case):
        holder = work.surviving(work.tx.cases.holder(key) or "")
        if holder is None or not holder.case.is_open or holder is file:
            work.tx.cases.hold_fold(key, file.case.id)


def _stays(work: Work, case: Case) -> Duration:
    known = [work.catalogue.scenarios.get(identity) for identity in case.scenarios]
    return max((int(s.signal.same_case.within) for s in known if s), default=0)


def report_false(work: Work, case: Case) -> None:
    """A false alarm is a signal too: many of one device are a matter of their own."""
    if case.device and not case.drill:
        work.derive(FALSE_ALARM, case.device, case=case.id, scenario=case.scenario)


def reopen(work: Work, file: CaseFile, by: str, via: str = "", **body: Any) -> None:
    """Open again with fresh promises; a new alarm (``by`` system) also tells everyone again."""
    rest(work, file.case)
    scenario = _in_force(work, file.case)
    lengths = scenario.case.deadlines if scenario else {}
    again = by == "system"
    wanted = lengths if again else {n: length for n, length in lengths.items() if n in {"verified", "closed"}}
    promises = {name: work.now + length for name, length in wanted.items()}
    file.log("reopened", by, via, promises=promises, again=again, **body)
    hold(work, file)
    rearm(work, file)
    if again and scenario:
        notify.dispatch(work, file, scenario)


def _in_force(work: Work, case: Case) -> Scenario | None:
    """The case's scenario, or another of its own when that one's file has gone."""
    known = work.catalogue.scenarios
    return next((known[name] for name in (case.scenario, *case.scenarios) if name in known), None)


def rearm(work: Work, file: CaseFile) -> None:
    """A deadline row for every promise that is still to be kept."""
    case = file.case
    work.tx.deadlines.arm(
        Deadline(
            key=case_key(case.id, DeadlineKind.PROMISE, name),
            due_at=promise.due,
            kind=DeadlineKind.PROMISE,
            case_id=case.id,
            body={"promise": name},
        )
        for name, promise in case.promises.items()
        if promise.pending
    )


def clear(work: Work, scene: Scene) -> str | None:
    """The trouble is reported over: noted on its open cases, which may close themselves."""
    touched = None
    for scenario in work.catalogue.clearing(scene.signal.kind):
        case_id = work.tx.cases.holder(fold_key(scenario, scene))
        file = work.case(case_id) if case_id else None
        if file and file.case.is_open:
            touched = file.case.id
            _cleared(work, file, scenario, scene)
    return touched


def _cleared(work: Work, file: CaseFile, scenario: Scenario, scene: Scene) -> None:
    signal = scene.signal
    file.log("cleared", signal={"id": signal.id, "source": signal.source, "kind": signal.kind})
    if scenario.case.auto_close and file.case.scenarios == [scenario.id]:
        end(work, file, "closed", "system", "", outcome="cleared")
