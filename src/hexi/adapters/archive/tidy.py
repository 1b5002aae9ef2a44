"""Looking after the files: what has expired or was erased goes, what is damaged is found."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
from msgspec.structs import replace

from hexi.adapters.archive import folder as names
from hexi.adapters.archive import parquet, summaries
from hexi.adapters.archive.plan import Plan, Report
from hexi.kernel.archive import SUMMARIES, ArchiveFile, Erasure, FileState, of_signals
from hexi.kernel.clock import HOUR, MINUTE

GRACE = 10 * MINUTE
"""A replaced file stays so long for the queries that began before."""

Known = Mapping[str, ArchiveFile]
"""What is recorded, by name."""
Changed = list[ArchiveFile]
"""What is to be recorded at once."""


def sweep(plan: Plan, report: Report) -> None:
    """Remove what a killed process left behind, and the files that are gone for good.

    A file that nothing records is removed only when each of its signals is somewhere else too. After a
    restore from an older backup it may be their only place: then it stays, and the report names it.
    """
    now = plan.clock.now()
    with plan.store.read() as tx:
        turn, files = tx.archive.turn(), tx.archive.files()
    over = [f for f in files if f.state is FileState.GONE and (f.gone_at or 0) + GRACE <= now]
    for file in over:
        (plan.folder / file.name).unlink(missing_ok=True)
    if over:
        with plan.store.write() as tx:
            tx.archive.drop(turn, [file.name for file in over])
        turn += 1
    strangers = [path for path in names.strangers(plan.folder, files) if _is_spare(plan, path, files, report)]
    _remove(plan, turn, strangers)
    plan.tell({file.hour for file in over})
    names.remove_empty(plan.folder)


def _is_spare(plan: Plan, path: Path, files: Sequence[ArchiveFile], report: Report) -> bool:
    name = str(path.relative_to(plan.folder))
    hour = names.hour_of(name)
    if hour is None:
        return True
    if name.startswith(SUMMARIES):
        return _is_spare_summary(plan, path, files, report)
    others = [plan.folder / f.name for f in of_signals(files) if f.hour == hour and f.is_read]
    with plan.store.read() as tx:
        hot = tx.archive.hot(hour, hour + HOUR)
        spare = parquet.is_elsewhere(path, others, hot, plan.settings.memory)
    if not spare:
        report.unknown.append(name)
    return spare


def _is_spare_summary(plan: Plan, path: Path, files: Sequence[ArchiveFile], report: Report) -> bool:
    """A summary that nothing records can be made again, or is not wanted, while its signals are somewhere."""
    name = str(path.relative_to(plan.folder))
    counted = plan.folder / name.removeprefix(SUMMARIES)
    known = next((f for f in files if plan.folder / f.name == counted), None)
    if known is None and counted.exists():
        return _is_spare(plan, counted, files, Report())
    if known is None or not known.is_read:
        report.unknown.append(name)
        return False
    return True


def _remove(plan: Plan, turn: int, strangers: Sequence[Path]) -> None:
    """Remove what nothing records, while nothing can be recorded: a file may be about to be."""
    if not strangers:
        return
    with plan.store.write() as tx:
        tx.archive.record(turn, [])
        for path in strangers:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def expire_and_erase(plan: Plan, report: Report) -> None:
    """Write anew, or drop, the files that hold what has outlived its time or was erased."""
    with plan.store.read() as tx:
        turn, files, erasures = tx.archive.turn(), tx.archive.files(), tx.archive.erasures()
    known, touched = {file.name: file for file in files}, set()
    for file in files:
        changed = _changed_or_damaged(plan, known[file.name], known, erasures)
        if changed:
            plan.keep_lease()
            plan.record(turn, *changed)
            turn += 1
            _note(report, known, changed)
            known |= {fresh.name: fresh for fresh in changed}
            touched.add(file.hour)
    plan.tell(touched)


def _changed_or_damaged(plan: Plan, file: ArchiveFile, known: Known, erasures: Sequence[Erasure]) -> Changed:
    """As ``_changed``; a file that cannot be read is found damaged here and holds up none of the others."""
    try:
        return _changed(plan, file, known, erasures)
    except duckdb.Error:
        if names.is_whole(plan.folder, file):
            raise
        return [replace(file, state=FileState.DAMAGED)]


def _note(report: Report, known: Known, changed: Changed) -> None:
    report.damaged += [file.name for file in changed if file.state is FileState.DAMAGED]
    report.gone += [file.name for file in of_signals(changed) or changed if file.state is FileState.GONE]
    report.written += [file.name for file in of_signals(changed) if file.name not in known]


def _changed(plan: Plan, file: ArchiveFile, known: Known, erasures: Sequence[Erasure]) -> Changed:
    """The file as it is to be recorded now, and what stands in its place; nothing when all is well."""
    if file.state not in {FileState.KEPT, FileState.DAMAGED}:
        return []
    if file.is_summary:
        return [] if summaries.is_due(plan, file.hour) else [summaries.gone(plan, file)]
    expired = _expired(plan, file)
    if len(expired) == len(file.kinds):
        return [summaries.gone(plan, file)]
    if file.state is FileState.DAMAGED:
        return []
    pending = [e for e in erasures if e.id > file.erased]
    holds = bool(pending) and parquet.holds(plan.folder / file.name, pending, plan.settings.memory)
    if expired or holds:
        fresh = _rewrite(plan, file, known, expired, erasures)
        counted = summaries.carry(plan, file, fresh, known.get(file.summary))
        return [summaries.gone(plan, file), fresh, *counted]
    return [replace(file, erased=pending[-1].id)] if pending else []


def _expired(plan: Plan, file: ArchiveFile) -> list[str]:
    age = plan.clock.now() - file.hour - HOUR
    return [kind for kind in file.kinds if age >= plan.settings.keep_of(kind)]


def _rewrite(
    plan: Plan,
    file: ArchiveFile,
    known: Known,
    expired: Sequence[str],
    erasures: Sequence[Erasure],
) -> ArchiveFile:
    name = names.next_name(file.hour, known.values())
    target, draft = plan.folder / name, names.draft_of(plan.folder, name)
    pending = [e for e in erasures if e.id > file.erased]
    try:
        kinds = parquet.rewrite(plan.folder / file.name, draft, expired, pending, plan.settings.memory)
        names.settle(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    fresh = summaries.described(plan, name, file.hour, kinds)
    return replace(fresh, erased=pending[-1].id if pending else file.erased)


def verify(plan: Plan, report: Report, *, everything: bool = False, at_most: int | None = None) -> None:
    """Compare files with their checksums, the longest unchecked first; damaged ones are left out of queries.

    A damaged file that was put right, from a backup say, is read again. When everything is compared, the
    counts of each summary are compared with its file's too.
    """
    now = plan.clock.now()
    with plan.store.read() as tx:
        turn, files = tx.archive.turn(), tx.archive.files()
    due = [f for f in files if everything or f.verified + plan.settings.check <= now]
    due = [f for f in due if f.state in {FileState.KEPT, FileState.DAMAGED}]
    looked = [_looked(plan, file) for file in sorted(due, key=lambda f: f.verified)[:at_most]]
    if looked:
        plan.record(turn, *looked)
    before = {file.name: file.state for file in files}
    turned = [file for file in looked if file.state is not before[file.name]]
    report.damaged += [file.name for file in turned if file.state is FileState.DAMAGED]
    report.repaired += [file.name for file in turned if file.state is FileState.KEPT]
    plan.tell({file.hour for file in turned})
    if everything:
        report.differing += summaries.differing(plan)


def _looked(plan: Plan, file: ArchiveFile) -> ArchiveFile:
    whole = names.is_whole(plan.folder, file)
    return replace(file, verified=plan.clock.now(), state=FileState.KEPT if whole else FileState.DAMAGED)
