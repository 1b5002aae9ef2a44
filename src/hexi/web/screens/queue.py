"""The queue of the alarm desk: open cases by time left to the next broken promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hexi.kernel.case import Case, Entry
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import MINUTE, Instant
from hexi.kernel.ports import CaseFilter, CaseRow, Transaction
from hexi.web.screens.names import Names, age
from hexi.web.screens.plan import planned, promises
from hexi.web.screens.words import LANGUAGE, say, word

MOST = 200
"""Rows drawn at once; the heading always counts all."""

NAMES_FOR = MINUTE
"""How long a changed name may take to show; everything else shows at once."""

_KEPT = 2_000
_ALARMS = frozenset({"reported", "reopened"})
_ANSWERS = frozenset({"acknowledged", "declined", "set_off", "arrived"})


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
    live: bool
    flags: tuple[str, ...]
    due_what: str
    due_at: Instant | None
    next_who: str
    next_at: Instant | None
    asking: bool
    answered: bool
    opened: bool
    alarm_at: Instant
    opened_at: Instant
    said: str

    @property
    def rings(self) -> bool:
        """A cry that nobody has answered."""
        return self.severity == "extreme" and not self.answered and (self.live or not self.drill)

    @property
    def siren(self) -> bool:
        """A cry that nobody has answered and nobody has opened."""
        return self.rings and not self.opened


class Queue:
    """Builds rows and keeps them until their case changes: one drawing per version and language."""

    def __init__(self) -> None:
        self._rows: dict[tuple[object, ...], QueueRow] = {}

    def rows(self, tx: Transaction, catalogue: Catalogue, wanted: CaseFilter, now: Instant) -> list[QueueRow]:
        """The wanted cases in the store's order: the next broken promise first."""
        names, age_of_names = Names(tx), now // NAMES_FOR
        state = (LANGUAGE.get(), age_of_names, id(catalogue))
        return [self._row(tx, catalogue, names, (row, state)) for row in tx.cases.find(wanted, MOST)]

    def _row(
        self, tx: Transaction, catalogue: Catalogue, names: Names, what: tuple[CaseRow, tuple[object, ...]]
    ) -> QueueRow:
        row, state = what
        key = (row.id, row.version, *state)
        known = self._rows.get(key)
        if known is None:
            case = tx.cases.get(row.id) or Case(id=row.id)
            known = draw(case, catalogue, names, tx.cases.log(row.id))
            if len(self._rows) >= _KEPT:
                self._rows.clear()
            self._rows[key] = known
        if known.rings:
            return known._replace(opened=_opened_since(tx, row.id, known.alarm_at))
        return known


def _opened_since(tx: Transaction, case_id: str, alarm: Instant) -> bool:
    """Whether a person has opened the case on a desk since its alarm."""
    return any(look.at >= alarm for look in tx.access.looks(f"case:{case_id}", 1))


def draw(case: Case, catalogue: Catalogue, names: Names, log: Sequence[Entry]) -> QueueRow:
    """A case as a row of the queue."""
    alarm = max((entry.at for entry in log if entry.kind in _ALARMS), default=case.opened_at)
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
        place=names.where(case),
        state=case.state.value,
        drill=case.drill,
        live=case.live,
        flags=tuple(case.flags),
        due_what=word("promise", due.name) if due else "",
        due_at=due.at if due else None,
        next_who=coming.who if coming else "",
        next_at=coming.at if coming else None,
        asking=case.asked == "waiting",
        answered=any(entry.kind in _ANSWERS and entry.at >= alarm for entry in log),
        opened=False,
        alarm_at=alarm,
        opened_at=case.opened_at,
        said=f"{word('severity', case.severity.value)} {title} {subject}",
    )
