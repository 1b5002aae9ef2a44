"""Each case's part in each indicator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, select

from hexi.adapters.sql.link import Choice, replacing
from hexi.adapters.sql.tables import measure
from hexi.adapters.sql.work import Work
from hexi.kernel.indicator import Measure
from hexi.kernel.ports import MeasureFilter

_DROP = delete(measure).where(
    measure.c.indicator == bindparam("of_indicator"), measure.c.case_id == bindparam("of_case")
)
_PUT = replacing(measure)
_KEPT = Choice(measure.c.case_id, *measure.c)
_OF_CASE = select(measure).where(measure.c.case_id == bindparam("case_id")).order_by(measure.c.indicator)
_NAMES = tuple(c.name for c in measure.c)


class _Owed(NamedTuple):
    """Rows of one case by indicator; ``whole``: there are to be no others."""

    whole: bool
    rows: dict[str, tuple[Any, ...]]


class SqlMeasures:
    """``kernel.ports.Measures``."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._owed = work.buffer(self._write)

    def put(self, measures: Sequence[Measure], case_id: str) -> None:
        """Replace what is measured of one case."""
        self._owed[case_id] = _Owed(whole=True, rows=_rows(measures, case_id))

    def amend(self, measures: Sequence[Measure], case_id: str) -> None:
        """Replace what is measured of one case for some indicators; the others stay."""
        owed = self._owed.get(case_id) or _Owed(whole=False, rows={})
        self._owed[case_id] = _Owed(owed.whole, owed.rows | _rows(measures, case_id))

    def rows(self, indicator: str, wanted: MeasureFilter) -> list[Measure]:
        """The measured cases of an indicator."""
        self._work.flush(self._owed)
        c = measure.c
        query = select(measure).where(c.indicator == indicator)
        if wanted.since is not None:
            query = query.where(c.day >= wanted.since)
        if wanted.until is not None:
            query = query.where(c.day <= wanted.until)
        for name in ("street", "community", "grid"):
            if getattr(wanted, name) is not None:
                query = query.where(c[name] == getattr(wanted, name))
        return [_measure(row) for row in self._work.link.query(query.order_by(c.day, c.case_id))]

    def of_case(self, case_id: str) -> list[Measure]:
        """Every indicator a case counts in."""
        self._work.flush(self._owed)
        return [_measure(row) for row in self._work.link.run(_OF_CASE, case_id=case_id)]

    def _write(self, owed: dict[str, _Owed]) -> None:
        """Only what differs from what is kept: most changes of a case touch one indicator or two."""
        whole = [case_id for case_id, one in owed.items() if one.whole]
        kept = {row[:2]: row for row in self._work.link.choose(_KEPT, whole)}
        wanted = {row[:2]: row for one in owed.values() for row in one.rows.values()}
        gone = [key for key in kept if key not in wanted]
        fresh = [row for key, row in wanted.items() if kept.get(key) != row]
        if gone:
            self._work.link.many(_DROP, gone)
        if fresh:
            self._work.link.many(_PUT, fresh)


def _rows(measures: Sequence[Measure], case_id: str) -> dict[str, tuple[Any, ...]]:
    return {
        m.indicator: (m.indicator, case_id, m.day, m.street, m.community, m.grid, m.hit, m.value)
        for m in measures
    }


def _measure(row: Sequence[Any]) -> Measure:
    return Measure(**dict(zip(_NAMES, row, strict=True)))
