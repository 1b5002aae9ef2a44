"""Everything the case page and the desk show of one case, read in one transaction."""

from __future__ import annotations

from typing import Any, NamedTuple

from hexi.kernel.case import Act, Case, Evidence
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import Instant
from hexi.kernel.directory import Person
from hexi.kernel.ports import CaseFilter, Transaction
from hexi.kernel.scenario import PROMISES, Scenario
from hexi.spine.close import missing_evidence
from hexi.spine.verify import allowed_acts
from hexi.web.screens.names import Names, age
from hexi.web.screens.plan import Planned, planned, reason
from hexi.web.screens.timeline import Line, Scribe
from hexi.web.screens.told import ToldPerson, spread, told
from hexi.web.screens.words import say, word


class PromiseLine(NamedTuple):
    """A promise beside what became of it."""

    name: str
    word: str
    due: Instant
    promised: int
    kept: Instant | None
    took: int | None
    missed: bool
    reason: str


class Proof(NamedTuple):
    """A piece of evidence with its words."""

    type: str
    at: Instant
    by: str
    text: str
    file: str | None


class CaseView(NamedTuple):
    """One case, ready to be drawn."""

    case: Case
    scenario: Scenario | None
    title: str
    subject: str
    person: Person | None
    age: int | None
    where: str
    acts: frozenset[Act]
    promises: list[PromiseLine]
    past: list[Line]
    to_come: list[Line]
    planned: list[Planned]
    told: list[ToldPerson]
    spread: int | None
    proofs: list[Proof]
    missing: list[str]
    tasks: list[dict[str, Any]]
    units: list[tuple[str, str]]
    others: list[tuple[str, str]]

    @property
    def unanswered(self) -> int:
        """How many of those told have not answered."""
        return sum(1 for person in self.told if person.silent)


def case_view(tx: Transaction, catalogue: Catalogue, case_id: str, now: Instant) -> CaseView | None:
    """The case by id; None when there is no such case."""
    case = tx.cases.get(case_id)
    if case is None:
        return None
    names = Names(tx)
    scribe = Scribe(case, catalogue, names)
    person = names.person(case.subject)
    return CaseView(
        case=case,
        scenario=catalogue.scenarios.get(case.scenario),
        title=say(catalogue.title(case.scenario)),
        subject=names.subject(case),
        person=person,
        age=age(person, now),
        where=names.where(case),
        acts=frozenset(allowed_acts(case)),
        promises=_promises(case),
        past=scribe.past(tx.cases.log(case_id)),
        to_come=scribe.to_come(),
        planned=planned(case, catalogue, tx.deadlines.of_case(case_id)),
        told=told(case, tx, names),
        spread=spread(case),
        proofs=[_proof(evidence, names) for evidence in case.evidence],
        missing=[word("evidence", name) for name in missing_evidence(case)],
        tasks=_tasks(case, names),
        units=[(r.id, str(r.data.get("name", r.id))) for r in tx.records.find("unit", limit=200)],
        others=_others(tx, catalogue, case, names),
    )


def _promises(case: Case) -> list[PromiseLine]:
    return [_promise(case, name) for name in PROMISES if name in case.promises]


def _promise(case: Case, name: str) -> PromiseLine:
    promise = case.promises[name]
    return PromiseLine(
        name=name,
        word=word("promise", name),
        due=promise.due,
        promised=promise.due - case.opened_at,
        kept=promise.kept,
        took=promise.kept - case.opened_at if promise.kept else None,
        missed=promise.missed is not None or (promise.kept or 0) > promise.due,
        reason=reason(case, name),
    )


def _proof(evidence: Evidence, names: Names) -> Proof:
    return Proof(evidence.type, evidence.at, names.of(evidence.by), names.note(evidence.note), evidence.file)


def _tasks(case: Case, names: Names) -> list[dict[str, Any]]:
    return [
        {
            "id": identity,
            "owner": names.of(task.owner) if ":" in task.owner else word("role", task.owner),
            "title": say(task.title),
            "due": task.due,
            "checked_in": task.checked_in,
            "done": task.done,
        }
        for identity, task in case.tasks.items()
    ]


def _others(tx: Transaction, catalogue: Catalogue, case: Case, names: Names) -> list[tuple[str, str]]:
    """Open cases near it into which it may be merged: the same person, device or community first."""
    rows = tx.cases.find(CaseFilter(open=True, street=case.place.street), 50)
    near = [row for row in rows if row.id != case.id]
    near.sort(key=lambda row: (row.subject != case.subject, row.community != case.place.community))
    return [
        (row.id, f"{row.id} {say(catalogue.title(row.scenario))} {names.of(row.subject)}")
        for row in near[:20]
    ]
