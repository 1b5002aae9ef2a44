"""The queue of the alarm desk: open cases by time left to the next broken promise."""

from __future__ import annotations

from typing import Any, NamedTuple

from hexi.kernel.case import Case
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import Instant
from hexi.kernel.ports import CaseFilter, CaseRow, Transaction
from hexi.web.screens.names import Names, age
from hexi.web.screens.plan import planned, promises
from hexi.web.screens.words import LANGUAGE, SEVERITIES, say, word

MOST = 200
"""Rows drawn at once; the heading always counts all."""

_KEPT = 2_000


class QueueRow(NamedTuple):
    """One row: everything it shows is in it, ready to be drawn."""

    id: str
    version: int
    severity: str
    title: str
    subject: str
    age: int | None
    place: str
    state: str
    drill: bool
    flags: tuple[str, ...]
    due_what: str
    due_at: Instant | None
    next_who: str
    next_at: Instant | None
    asking: bool
    answered: bool
    opened: bool
    opened_at: Instant
    said: str

    @property
    def siren(self) -> bool:
        """A cry that nobody has opened yet."""
        return self.severity == "extreme" and not self.opened and not self.answered and not self.drill


class Queue:
    """Builds rows and keeps them until their case changes: one drawing per version and language."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Any, ...], QueueRow] = {}

    def rows(self, tx: Transaction, catalogue: Catalogue, wanted: CaseFilter) -> list[QueueRow]:
        """The wanted cases in the store's order: the next broken promise first."""
        found = tx.cases.find(wanted, MOST)
        names, revision = Names(tx), tx.records.revision()
        return [self._row(tx, catalogue, names, row, revision) for row in found]

    def _row(
        self, tx: Transaction, catalogue: Catalogue, names: Names, row: CaseRow, revision: int
    ) -> QueueRow:
        opened = not self._rings(row) or opened_by_someone(tx, row.id)
        key = (row.id, row.version, LANGUAGE.get(), opened, revision, id(catalogue))
        known = self._rows.get(key)
        if known is None:
            case = tx.cases.get(row.id)
            known = draw(case or Case(id=row.id), catalogue, names, opened=opened)
            if len(self._rows) >= _KEPT:
                self._rows.clear()
            self._rows[key] = known
        return known

    @staticmethod
    def _rings(row: CaseRow) -> bool:
        return SEVERITIES[row.severity] == "extreme" and not row.drill


def opened_by_someone(tx: Transaction, case_id: str) -> bool:
    """Whether a person has opened the case on a desk."""
    return bool(tx.access.looks(f"case:{case_id}", 1))


def draw(case: Case, catalogue: Catalogue, names: Names, *, opened: bool) -> QueueRow:
    """A case as a row of the queue."""
    due = next(iter(promises(case)), None)
    coming = next(iter(planned(case, catalogue)), None)
    person = names.person(case.subject)
    title = say(catalogue.title(case.scenario))
    subject = names.subject(case)
    return QueueRow(
        id=case.id,
        version=case.version,
        severity=case.severity.value,
        title=title,
        subject=subject,
        age=age(person, case.opened_at),
        place=names.where(case.place),
        state=case.state.value,
        drill=case.drill,
        flags=tuple(case.flags),
        due_what=word("promise", due.name) if due else "",
        due_at=due.at if due else None,
        next_who=coming.who if coming else "",
        next_at=coming.at if coming else None,
        asking=case.asked == "waiting",
        answered=case.first_answer is not None,
        opened=opened,
        opened_at=case.opened_at,
        said=f"{word('severity', case.severity.value)} {title} {subject}",
    )
