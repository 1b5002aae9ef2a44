"""Count: each changed case's part in each indicator, in the same transaction; figures and their cases."""

from __future__ import annotations

from collections.abc import Iterable

from hexi.kernel.case import Case
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.indicator import CASE_NAMES, Figure, Measure, Seen, counts, figure, moved
from hexi.kernel.ports import MeasureFilter, Transaction


def measure(catalogue: Catalogue, case: Case) -> list[Measure]:
    """What one case contributes to every indicator that covers it."""
    if not counts(case):
        return []
    seen = Seen(case)
    return [meter.measure(seen) for meter in catalogue.meters(tuple(case.scenarios))]


def count(tx: Transaction, catalogue: Catalogue, case: Case, kinds: Iterable[str]) -> None:
    """Bring what is measured of a case up to date after entries of these kinds."""
    touched = moved(kinds)
    if touched == CASE_NAMES:
        tx.measures.put(measure(catalogue, case), case.id)
    elif counts(case):
        meters = [m for m in catalogue.meters(tuple(case.scenarios)) if not touched.isdisjoint(m.reads)]
        if meters:
            seen = Seen(case)
            tx.measures.amend([meter.measure(seen) for meter in meters], case.id)


def read(tx: Transaction, catalogue: Catalogue, indicator: str, wanted: MeasureFilter) -> Figure:
    """One figure, for a place and a period."""
    rows = tx.measures.rows(indicator, wanted)
    return figure(catalogue.indicators[indicator].rule, indicator, ((m.hit, m.value) for m in rows))


def cases_behind(
    tx: Transaction, indicator: str, wanted: MeasureFilter, *, hit: bool | None = None
) -> list[str]:
    """The cases a figure counts: all decided ones, or only the hits, or only the misses."""
    rows = [m for m in tx.measures.rows(indicator, wanted) if m.hit is not None]
    return [m.case_id for m in rows if hit is None or bool(m.hit) is hit]
