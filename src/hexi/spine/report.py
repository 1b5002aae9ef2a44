"""Report: the logs of a month's cases, read for the report of promises kept."""

from __future__ import annotations

from hexi.kernel.case import Entry
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.ports import CaseFilter, Transaction
from hexi.kernel.report import Asked, MonthReport, Seen, compile_month, look, month_before, span_of
from hexi.spine.rebuild import Difference, compare

MOST = 10_000_000


def month_report(tx: Transaction, asked: Asked) -> MonthReport:
    """The report of a month, counted from the logs of its cases; ValueError when there is no such month."""
    before = asked._replace(month=month_before(asked.month))
    return compile_month(asked, _seen(tx, asked), _seen(tx, before))


def _seen(tx: Transaction, asked: Asked) -> list[Seen]:
    return [look(identity, log, asked.as_of) for identity, log in _logs(tx, asked)]


def _logs(tx: Transaction, asked: Asked) -> list[tuple[str, list[Entry]]]:
    """The logs of what was opened in the month by then, in the place of its opening."""
    since, until = span_of(asked.month)
    rows = tx.cases.find(CaseFilter(since=since, until=min(until, asked.as_of + 1)), MOST)
    found = [(row.id, tx.cases.log(row.id)) for row in rows]
    return [(identity, log) for identity, log in found if _lies_in(log, asked.place)]


def _lies_in(log: list[Entry], place: str | None) -> bool:
    if place is None:
        return True
    where = log[0].body.get("place", {}) if log else {}
    return place in (where.get("street"), where.get("community"))


def check_rows(tx: Transaction, catalogue: Catalogue, month: str) -> list[Difference]:
    """Where the current rows and measures of a month's cases are not what their logs add up to."""
    since, until = span_of(month)
    rows = tx.cases.find(CaseFilter(since=since, until=until), MOST)
    return [Difference(row.id, what) for row in rows for what in compare(tx, catalogue, row.id)]
