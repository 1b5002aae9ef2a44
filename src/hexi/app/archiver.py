"""The archiver: signals that have left the hot window move to the archive while the platform runs."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Event

import structlog

from hexi.adapters.archive.plan import NotOursError, Plan, Report
from hexi.kernel.archive import FileState
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import Duration
from hexi.kernel.ports import StoreError
from hexi.settings import Settings
from hexi.spine.intake import OverloadedError
from hexi.spine.platform import Platform

EVERY = 60.0
"""Seconds between rounds; most find nothing to do."""
ABOUT = "archive"

_log = structlog.get_logger("hexi.archive")


def counted_kinds(catalogue: Catalogue) -> dict[str, Duration]:
    """The kinds of which a scenario counts how often they came, and within how long at most."""
    counted: dict[str, Duration] = {}
    for scenario in catalogue.scenarios.values():
        rule = scenario.signal.at_least
        for kind in scenario.kinds() if rule else ():
            counted[kind] = max(counted.get(kind, 0), rule.within if rule else 0)
    return counted


def plan_of(platform: Platform, settings: Settings, stop: Event) -> Plan:
    """What a round needs to know, with the scenarios that are in force now."""
    return Plan(
        store=platform.store,
        folder=settings.archive_dir,
        settings=settings.archive,
        clock=platform.clock,
        horizon=settings.seen_horizon,
        counted=counted_kinds(platform.spine.catalogue),
        stop=stop,
    )


def _work(plan: Plan) -> Report:
    if plan.is_idle():
        return Report()
    from hexi.adapters.archive.work import work  # noqa: PLC0415 -- 50 MB that a young installation does not need

    return work(plan)


def _damaged(platform: Platform) -> list[str]:
    """The files that are recorded as damaged."""
    with platform.store.read() as tx:
        return [file.name for file in tx.archive.files() if file.state is FileState.DAMAGED]


class Archiver:
    """One round after another; trouble is a technical case, and what is over is cleared."""

    def __init__(self, platform: Platform, settings: Settings) -> None:
        self._platform = platform
        self._settings = settings
        self._stopped = False
        self._all_told = False
        """Whether everybody knows what is recorded as damaged: it is recorded first, and told afterwards."""
        self._stop = Event()

    async def run(self) -> None:
        """Work until cancelled; a round that fails is tried again at the next."""
        self._stop = Event()  # a standby may play again, while a step of its last time still ends
        while True:
            try:
                await self.round()
            except NotOursError:
                _log.debug("another process works on the archive")
            except StoreError as error:
                _log.warning("the archive waits for the store", why=error.kind)
            except Exception as error:  # noqa: BLE001 -- the next round tries again
                _log.exception("the archive could not be worked on")
                with suppress(StoreError, OverloadedError):
                    await self._tell_stopped(type(error).__name__)
            await asyncio.sleep(EVERY)

    async def round(self) -> None:
        """One round in a thread; when cancelled, its present step ends first."""
        plan = plan_of(self._platform, self._settings, self._stop)
        told, self._all_told = self._all_told, False
        thread = asyncio.ensure_future(asyncio.to_thread(_work, plan))
        try:
            report = await asyncio.shield(thread)
        except asyncio.CancelledError:
            self._stop.set()
            await asyncio.wait([thread])
            raise
        if report.moved or report.gone:
            _log.info("archived", signals=report.moved, files=report.written, gone=report.gone)
        if report.unknown:
            _log.warning(
                "files that nothing records hold signals that are nowhere else", files=report.unknown
            )
        if not told:
            report.damaged = sorted({*report.damaged, *await asyncio.to_thread(_damaged, self._platform)})
        await self._tell_files(report)
        self._all_told = True
        if report.stopped:
            await self._tell_stopped(report.stopped)
        elif self._stopped:
            await self._platform.report("tech.cleared", ABOUT)
            self._stopped = False

    async def _tell_stopped(self, why: str) -> None:
        if not self._stopped:
            await self._platform.report("tech.archive_failed", ABOUT, why=why)
            self._stopped = True

    async def _tell_files(self, report: Report) -> None:
        for name in report.damaged:
            await self._platform.report("tech.archive_damaged", name, file=name)
        for name in report.repaired:
            await self._platform.report("tech.cleared", name)
