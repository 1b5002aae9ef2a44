"""The spine: runs the verbs on whatever has come in, one transaction at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from hexi.kernel.catalogue import FALLBACK, Catalogue
from hexi.kernel.clock import MINUTE, Clock
from hexi.kernel.deadline import Deadline, DeadlineKind
from hexi.kernel.ports import Known, Locator, Quarantined, Random, Store, StoreError, Transaction
from hexi.kernel.response import Notice, Receipt
from hexi.kernel.signal import Signal
from hexi.spine import ask, escalate, notify, watch
from hexi.spine.count import count
from hexi.spine.open import open_or_join
from hexi.spine.scene import look
from hexi.spine.take import take
from hexi.spine.work import Means, Memory, Outcome, Taken, Work

DUE_AT_ONCE = 500
"""Deadlines handled in one transaction; what is left follows in the next."""

PUT_OFF = MINUTE
"""After how long a deadline that could not be handled is tried again."""

_DUE: dict[DeadlineKind, Callable[[Work, Deadline], None]] = {
    DeadlineKind.PROMISE: escalate.promise_due,
    DeadlineKind.STEP: notify.step_due,
    DeadlineKind.ASK: ask.silent,
    DeadlineKind.REMIND: escalate.remind_due,
    DeadlineKind.SILENCE: watch.silence_due,
    DeadlineKind.ABSENCE: watch.absence_due,
    DeadlineKind.SEQUENCE: watch.sequence_due,
}


class Job(msgspec.Struct):
    """One thing handed in: signals, receipts, or any other change of the store."""

    signals: Sequence[Signal] = ()
    receipts: Sequence[Receipt] = ()
    call: Callable[[Transaction], Any] | None = None
    result: Any = None
    error: Exception | None = None


class Spine:
    """The verbs over a store. Not for several threads at once: ``Intake`` owns it."""

    def __init__(
        self, store: Store, clock: Clock, catalogue: Catalogue, locator: Locator, random: Random
    ) -> None:
        self.store = store
        self.clock = clock
        self.means = Means(catalogue, locator, random, Memory(clock.now()))

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue in force."""
        return self.means.catalogue

    def use(self, catalogue: Catalogue | None = None, locator: Locator | None = None) -> None:
        """From the next transaction on, work with another catalogue or map."""
        self.means = self.means._replace(
            catalogue=catalogue or self.means.catalogue, locator=locator or self.means.locator
        )

    def take(self, signals: Sequence[Signal]) -> Outcome:
        """Take signals in a transaction of their own."""
        return self.process([Job(signals=signals)])

    def process(self, jobs: Sequence[Job]) -> Outcome:
        """Run jobs in one transaction; one that fails is taken alone, and never costs the others.

        Raises StoreError when the store could not commit: then nothing has happened.
        """
        try:
            return self._transact(jobs)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with one job, the others go on
            if len(jobs) > 1:
                return _joined(self.process([job]) for job in jobs)
            return self._alone(jobs[0], error)

    def _transact(self, jobs: Sequence[Job]) -> Outcome:
        with self.store.write() as tx:
            work = Work(tx, self.clock.now(), self.means)
            work.memory.refresh(tx.records.revision())
            for job in jobs:
                _run(work, job)
            self._finish(work)
        return work.outcome

    def _finish(self, work: Work) -> None:
        """Write every case that was touched, with its part in the indicators."""
        for file in work.files.values():
            if file.fresh:
                work.tx.cases.save(file.case, file.fresh)
                count(work.tx, work.catalogue, file.case)
                work.outcome.changed[file.case.id] = file.case.version
                if file.fresh[0].seq == 1:
                    work.outcome.opened.append(file.case.severity)

    def _alone(self, job: Job, error: Exception) -> Outcome:
        if job.call:
            job.error = error
            return Outcome()
        if len(job.signals) > 1:
            parts = [Job(signals=[signal]) for signal in job.signals]
            outcome = _joined(self.process([part]) for part in parts)
            job.result = [taken for part in parts for taken in part.result]
            return outcome
        if job.signals:
            return self._rescue(job, job.signals[0], error)
        job.error = error
        return Outcome()

    def _rescue(self, job: Job, signal: Signal, error: Exception) -> Outcome:
        """A signal that our own code stumbled over is kept, shown and, if it is a cry, answered."""
        reason = f"{type(error).__name__}: {error}"
        with self.store.write() as tx:
            work = Work(tx, self.clock.now(), self.means)
            (known,) = tx.signals.claim([signal])
            if known is Known.NEW:
                tx.quarantine.add(_unprocessed(signal, reason))
                case_id = self._cry(work, signal)
                tx.signals.add(signal, case_id)
            case_id = tx.signals.case_of(signal.key)
            self._finish(work)
        job.result = [
            Taken(source=signal.source, id=signal.id, fate="accepted", case_id=case_id, flags=("failed",))
        ]
        work.outcome.taken.extend(job.result)
        return work.outcome

    def _cry(self, work: Work, signal: Signal) -> str | None:
        scenario = self.catalogue.scenarios.get(FALLBACK)
        if scenario is None or not self.catalogue.is_sos(signal.kind):
            return None
        return open_or_join(work, scenario, look(work, signal))

    def tick(self) -> Outcome:
        """Handle what has fallen due by now, and bring back notices whose time has come."""
        try:
            return self._due(DUE_AT_ONCE)
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 -- one deadline that cannot be handled must not hold up the others
            return self._due_alone()

    def _due(self, limit: int) -> Outcome:
        with self.store.write() as tx:
            work = Work(tx, self.clock.now(), self.means)
            work.memory.refresh(tx.records.revision())
            for deadline in tx.deadlines.claim(work.now, limit):
                _DUE[deadline.kind](work, deadline)
                work.outcome.lateness.append(work.now - deadline.due_at)
            take(work, ())
            self._finish(work)
        return work.outcome

    def _due_alone(self) -> Outcome:
        """The earliest deadline by itself; one that fails is put off, and becomes a technical case."""
        try:
            return self._due(1)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- see tick
            return self._put_off(f"{type(error).__name__}: {error}")

    def _put_off(self, reason: str) -> Outcome:
        with self.store.write() as tx:
            work = Work(tx, self.clock.now(), self.means)
            for deadline in tx.deadlines.claim(work.now, 1):
                tx.deadlines.arm([msgspec.structs.replace(deadline, due_at=work.now + PUT_OFF)])
                work.derive("tech.deadline_failed", deadline.key, reason=reason, case=deadline.case_id)
            take(work, ())
            self._finish(work)
        return work.outcome

    def owed(self, limit: int = 1_000) -> list[Notice]:
        """Notices that should be on their way by now: after a start, and for another attempt."""
        with self.store.read() as tx:
            return tx.notices.waiting(self.clock.now(), limit)


def _run(work: Work, job: Job) -> None:
    before = len(work.outcome.taken)
    if job.signals:
        take(work, job.signals)
        job.result = work.outcome.taken[before:]
    for receipt in job.receipts:
        _receive(work, receipt)
    if job.call:
        job.result = job.call(work.tx)


def _receive(work: Work, receipt: Receipt) -> None:
    notify.receive(work, receipt)
    notice = work.tx.notices.get(receipt.notice_id)
    file = work.case(notice.case_id) if notice and notice.step == "ask" else None
    if notice and file and file.case.asked == "waiting":
        ask.heard(work, file, notice, receipt)


def _unprocessed(signal: Signal, reason: str) -> Quarantined:
    return Quarantined(
        id=0,
        received=signal.received,
        link=signal.source,
        content_type="application/vnd.hexi.signal+json",
        reason=reason,
        raw=msgspec.json.encode(signal),
    )


def _joined(outcomes: Iterable[Outcome]) -> Outcome:
    total = Outcome()
    for outcome in outcomes:
        total.taken += outcome.taken
        total.notices += outcome.notices
        total.changed |= outcome.changed
        total.opened += outcome.opened
    return total
