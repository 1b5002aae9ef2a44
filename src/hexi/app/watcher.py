"""Counts what the spine does, for the metrics page."""

from __future__ import annotations

from collections import Counter

from hexi.adapters.metrics import Metrics
from hexi.kernel.clock import SECOND
from hexi.spine.work import Outcome


class MetricsWatcher:
    """A ``spine.intake.Watcher`` that feeds the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def committed(self, jobs: int, seconds: float, outcome: Outcome) -> None:
        """A commit has ended."""
        if jobs:
            self._metrics.committed(seconds, jobs)
        for fate, count in Counter(taken.fate for taken in outcome.taken).items():
            self._metrics.signal(fate, count)
        for severity in outcome.opened:
            self._metrics.case_opened(severity)
        for late in outcome.lateness:
            self._metrics.deadline_met(late / SECOND)
