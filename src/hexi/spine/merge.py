"""Merge: two cases turn out to be one; and the way back when they were not."""

from __future__ import annotations

from hexi.spine import close
from hexi.spine.work import CaseFile, RefusedError, Work


def merge(work: Work, file: CaseFile, into: str, by: str, via: str) -> None:
    """One case goes on inside another; answers to the first count for the second."""
    target = work.case(into)
    if target is None or not target.case.is_open or into == file.case.id:
        raise RefusedError(f"不能并入 {into}：没有这样一个未结的案件", f"{into} is not another open case")
    file.log("merged", by, via, into=into, state=file.case.state)
    target.log("absorbed", by, via, case=file.case.id)
    close.rest(work, file.case)
    work.tx.cases.hold_fold(file.case.fold_key, into)


def unmerge(work: Work, file: CaseFile, by: str, via: str) -> None:
    """The case stands on its own again, as it stood before."""
    into = work.case(file.case.merged_into or "")
    before = next(e for e in reversed(work.tx.cases.log(file.case.id)) if e.kind == "merged")
    file.log("unmerged", by, via, state=before.body["state"])
    if into:
        into.log("released", by, via, case=file.case.id)
    work.tx.cases.hold_fold(file.case.fold_key, file.case.id)
    close.rearm(work, file)
