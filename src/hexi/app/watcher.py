"""Counts what the spine and the senders do, for the metrics page."""

from __future__ import annotations

from collections import Counter

from hexi.adapters.metrics import Metrics
from hexi.kernel.clock import SECOND
from hexi.kernel.response import Notice, Receipt
from hexi.spine.work import Outcome

FAILED = "failed"
"""The flag of a signal that could be read and not processed."""


class MetricsWatcher:
    """Feeds the metrics; a ``spine.intake.Watcher``, and what ``Senders.watch`` is given."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def committed(self, jobs: int, seconds: float, outcome: Outcome) -> None:
        """A commit has ended."""
        if jobs:
            self._metrics.committed(seconds, jobs)
        for fate, count in Counter(taken.fate for taken in outcome.taken).items():
            self._metrics.signal(fate, count)
        for _ in (taken for taken in outcome.taken if FAILED in taken.flags):
            self._metrics.quarantined("spine")
        for severity in outcome.opened:
            self._metrics.case_opened(severity)
        for late in outcome.lateness:
            self._metrics.deadline_met(late / SECOND)

    def attempted(self, notice: Notice, receipt: Receipt) -> None:
        """A channel was asked to hand a notice over."""
        if receipt.error:
            self._metrics.notice(notice.way, "failed" if receipt.permanent else "retry")
        else:
            self._metrics.notice(notice.way, "handed", (receipt.at - notice.t0) / SECOND)
