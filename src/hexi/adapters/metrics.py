"""What the platform counts about itself, for Prometheus.

``Metrics`` has one method for each thing that happens; it knows nothing of the spine, so that the
composition root can hand the methods to whoever calls them. Times are seconds, as Prometheus wants.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""The content type of ``Metrics.exposition``."""

_QUICK = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SLOW = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """Counters, gauges and histograms of one process. Every method may be called from any thread."""

    def __init__(self, version: str = "") -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._make_spine()
        self._make_ways_out()
        self._make_links()
        self._make_watch()
        self._gauge("hexi_build_info", "The running version, as a label.", "version").labels(version).set(1)

    def _make_spine(self) -> None:
        self._signals = self._counter("hexi_signals", "Signals taken, by what became of them.", "fate")
        self._cases = self._counter("hexi_cases_opened", "Cases opened, by severity.", "severity")
        self._commit = self._histogram("hexi_commit_seconds", "Time of one durable commit.", _QUICK)
        self._batch = self._histogram("hexi_commit_batch", "Jobs that went into one commit.", _SIZES)
        self._late = self._histogram(
            "hexi_deadline_lateness_seconds", "How late a deadline was acted on.", _SLOW
        )
        self._quarantined = self._counter(
            "hexi_quarantined", "Messages that could not be decoded, by link.", "link"
        )

    def _make_ways_out(self) -> None:
        self._notices = self._counter("hexi_notices", "Attempts to hand a notice over.", "way", "result")
        self._handover = self._histogram(
            "hexi_notice_handover_seconds", "From owing a notice to its hand-over.", _SLOW
        )
        self._way_down = self._gauge(
            "hexi_way_down", "1 while nothing gets through a way out, as this process sees it.", "way"
        )
        self._waiting = self._gauge("hexi_outbox_waiting", "Notices owed and not yet handed over.")
        self._deadlines = self._gauge("hexi_deadlines_pending", "Deadlines that are armed.")
        self._queue = self._gauge("hexi_intake_queue", "Signals that wait for the next commit.")
        self._listeners = self._gauge("hexi_screens_listening", "Screens that listen for changes.")
        self._processes = self._gauge(
            "hexi_processes", "Living processes that play a role, as this one sees them.", "role"
        )
        self._requests = self._counter("hexi_requests", "Requests answered.", "method", "status")
        self._request = self._histogram("hexi_request_seconds", "Time to answer a request.", _QUICK)

    def _make_links(self) -> None:
        self._received = self._counter("hexi_mqtt_messages", "Messages received from a broker.", "link")
        self._lost = self._counter(
            "hexi_mqtt_lost", "Connections to a broker that ended, and attempts that failed.", "link"
        )
        self._connected = self._gauge("hexi_mqtt_connected", "Connections of a link that listen now.", "link")
        self._unacknowledged = self._gauge(
            "hexi_mqtt_unacknowledged", "Messages received and not yet acknowledged.", "link"
        )

    def _make_watch(self) -> None:
        self._well = self._gauge("hexi_well", "1 while writing, deadlines and notices work, as last looked.")
        self._well.set(math.nan)
        self._pings = self._counter("hexi_pings", "Pings to the outside, by what became of them.", "result")
        told = {
            "disk": ("hexi_disk_free_bytes", "Bytes free in the data folder."),
            "step": ("hexi_clock_step_seconds", "How far the wall clock has moved since the start."),
            "tick": ("hexi_tick_age_seconds", "Since deadlines were last looked at, by a clock process."),
            "overdue": ("hexi_deadline_overdue_seconds", "For how long the oldest deadline has been due."),
            "backup": ("hexi_backup_age_seconds", "Age of the newest backup in watch.backups."),
            "behind": ("hexi_archive_behind_seconds", "How long the oldest hot signal should be archived."),
            "processes": ("hexi_processes_living", "Processes of the installation that are there."),
            "standbys": ("hexi_standbys_living", "Those of them that stand by."),
            "missing": ("hexi_roles_missing", "Roles that no process plays."),
        }
        self._asked = {key: self._gauge(*words) for key, words in told.items()}
        self._ends = self._gauge(
            "hexi_certificate_seconds_left", "Until a certificate of the settings expires.", "setting"
        )

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(name, help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, help_text, buckets=buckets, registry=self.registry)

    def signal(self, fate: str, count: int = 1) -> None:
        """Signals were taken: ``accepted``, ``repeat`` or ``refused``."""
        self._signals.labels(fate).inc(count)

    def case_opened(self, severity: str) -> None:
        """A case was opened."""
        self._cases.labels(severity).inc()

    def committed(self, seconds: float, jobs: int) -> None:
        """One commit has become durable with so many jobs."""
        self._commit.observe(seconds)
        self._batch.observe(jobs)

    def mqtt_received(self, link: str, count: int) -> None:
        """Messages have come from a broker."""
        self._received.labels(link).inc(count)

    def mqtt_connected(self, link: str, connections: int) -> None:
        """So many connections to a broker listen now."""
        self._connected.labels(link).set(connections)

    def mqtt_lost(self, link: str) -> None:
        """A connection to a broker has ended, or could not be made."""
        self._lost.labels(link).inc()

    def mqtt_unacknowledged(self, link: str, messages: int) -> None:
        """So many messages of a broker wait for their commit."""
        self._unacknowledged.labels(link).set(messages)

    def deadline_met(self, late_seconds: float) -> None:
        """A deadline was acted on, so long after it fell due."""
        self._late.observe(max(0.0, late_seconds))

    def quarantined(self, link: str) -> None:
        """A message could not be decoded; a link's name is ours, never the sender's words."""
        self._quarantined.labels(link).inc()

    def notice(self, way: str, result: str, seconds: float | None = None) -> None:
        """One attempt: ``handed``, ``retry`` or ``failed``; with the time since it was owed."""
        self._notices.labels(way, result).inc()
        if seconds is not None:
            self._handover.observe(seconds)

    def way_down(self, way: str, *, down: bool) -> None:
        """Whether nothing gets through a way out."""
        self._way_down.labels(way).set(down)

    def request(self, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method, str(status)).inc()
        self._request.observe(seconds)

    def well(self, *, is_well: bool | None) -> None:
        """The platform has looked whether it is well; None: this process does not look any more."""
        self._well.set(math.nan if is_well is None else is_well)

    def pinged(self, result: str) -> None:
        """A ping was ``sent``, has ``failed``, or was ``withheld`` because something is wrong."""
        self._pings.labels(result).inc()

    def certificate(self, setting: str, seconds_left: Callable[[], float]) -> None:
        """Ask this function when a certificate of the settings ends whenever the metrics are read."""
        self._ends.labels(setting).set_function(seconds_left)

    def ask(self, **questions: Callable[[], float]) -> None:
        """Ask these functions whenever the metrics are read: see ``_make_watch``."""
        for name, question in questions.items():
            self._asked[name].set_function(question)

    def watch(
        self,
        outbox: Callable[[], float] | None = None,
        deadlines: Callable[[], float] | None = None,
        queue: Callable[[], float] | None = None,
        screens: Callable[[], float] | None = None,
    ) -> None:
        """Ask these functions for the present numbers whenever the metrics are read."""
        asked = (
            (self._waiting, outbox),
            (self._deadlines, deadlines),
            (self._queue, queue),
            (self._listeners, screens),
        )
        for gauge, ask in asked:
            if ask:
                gauge.set_function(ask)

    def processes(self, role: str, count: Callable[[], float]) -> None:
        """Ask this function for how many processes play a role."""
        self._processes.labels(role).set_function(count)

    def exposition(self) -> bytes:
        """Everything in the text form that Prometheus reads."""
        return generate_latest(self.registry)

    def described(self) -> dict[str, str]:
        """Name and meaning of every metric of ours."""
        return {
            family.name: family.documentation
            for family in self.registry.collect()
            if family.name.startswith("hexi_")
        }
