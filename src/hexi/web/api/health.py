"""Whether the platform lives, is ready, and how it fares."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Response, get
from litestar.enums import MediaType

from hexi.kernel.clock import SECOND
from hexi.kernel.ports import StoreError
from hexi.spine.platform import Platform
from hexi.web.access.guards import Call, platform_of

STALE = 10 * SECOND
"""A watcher of deadlines that has not looked for so long is not ready."""


@get("/healthz", media_type=MediaType.TEXT, include_in_schema=False)
async def healthz() -> str:
    """The process answers."""
    return "ok"


@get("/readyz", media_type=MediaType.TEXT, include_in_schema=False)
async def readyz(request: Call) -> Response[str]:
    """The store can be read, and deadlines are being watched."""
    platform = platform_of(request)
    reason = await asyncio.to_thread(_trouble, platform)
    return Response(reason or "ready", status_code=503 if reason else 200, media_type=MediaType.TEXT)


def _trouble(platform: Platform) -> str | None:
    try:
        with platform.store.read() as tx:
            tx.records.revision()
    except StoreError as error:
        return f"store {error.kind}"
    ticked = platform.intake.last_tick
    if ticked is None or platform.clock.now() - ticked > STALE:
        return "deadlines are not watched"
    if platform.spine.share.rests:
        return "stands by"
    return None


@get("/metrics", media_type=MediaType.TEXT, include_in_schema=False)
async def metrics(request: Call) -> Response[bytes]:
    """Prometheus metrics; from this machine, or with credentials."""
    exposition = request.app.state.exposition
    shown = await asyncio.to_thread(exposition) if exposition else b""
    return Response(shown, media_type="text/plain; version=0.0.4; charset=utf-8")


ROUTES: list[Any] = [healthz, readyz, metrics]
