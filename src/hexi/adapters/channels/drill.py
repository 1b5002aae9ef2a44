"""Channels in drill mode: everything runs, and the last step ends at a receiver of our own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from hexi.kernel.clock import Clock
from hexi.kernel.ports import Channel
from hexi.kernel.response import Notice, Receipt, UndeliveredError
from hexi.protocols.standard_webhooks import BadSignatureError, verify

HOST = "127.0.0.1"

Opens = Callable[[], Awaitable[Channel]]
"""Opens the channel that stands for the real one in a drill."""

IsDown = Callable[[Notice], Awaitable[bool]]


class DrillReceiver:
    """Takes what drills send, on a free port of this machine; a webhook's signature is checked as outside.

    It starts with the first notice of a drill and keeps nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: dict[str, bytes] = {}
        self._runner: web.AppRunner | None = None
        self._base = ""
        self._starting = asyncio.Lock()

    async def address(self, way: str, key: bytes | None = None) -> str:
        """Where the notices of a way go; with a key their signature must be right."""
        if key is not None:
            self._keys[way] = key
        async with self._starting:
            if self._runner is None:
                await self._start()
        return f"{self._base}/{way}"

    async def close(self) -> None:
        """Stop listening."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_post("/{way}", self._receive)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._base = f"http://{host}:{port}"

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        key = self._keys.get(request.match_info["way"])
        if key is not None:
            try:
                verify([key], request.headers, body, self._clock.now())
            except BadSignatureError as error:
                return web.json_response({"error": str(error)}, status=401)
        return web.json_response({"received": len(body)})


class DrillChannel:
    """Before a real channel: what is real passes, an exercise goes where it should.

    With ``instead`` the notices of drills go there; without, they go to the real people. A way that the
    drill plays as down takes none of them either way.
    """

    def __init__(self, inner: Channel, down: IsDown, instead: Opens | None = None) -> None:
        self._inner = inner
        self._down = down
        self._instead = instead

    async def send(self, notice: Notice, link: str | None) -> Receipt:
        """Hand a notice over; the receipt of one that went nowhere else says so."""
        if not notice.drill:
            return await self._inner.send(notice, link)
        if await self._down(notice):
            raise UndeliveredError("the drill plays this way as down", evidence={"drill": "down"})
        if self._instead is None:
            return await self._inner.send(notice, link)
        receipt = await (await self._instead()).send(notice, link)
        return msgspec.structs.replace(receipt, evidence=receipt.evidence | {"drill": "sink"})

    async def close(self) -> None:
        """Close the real channel; whatever stood for it belongs to whoever opened it."""
        close = getattr(self._inner, "close", None)
        if close:
            await close()
