"""Serve: the site on its address until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable
from functools import partial

import uvicorn

from hexi.app.compose import App
from hexi.app.memory import leave_what_is_loaded
from hexi.app.notify import announce, tell
from hexi.app.protocol import BoundedProtocol, Bounds
from hexi.app.roles import Role
from hexi.web.site import Doors, build_site

GRACE = 10
"""Seconds that open requests are given when the platform stops."""

Ready = Callable[[str], Awaitable[None]]


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then let it be known."""
        await super().startup(sockets)
        self.up.set()


async def serve(app: App, ready: Ready) -> None:
    """Start, call ``ready`` with the address once it answers, and go on until SIGINT or SIGTERM."""
    settings = app.settings
    doors = Doors(people=Role.WEB in app.roles, signals=Role.INTAKE in app.roles)
    site = build_site(app.platform, settings, app.metrics, doors)
    connections = None if settings.tls_proxy else settings.limits.connections
    server = _Server(
        uvicorn.Config(
            site,
            host=settings.listen.host,
            port=settings.listen.port,
            ssl_certfile=settings.listen.tls_cert,
            ssl_keyfile=settings.listen.tls_key,
            loop="uvloop",
            http=partial(BoundedProtocol, Bounds(connections)),  # type: ignore[arg-type]
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=2_048,
            limit_concurrency=settings.limits.screens + 1_000,
            timeout_graceful_shutdown=GRACE,
            proxy_headers=settings.tls_proxy,
            ws="none",
        )
    )
    await app.start()
    try:
        await _run(server, ready, app)
    finally:
        await app.stop()


async def _run(server: _Server, ready: Ready, app: App) -> None:
    """Until a signal comes: then screens are let go first, since their streams would hold the server."""
    serving = asyncio.create_task(server._serve())  # noqa: SLF001 -- serve() would take the signals from us
    up = asyncio.create_task(server.up.wait())
    await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        leave_what_is_loaded()
        await ready(_address(server, app))
        alive = asyncio.create_task(announce(app.platform.intake))
        await _until_told(serving)
        alive.cancel()
        tell("STOPPING=1")
        app.platform.hub.close()
        server.should_exit = True
    up.cancel()
    await serving


async def _until_told(serving: asyncio.Task[None]) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _address(server: uvicorn.Server, app: App) -> str:
    if app.settings.base_url:
        return app.settings.address
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    scheme = "https" if app.settings.listen.tls_cert else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
