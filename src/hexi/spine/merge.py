"""Merge: two cases turn out to be one; and the way back when they were not."""

from __future__ import annotations

from hexi.spine import ask, close, escalate, notify
from hexi.spine.work import CaseFile, RefusedError, Work


def merge(work: Work, file: CaseFile, into: str, by: str, via: str) -> None:
    """One case goes on inside another; its signals and answers from now on count for that one."""
    target = work.case(into)
    if target is None or not target.case.is_open or into == file.case.id:
        raise RefusedError(f"不能并入 {into}：没有这样一个未结的案件", f"{into} is not another open case")
    lesser = target.case.severity.rank > file.case.severity.rank
    if target.case.drill is not file.case.drill:
        raise RefusedError("演练与真实案件不能并案", "a drill and a real case are never one")
    if lesser:
        raise RefusedError(
            f"{into} 较轻：请把它并入本案", f"{into} is lesser: merge it into this one instead"
        )
    file.log("merged", by, via, into=into, state=file.case.state)
    target.log("absorbed", by, via, case=file.case.id)
    close.rest(work, file.case)


def unmerge(work: Work, file: CaseFile, by: str, via: str) -> None:
    """The case stands on its own again, as it stood before; what fell due meanwhile happens now."""
    into = work.case(file.case.merged_into or "")
    before = next(e for e in reversed(work.tx.cases.log(file.case.id)) if e.kind == "merged")
    file.log("unmerged", by, via, state=before.body["state"])
    if into:
        into.log("released", by, via, case=file.case.id)
    close.hold(work, file)
    close.rearm(work, file)
    notify.rearm(work, file)
    ask.rearm(work, file)
    escalate.rearm(work, file)
