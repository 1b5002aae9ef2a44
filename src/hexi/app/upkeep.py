"""Upkeep: what the running platform does for itself, besides its cases."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from hexi.adapters.clock import DatabaseClock, SystemClock
from hexi.adapters.geo import PlaceIndex, read_index
from hexi.adapters.packs.folder import IN_FORCE, digest, stamp
from hexi.adapters.packs.load import Loaded, reload
from hexi.kernel.clock import SECOND, Instant
from hexi.kernel.ports import StoreError, Transaction
from hexi.settings import Settings
from hexi.spine.platform import Platform

EVERY = 2.0
"""Seconds between rounds."""

STEP_LIMIT = 5 * SECOND
"""A wall clock that jumps further than this is a technical case."""

LOW_DISK = 512 * 1024 * 1024
"""Bytes free below which there is a technical case; commits fail long after."""

REMEMBER_EVERY = 15
"""Rounds between notes of the time."""

LAST_TIME = "clock.last"
FORGET_EVERY = 300
"""Rounds between looks for what is long past."""

Look = Callable[[], Awaitable[None]]

_log = structlog.get_logger("hexi.upkeep")


class Upkeep:
    """The clock, the disk, and what is long past: once for the whole platform."""

    def __init__(self, platform: Platform, loaded: Loaded, settings: Settings) -> None:
        self._platform = platform
        self._settings = settings
        self.loaded = loaded
        self._stamp = stamp(settings.packs)
        self._revision = self._read_revision()
        self._step = 0
        self._low = False
        self._rounds = 0

    async def run(self) -> None:
        """Look after everything until cancelled; one look that fails does not stop the others."""
        while True:
            for look in self._looks():
                await self._guarded(look)
            self._rounds += 1
            await asyncio.sleep(EVERY)

    def _looks(self) -> tuple[Look, ...]:
        return (self._clock, self._disk, self._forget)

    async def _guarded(self, look: Callable[[], Awaitable[None]]) -> None:
        try:
            await look()
        except StoreError as error:
            _log.warning("upkeep has no store", look=look.__name__, error=str(error))
        except Exception:  # noqa: BLE001 -- see run
            _log.exception("upkeep failed", look=look.__name__)

    async def _packs(self) -> None:
        """A changed scenario file is in force at once; a broken one leaves the old one and is shown."""
        if self._rounds == 0:
            await self._say_in_force(self.loaded)
        now = await asyncio.to_thread(stamp, self._settings.packs)
        if now == self._stamp:
            return
        before = self.loaded
        loaded = await asyncio.to_thread(reload, before, self._settings.packs)
        catalogue = loaded.catalogue()
        self._platform.store.use_record_kinds(catalogue.record_kinds)
        self._platform.spine.use(catalogue=catalogue)
        await self._say_in_force(loaded)
        await self._say_broken(before, loaded)
        self._stamp, self.loaded = now, loaded  # only now: a look that fails half-way is made again

    async def _say_broken(self, before: Loaded, loaded: Loaded) -> None:
        """What was well and is not is a technical case, and what is well again clears it."""
        known = {(p.file, p.message.en) for p in before.problems}
        for problem in loaded.problems:
            if (problem.file, problem.message.en) not in known:
                name = Path(problem.file).name
                await self._report("tech.scenario_broken", name, where=problem.where, why=problem.message.en)
        for file in {file for file, _ in known} - {p.file for p in loaded.problems}:
            await self._report("tech.cleared", Path(file).name)

    async def _say_in_force(self, loaded: Loaded) -> None:
        """Let it be known which files we work by; with a broken one among them it is still the former."""
        if not loaded.problems:
            told = await asyncio.to_thread(digest, self._settings.packs)
            await self._platform.intake.call(lambda tx: tx.settings.put(IN_FORCE, told))

    def _read_revision(self) -> int:
        with self._platform.store.read() as tx:
            return tx.records.revision()

    async def _map(self) -> None:
        """New places are in force as soon as their records are."""
        revision = await asyncio.to_thread(self._read_revision)
        if revision != self._revision:
            self._platform.spine.use(locator=await asyncio.to_thread(self._read_map))
            self._revision = revision

    def _read_map(self) -> PlaceIndex:
        with self._platform.store.read() as tx:
            return read_index(tx)

    async def _clock(self) -> None:
        """A step of the wall clock, while we run or while we did not, is a technical case."""
        clock = self._platform.clock
        step = clock.step() if isinstance(clock, SystemClock | DatabaseClock) else 0
        if abs(step - self._step) > STEP_LIMIT:
            await self._report("tech.clock_step", "wall", milliseconds=step - self._step)
            self._step = step
        if self._rounds % REMEMBER_EVERY == 0:
            await self._remember_time(clock.now())

    async def _remember_time(self, now: Instant) -> None:
        """Keep the last time we knew; a start before it means that the clock was set back meanwhile."""
        last = await asyncio.to_thread(self._last_time)
        if self._rounds == 0 and now < last - STEP_LIMIT:
            await self._report("tech.clock_step", "wall", milliseconds=now - last)
        await self._platform.intake.call(lambda tx: tx.settings.put(LAST_TIME, str(now)))

    def _last_time(self) -> Instant:
        with self._platform.store.read() as tx:
            return int(tx.settings.get(LAST_TIME) or 0)

    async def _disk(self) -> None:
        free = shutil.disk_usage(self._settings.data_dir).free
        low = free < LOW_DISK
        if low != self._low:
            await self._report("tech.disk" if low else "tech.cleared", "disk", free=free)
            self._low = low

    async def _forget(self) -> None:
        """Everything long past goes, in transactions small enough that no signal waits for them."""
        if self._rounds % FORGET_EVERY:
            return
        now = self._platform.clock.now()
        horizon = now - self._settings.seen_horizon
        await self._forget_all(lambda tx: tx.signals.forget(horizon))
        await self._forget_all(lambda tx: tx.cases.forget_folds(horizon))
        await self._forget_all(lambda tx: tx.access.forget_sessions(now))

    async def _forget_all(self, forget: Callable[[Transaction], int]) -> None:
        while await self._platform.intake.call(forget):
            pass

    async def _report(self, kind: str, about: str, **data: object) -> None:
        """The platform's own trouble is a signal like any other; of many processes one tells it."""
        if self._platform.spine.share.ticks:
            await self._platform.report(kind, about, **data)


class Renewal(Upkeep):
    """Scenario files and the map: in every process, so that all of them work by the same."""

    def _looks(self) -> tuple[Look, ...]:
        return (self._packs, self._map)
