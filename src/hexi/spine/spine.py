"""The spine: runs the verbs on whatever has come in, one transaction at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from hexi.kernel.case import QUESTION
from hexi.kernel.catalogue import FALLBACK, Catalogue
from hexi.kernel.clock import MINUTE, SECOND, Clock, Instant
from hexi.kernel.deadline import Deadline, DeadlineKind
from hexi.kernel.ports import Known, Locator, Quarantined, Random, Store, StoreError, Transaction
from hexi.kernel.response import Notice, NoticeState, Receipt
from hexi.kernel.scenario import Scenario
from hexi.kernel.signal import Signal
from hexi.kernel.text import Text
from hexi.spine import ask, drill, escalate, notify, watch
from hexi.spine.count import count
from hexi.spine.open import open_or_join, show
from hexi.spine.scene import look, unseen
from hexi.spine.take import HEARD_EVERY, note_heard, take
from hexi.spine.work import Means, Memory, Outcome, Share, Taken, Work

DUE_AT_ONCE = 500
"""Deadlines handled in one transaction; what is left follows in the next."""

SAYS_SILENT = '"silent":true'
"""What the deadline of a silent device says; see ``watch.silence``."""

TRIES = 4
"""How often a transaction that met another process is begun before its sender is told."""

WAITED_LONG = 5 * SECOND
"""A lock that was waited for as long as this is not waited for again."""

PUT_OFF = MINUTE
"""After how long a deadline that could not be handled is tried again."""

ACT_FAILED = Text(zh="系统出错，操作未生效", en="something went wrong here; nothing was done")
"""Why an act that our own code stumbled over is refused."""

_DUE: dict[DeadlineKind, Callable[[Work, Deadline], None]] = {
    DeadlineKind.PROMISE: escalate.promise_due,
    DeadlineKind.STEP: notify.step_due,
    DeadlineKind.ASK: ask.silent,
    DeadlineKind.REMIND: escalate.remind_due,
    DeadlineKind.SILENCE: watch.silence_due,
    DeadlineKind.ABSENCE: watch.absence_due,
    DeadlineKind.SEQUENCE: watch.sequence_due,
    DeadlineKind.DRILL: drill.due,
}


class _ContendedError(Exception):
    """Others hold what several jobs need in another order; one after the other they cannot block."""


class Job(msgspec.Struct):
    """One thing handed in: signals (and over which link), receipts, or any other change of the store."""

    signals: Sequence[Signal] = ()
    link: str | None = None
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
        self.next_due: Instant | None = None
        """When the first deadline falls due, as the last ``tick`` saw it; None: there was none."""

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue in force."""
        return self.means.catalogue

    @property
    def share(self) -> Share:
        """What of the platform's work is this process's."""
        return self.means.share

    def use(
        self,
        catalogue: Catalogue | None = None,
        locator: Locator | None = None,
        share: Share | None = None,
    ) -> None:
        """From the next transaction on, work with another catalogue or map, or do another share."""
        self.means = self.means._replace(
            catalogue=catalogue or self.means.catalogue,
            locator=locator or self.means.locator,
            share=share or self.means.share,
        )

    def recall(self) -> None:
        """Remember which devices are reported silent, so that the first word from one is noticed."""
        with self.store.read() as tx:
            keys = tx.deadlines.saying(DeadlineKind.SILENCE, SAYS_SILENT)
        self.means.memory.silent.update(key.removeprefix("silence/") for key in keys)

    def take(self, signals: Sequence[Signal]) -> Outcome:
        """Take signals in a transaction of their own."""
        return self.process([Job(signals=signals)])

    def process(self, jobs: Sequence[Job]) -> Outcome:
        """Run jobs in one transaction; one that fails is taken alone, and never costs the others.

        Raises StoreError when the store could not commit: then nothing has happened. When it fails only
        after some of the jobs have been committed alone, the others have the error, and so has the outcome.
        """
        try:
            return self._transact(jobs)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with one job, the others go on
            if len(jobs) > 1:
                return self._one_after_another(jobs)
            return self._alone(jobs[0], error)

    def _one_after_another(self, jobs: Sequence[Job]) -> Outcome:
        """Each job in a transaction of its own. What was committed stays so when the store fails later."""
        done = 0

        def outcomes() -> Iterator[Outcome]:
            nonlocal done
            for job in jobs:
                yield self.process([job])
                done += 1

        outcome = _joined(outcomes())
        for job in jobs[done:]:
            job.error = outcome.trouble
        return outcome

    def _transact(self, jobs: Sequence[Job]) -> Outcome:
        """Two processes that wait for each other are both told; whoever lost simply begins again."""
        for _ in range(TRIES):
            began = self.clock.now()
            try:
                return self._once(jobs)
            except StoreError as error:
                last = error
                if error.kind != "locked" or self.clock.now() - began > WAITED_LONG:
                    raise
        if len(jobs) > 1 or len(jobs[0].signals) > 1:
            raise _ContendedError from last
        raise last

    def _once(self, jobs: Sequence[Job]) -> Outcome:
        with self._work() as work:
            _read_cries_ahead(work, jobs)
            first = next((job for job in jobs if job.receipts), None)
            for job in jobs:
                if job is first:
                    _read_receipts_ahead(work, jobs)
                _run(work, job)
        return work.outcome

    @contextmanager
    def _work(self) -> Iterator[Work]:
        """A table in a transaction of its own; when the block ends all of it is durable, or none."""
        memory = self.means.memory
        try:
            with self.store.write() as tx:
                work = Work(tx, self.clock.now(), self.means)
                memory.refresh(tx.records.revision())
                yield work
                self._finish(work)
        except BaseException:
            memory.forget()
            raise
        work.committed()

    def _finish(self, work: Work) -> None:
        """Write every case that was touched, with its part in the indicators."""
        for file in work.files.values():
            if file.fresh:
                work.tx.cases.save(file.case, file.fresh)
                count(work.tx, work.catalogue, file.case, (entry.kind for entry in file.fresh))
                work.outcome.changed[file.case.id] = file.case.version
                if file.fresh[0].seq == 1:
                    work.outcome.opened.append(file.case.severity)
        note_heard(work)

    def _alone(self, job: Job, error: Exception) -> Outcome:
        if job.call:
            job.error = error
            return Outcome()
        if len(job.signals) > 1:
            parts = [Job(signals=[signal], link=job.link) for signal in job.signals]
            outcome = self._one_after_another(parts)
            job.error = outcome.trouble  # handed in again, what was committed is known as repeated
            job.result = None if job.error else [taken for part in parts for taken in part.result]
            return outcome
        if job.signals:
            return self._rescue(job, job.signals[0], error)
        job.error = error
        return Outcome()

    def _rescue(self, job: Job, signal: Signal, error: Exception) -> Outcome:
        """A signal that our own code stumbled over is kept, shown and, if it is a cry, answered.

        What has failed once may fail again, so each way of answering asks less of the directory.
        """
        reason = f"{type(error).__name__}: {error}"
        for answer in (_answer, _answer_unknown, _only_show):
            try:
                return self._keep(job, signal, reason, answer)
            except StoreError:
                raise
            except Exception:  # noqa: BLE001, S112 -- the next way asks for less
                continue
        return self._keep(job, signal, reason, None)

    def _keep(self, job: Job, signal: Signal, reason: str, answer: Answer | None) -> Outcome:
        with self._work() as work:
            (known,) = work.tx.signals.claim([signal])
            if known is Known.NEW:
                work.tx.quarantine.add(_unprocessed(signal, reason))
                cry = answer is not None and work.catalogue.is_sos(signal.kind)
                scenario = work.catalogue.scenarios.get(FALLBACK) if cry else None
                case_id = answer(work, scenario, signal) if answer and scenario else None
                work.tx.signals.add(signal, case_id)
            case_id = work.tx.signals.case_of(signal.key)
        job.result = [_failed(signal, case_id)]
        work.outcome.taken.extend(job.result)
        return work.outcome

    def tick(self) -> Outcome:
        """Handle what has fallen due by now."""
        if not self._anything_due():
            return Outcome()
        try:
            return self._due(DUE_AT_ONCE, [])
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 -- one deadline that cannot be handled must not hold up the others
            return _joined(self._one_by_one())

    def _anything_due(self) -> bool:
        """A look that costs nothing when there is nothing to do, which is most of the time."""
        now, memory = self.clock.now(), self.means.memory
        if memory.heard and now - memory.heard_written >= HEARD_EVERY:
            return True
        if not self.share.ticks:
            self.next_due = None
            return False
        with self.store.read() as tx:
            self.next_due = tx.deadlines.next_due()
        return self.next_due is not None and self.next_due <= now

    def _due(self, limit: int, claimed: list[Deadline]) -> Outcome:
        with self._work() as work:
            if work.share.ticks:
                claimed += work.tx.deadlines.claim(work.now, limit)
            for deadline in sorted(claimed, key=_by_case):
                _DUE[deadline.kind](work, deadline)
                work.outcome.lateness.append(work.now - deadline.due_at)
            take(work, ())
        return work.outcome

    def _one_by_one(self) -> Iterator[Outcome]:
        """Each deadline by itself, until the one that fails has been found and put off."""
        for _ in range(DUE_AT_ONCE):
            claimed: list[Deadline] = []
            try:
                outcome = self._due(1, claimed)
            except StoreError:
                raise
            except Exception as error:
                if not claimed:
                    raise
                yield self._put_off(claimed[0], f"{type(error).__name__}: {error}")
                return
            if not claimed:
                return
            yield outcome

    def _put_off(self, deadline: Deadline, reason: str) -> Outcome:
        """It is tried again later, and becomes a technical case, as long as that one can be opened."""
        try:
            with self._work() as work:
                _arm_later(work, deadline)
                work.derive("tech.deadline_failed", deadline.key, reason=reason, case=deadline.case_id)
                take(work, ())
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 -- whatever is wrong, the deadline must leave the head of the queue
            with self._work() as work:
                _arm_later(work, deadline)
        return work.outcome

    def owed(self, limit: int = 1_000) -> list[Notice]:
        """Notices that should be on their way by now: after a start, and for another attempt.

        Among several processes they are from now on held by this one.
        """
        name = self.share.name
        if name is None:
            with self.store.read() as tx:
                return tx.notices.waiting(self.clock.now(), limit)
        with self.store.write() as tx:
            return tx.notices.claim(name, self.clock.now(), limit, self.means.memory.alive_since)

    def held(self) -> list[Notice]:
        """What this process holds among others and should be sending.

        That is more than it knows of after a commit of which it never learned that it had succeeded.
        """
        if self.share.name is None:
            return []
        with self.store.read() as tx:
            return tx.notices.held(self.share.name, self.clock.now())


def _by_case(deadline: Deadline) -> tuple[str, Instant, str]:
    """In the order of cases, so that two clock processes never wait for each other in a circle."""
    return (deadline.case_id or "", deadline.due_at, deadline.key)


Answer = Callable[[Work, Scenario, Signal], str]
"""A way to answer a cry; the case."""


def _answer(work: Work, scenario: Scenario, signal: Signal) -> str:
    return open_or_join(work, scenario, look(work, signal))


def _answer_unknown(work: Work, scenario: Scenario, signal: Signal) -> str:
    return open_or_join(work, scenario, unseen(signal))


def _only_show(work: Work, scenario: Scenario, signal: Signal) -> str:
    return show(work, scenario, unseen(signal))


def _failed(signal: Signal, case_id: str | None) -> Taken:
    """An act that failed is refused, so that whoever acted knows; anything else is kept."""
    fate, error = ("refused", ACT_FAILED) if signal.is_act else ("accepted", None)
    return Taken(
        source=signal.source, id=signal.id, fate=fate, case_id=case_id, flags=("failed",), error=error
    )


def _arm_later(work: Work, deadline: Deadline) -> None:
    work.tx.deadlines.arm([msgspec.structs.replace(deadline, due_at=work.now + PUT_OFF)])


def _read_cries_ahead(work: Work, jobs: Sequence[Job]) -> None:
    """Whom many cries are about is read in a few statements rather than in some for each."""
    quiet, is_sos = work.catalogue.quiet, work.catalogue.is_sos
    news = (signal for job in jobs for signal in job.signals if signal.kind not in quiet)
    cries = [signal.subject for signal in news if signal.subject and is_sos(signal.kind)]
    if len(cries) > 1:
        work.directory.read_ahead(cries)


def _read_receipts_ahead(work: Work, jobs: Sequence[Job]) -> None:
    """What many receipts are about is read in two statements rather than in two for each.

    That locks their cases, so it is done in their turn: a cry locks its key first and then its case.
    """
    ids = [receipt.notice_id for job in jobs for receipt in job.receipts]
    if len(ids) > 1:
        work.tx.cases.load([notice.case_id for notice in work.tx.notices.load(ids)])


def _run(work: Work, job: Job) -> None:
    before = len(work.outcome.taken)
    if job.signals:
        work.link = job.link
        take(work, job.signals)
        job.result = work.outcome.taken[before:]
    for receipt in job.receipts:
        _receive(work, receipt)
    if job.call:
        _call(work, job, job.call)


def _call(work: Work, job: Job, change: Callable[[Transaction], Any]) -> None:
    """Any other change; one that is refused is undone alone."""
    try:
        with work.tx.part():
            job.result = change(work.tx)
        work.memory.refresh(work.tx.records.revision())
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 -- it goes to whoever wanted the change
        job.error = error


def _receive(work: Work, receipt: Receipt) -> None:
    notice = work.tx.notices.get(receipt.notice_id)
    file = work.case(notice.case_id) if notice else None
    if notice is None or file is None:
        return
    failed_before = notice.state is NoticeState.FAILED
    notify.receive(work, file, notice, receipt)
    if notice.step == QUESTION and file.case.asked == "waiting":
        ask.heard(work, file, notice, receipt)
    elif receipt.error and not failed_before:
        escalate.unreached(work, file, notice)


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
    """What several transactions led to. StoreError when the first fails; a later one leaves ``trouble``."""
    total, begun = Outcome(), False
    try:
        for outcome in outcomes:
            total.add(outcome)
            begun = True
    except StoreError as error:
        if not begun:
            raise
        total.trouble = error
    return total
