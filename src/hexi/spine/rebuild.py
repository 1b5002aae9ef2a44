"""Rebuild: everything a screen shows is derived again from the logs, and compared."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from hexi.kernel.case import Case
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.fold import rebuild
from hexi.kernel.ports import Store, Transaction
from hexi.spine.count import measure

PAGE = 200


class Difference(msgspec.Struct, frozen=True):
    """A case whose stored row or measures are not what its log adds up to."""

    case_id: str
    what: str


class Report(msgspec.Struct):
    """What a rebuild found."""

    cases: int = 0
    entries: int = 0
    differences: list[Difference] = []


Progress = Callable[[int], None]


def rebuild_all(
    store: Store, catalogue: Catalogue, *, repair: bool, progress: Progress = lambda _: None
) -> Report:
    """Fold every log anew and compare with what is stored; ``repair`` writes what the log says."""
    report, after = Report(), ""
    while True:
        with store.write() if repair else store.read() as tx:
            page = tx.cases.ids(after, PAGE)
            for case_id in page:
                _one(tx, catalogue, case_id, report, repair=repair)
        if not page:
            return report
        after = page[-1]
        progress(len(page))


def _one(tx: Transaction, catalogue: Catalogue, case_id: str, report: Report, *, repair: bool) -> None:
    entries = tx.cases.log(case_id)
    case = rebuild(case_id, entries)
    report.cases += 1
    report.entries += len(entries)
    wrong = _compare(tx, catalogue, case)
    report.differences += [Difference(case_id, what) for what in wrong]
    if wrong and repair:
        tx.cases.replace(case)
        tx.measures.put(measure(catalogue, case), case_id)


def compare(tx: Transaction, catalogue: Catalogue, case_id: str) -> list[str]:
    """What of a case's row and measures is not what its log adds up to."""
    return _compare(tx, catalogue, rebuild(case_id, tx.cases.log(case_id)))


def _compare(tx: Transaction, catalogue: Catalogue, case: Case) -> list[str]:
    wrong = ["case"] if tx.cases.get(case.id) != case else []
    stored = {m.indicator: m for m in tx.measures.of_case(case.id)}
    fresh = {m.indicator: m for m in measure(catalogue, case)}
    return wrong + [
        f"indicator {name}" for name in sorted({*stored, *fresh}) if stored.get(name) != fresh.get(name)
    ]
