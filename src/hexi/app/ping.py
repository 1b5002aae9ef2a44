"""The dead man's handle: somebody outside hears from us while all is well, and alarms when we fall silent."""

from __future__ import annotations

import asyncio

import aiohttp
import structlog

from hexi.adapters.metrics import Metrics
from hexi.app.wellness import trouble
from hexi.kernel.clock import SECOND
from hexi.settings import Watch
from hexi.spine.platform import Platform

_log = structlog.get_logger("hexi.ping")


class Ping:
    """Looks whether all is well, and says so outside; every reason not to is logged and counted."""

    def __init__(self, platform: Platform, watch: Watch, metrics: Metrics) -> None:
        self._platform = platform
        self._watch = watch
        self._metrics = metrics

    async def run(self) -> None:
        """Go on until cancelled; a hanging far side costs its timeout and nothing else."""
        loop = asyncio.get_running_loop()
        limit = aiohttp.ClientTimeout(total=self._watch.timeout / SECOND)
        try:
            async with aiohttp.ClientSession(timeout=limit) as client:
                while True:
                    began = loop.time()
                    await self._round(client)
                    await asyncio.sleep(max(0.0, began + self._watch.every / SECOND - loop.time()))
        finally:
            self._metrics.well(is_well=None)

    async def _round(self, client: aiohttp.ClientSession) -> None:
        wrong = await trouble(self._platform, self._watch.timeout)
        self._metrics.well(is_well=wrong is None)
        if wrong:
            _log.error("not well", why=wrong)
        if not self._watch.ping_url:
            return
        result = "withheld" if wrong else await self._send(client, self._watch.ping_url)
        self._metrics.pinged(result)

    async def _send(self, client: aiohttp.ClientSession, url: str) -> str:
        try:
            async with client.get(url, allow_redirects=False) as answer:
                if answer.status < 300:
                    return "sent"
                _log.warning("ping refused", status=answer.status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            _log.warning("ping failed", error=type(error).__name__)
        return "failed"
