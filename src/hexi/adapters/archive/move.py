"""Moving signals from the hot store to the archive, each exactly once, whenever the process is killed.

The file is on the disk and has its name before one transaction records it together with the fence: from
that commit on queries count its rows in the file and no longer in the store, where they are deleted a few
at a time. Killed before the commit, nothing has happened but a file that nobody knows, which the next
round removes; killed after it, the next round goes on deleting. The summary of the file is written before
the same transaction and recorded by it.
"""

from __future__ import annotations

from msgspec.structs import replace

from hexi.adapters.archive import folder as names
from hexi.adapters.archive import parquet, summaries
from hexi.adapters.archive.plan import Plan, Report
from hexi.kernel.archive import ArchiveFile, Fence, FileState
from hexi.kernel.clock import HOUR, Instant

AT_ONCE = 5_000
"""Rows one transaction deletes, so that no signal waits long for it."""


def move(plan: Plan, report: Report) -> None:
    """Move every whole hour that has left the hot window.

    DiskFullError and other OSErrors: nothing is lost, what could be moved is. TurnLostError and
    NotOursError: another process is at work.
    """
    finish(plan, report)
    quiet = Fence(upto=0, but=plan.waits)
    for fence, before in (
        (quiet, plan.hot_until(plan.settings.hot)),
        (Fence(upto=0, of_cases=True), plan.hot_until(plan.longest)),
    ):
        while (hour := _next_hour(plan, before, fence)) is not None:
            plan.keep_lease()
            _move_hour(plan, hour, fence, report)


def _next_hour(plan: Plan, before: Instant, fence: Fence) -> Instant | None:
    with plan.store.read() as tx:
        return tx.archive.next_hour(before, replace(fence, upto=tx.archive.last_row(before)))


def _move_hour(plan: Plan, hour: Instant, fence: Fence, report: Report) -> None:
    with plan.store.read() as tx:
        fence = replace(fence, upto=tx.archive.last_row(hour + HOUR))
    with plan.store.write() as tx:
        tx.archive.settle()
    turn, file = _write(plan, hour, fence)
    counted = summaries.write(plan, file)
    plan.record(turn, file, *counted)
    report.written.append(file.name)
    report.summarised += [summary.name for summary in counted]
    finish(plan, report)


def _write(plan: Plan, hour: Instant, fence: Fence) -> tuple[int, ArchiveFile]:
    """A file of the rows a fence names, whole on the disk, and the turn in which they were read."""
    with plan.store.read() as tx:
        turn, name = tx.archive.turn(), names.next_name(hour, tx.archive.files())
        erased = max((erasure.id for erasure in tx.archive.erasures()), default=0)
        target, draft = plan.folder / name, names.draft_of(plan.folder, name)
        try:
            rows = tx.archive.rows(hour, fence)
            kinds = parquet.write(draft, rows, plan.settings.body_of, plan.settings.memory)
            names.settle(draft, target)
        finally:
            draft.unlink(missing_ok=True)
    file = summaries.described(plan, name, hour, kinds)
    return turn, replace(file, state=FileState.MOVING, erased=erased, fence=fence)


def finish(plan: Plan, report: Report) -> None:
    """Delete what is in a recorded file already; a file that is damaged meanwhile takes nothing more."""
    with plan.store.read() as tx:
        turn, files = tx.archive.turn(), tx.archive.files()
    for file in (f for f in files if f.state is FileState.MOVING):
        if names.is_whole(plan.folder, file):
            report.moved += _delete(plan, file)
            plan.record(turn, replace(file, state=FileState.KEPT, fence=None))
        else:
            plan.record(turn, *_unfinished(plan, file, files))
            report.damaged.append(file.name)
        turn += 1
    plan.tell({file.hour for file in files if file.state is FileState.MOVING})


def _unfinished(plan: Plan, file: ArchiveFile, files: list[ArchiveFile]) -> list[ArchiveFile]:
    """A damaged file whose rows are not all deleted: those left are counted again with their next file."""
    counted = next((f for f in files if f.name == file.summary), None)
    ends = [summaries.gone(plan, counted)] if counted else []
    return [replace(file, state=FileState.DAMAGED, fence=None), *ends]


def _delete(plan: Plan, file: ArchiveFile) -> int:
    assert file.fence is not None
    moved = 0
    while True:
        with plan.store.write() as tx:
            chunk = tx.archive.take_out(file.hour, file.fence, AT_ONCE)
        moved += chunk
        if chunk < AT_ONCE:
            return moved
        plan.keep_lease()
