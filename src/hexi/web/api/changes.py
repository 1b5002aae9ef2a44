"""Changes as server-sent events: which case has which version, right after the commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar import get
from litestar.response import Stream

from hexi.connectors.problem import ProblemError
from hexi.kernel.text import Text
from hexi.spine.hub import Change, Hub
from hexi.web.access.guards import Call, may, platform_of
from hexi.web.access.permissions import Permission

HEARTBEAT = 15.0
"""Seconds of silence after which a comment shows both ends that the line is alive."""


@get("/changes", guards=may(Permission.CASE_SEE), media_type="text/event-stream", summary="Live changes")
async def changes(request: Call) -> Stream:
    """An event ``change`` with ``{"case", "version"}`` for every changed case; references only, no names."""
    hub, most = platform_of(request).hub, request.app.state.settings.limits.screens
    if hub.listeners >= most:
        detail = Text(zh=f"已有 {most} 个屏幕在听", en=f"{most} screens are listening already")
        raise ProblemError("unavailable", detail, headers={"retry-after": "10"})
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(_lines(hub), media_type="text/event-stream", headers=headers)


async def _lines(hub: Hub) -> AsyncIterator[bytes]:
    """Never waits longer than a heartbeat; ends when the hub sends a slow listener away."""
    source = aiter(hub.listen())
    coming = asyncio.ensure_future(anext(source, None))
    yield b"retry: 2000\n\n"
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=HEARTBEAT)
            if not done:
                yield b": still here\n\n"
                continue
            change = coming.result()
            if change is None:
                return
            coming = asyncio.ensure_future(anext(source, None))
            yield _event(change)
    finally:
        coming.cancel()


def _event(change: Change) -> bytes:
    return f'event: change\ndata: {{"case":"{change.case_id}","version":{change.version}}}\n\n'.encode()


ROUTES: list[Any] = [changes]
