"""Summaries beside their files: written and recorded with them, carried along, made for older files.

A file and its summary are recorded by one transaction, so that an hour's counts are there exactly as often
as its signals were. The summary outlives the signals; its name says of which file it is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from msgspec.structs import replace

from hexi.adapters.archive import folder as names
from hexi.adapters.archive import hours
from hexi.adapters.archive.plan import Plan, Report
from hexi.kernel.archive import ArchiveFile, FileState, of_signals, summaries
from hexi.kernel.clock import HOUR, Instant


def described(plan: Plan, name: str, hour: Instant, kinds: dict[str, int]) -> ArchiveFile:
    """A file that has just been written, as it is recorded."""
    path, now = plan.folder / name, plan.clock.now()
    return ArchiveFile(
        name=name,
        hour=hour,
        kinds=kinds,
        bytes=path.stat().st_size,
        sha256=names.sum_of(path),
        state=FileState.KEPT,
        written=now,
        verified=now,
    )


def gone(plan: Plan, file: ArchiveFile) -> ArchiveFile:
    """A file that is replaced or has expired, as it is recorded."""
    return replace(file, state=FileState.GONE, gone_at=plan.clock.now())


def is_due(plan: Plan, hour: Instant) -> bool:
    """Whether an hour is to have summaries."""
    return plan.clock.now() - hour - HOUR < plan.settings.summaries


def write(plan: Plan, file: ArchiveFile) -> list[ArchiveFile]:
    """Write the summary of a file that has its name; nothing where none is wanted."""
    if not is_due(plan, file.hour):
        return []
    draft = names.draft_of(plan.folder, file.summary)
    try:
        with plan.store.read() as tx:
            kinds = hours.write(plan.folder / file.name, draft, file.hour, tx, plan.settings.memory)
        names.settle(draft, plan.folder / file.summary)
    finally:
        draft.unlink(missing_ok=True)
    return [described(plan, file.summary, file.hour, kinds)]


def carry(plan: Plan, old: ArchiveFile, fresh: ArchiveFile, before: ArchiveFile | None) -> list[ArchiveFile]:
    """The summary under the name of the file that takes the old one's place; what expired stays counted.

    A damaged one is counted anew from what the old file still holds.
    """
    if before is None or before.state is FileState.GONE:
        return []
    ends = gone(plan, before)
    if not names.is_whole(plan.folder, before):
        made = write(plan, old)
        if not made:
            return [ends]
        before = made[0]
    draft = names.draft_of(plan.folder, fresh.summary)
    try:
        shutil.copyfile(plan.folder / before.name, draft)
        names.settle(draft, plan.folder / fresh.summary)
    finally:
        draft.unlink(missing_ok=True)
    return [ends, replace(before, name=fresh.summary)]


def catch_up(plan: Plan, report: Report, at_most: int) -> None:
    """Write summaries of files that have none: older ones, and those whose summary was damaged."""
    with plan.store.read() as tx:
        turn, files = tx.archive.turn(), tx.archive.files()
    told = {file.name: file for file in summaries(files)}
    lacking = [f for f in of_signals(files) if _lacks(plan, f, told.get(f.summary))]
    some = lacking[:at_most]
    for file in some:
        plan.keep_lease()
        if names.is_whole(plan.folder, file):
            fresh = write(plan, file)
            report.summarised += [f.name for f in fresh]
            report.repaired += [f.name for f in fresh if f.name in told]
        else:
            fresh = [replace(file, state=FileState.DAMAGED)]
            report.damaged.append(file.name)
        plan.record(turn, *fresh)
        turn += 1
    plan.tell({file.hour for file in some})


def _lacks(plan: Plan, file: ArchiveFile, summary: ArchiveFile | None) -> bool:
    """Whether a file can be and should be counted; what has lost kinds would be counted too low."""
    if file.state is not FileState.KEPT or not is_due(plan, file.hour):
        return False
    return summary is None or (summary.state is FileState.DAMAGED and summary.kinds == file.kinds)


def differing(plan: Plan) -> list[str]:
    """Files whose summary counts something else than they hold, by what is in both.

    Kinds that have expired are in the summary alone; what cannot be read is damaged, not different.
    """
    with plan.store.read() as tx:
        files = tx.archive.files()
    told = {file.name: file for file in summaries(files) if file.is_read}
    return [
        file.name
        for file in of_signals(files)
        if file.is_read and file.summary in told and _differs(plan.folder, file, told[file.summary])
    ]


def _differs(folder: Path, file: ArchiveFile, summary: ArchiveFile) -> bool:
    if not names.is_whole(folder, summary):
        return False
    counted = hours.counts(folder / summary.name)
    return any(counted.get(kind) != rows for kind, rows in file.kinds.items())
