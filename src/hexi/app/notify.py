"""What systemd is told: that the platform answers, that it lives, that it stops (sd_notify(3))."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping

import structlog

from hexi.kernel.ports import StoreError
from hexi.spine.intake import Intake, OverloadedError

_log = structlog.get_logger("hexi.notify")


def tell(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send one datagram to the socket that systemd names; nothing when there is none."""
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
            end.settimeout(0)
            end.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
    except OSError as error:
        _log.warning("systemd was not told", state=state, error=str(error))


def watchdog_period(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds between signs of life, half of what systemd allows; None when it does not ask for any."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    allowed = int(environ.get("WATCHDOG_USEC", "0"))
    return allowed / 2_000_000 or None


async def announce(intake: Intake, environ: Mapping[str, str] = os.environ) -> None:
    """Say that we are ready, then give signs of life as long as the writing thread really works.

    A writer that hangs is a platform that hangs, whatever else still answers: then systemd restarts us.
    A store that refuses is not: a restart would not mend it, and notices still go out.
    """
    tell("READY=1", environ)
    every = watchdog_period(environ)
    while every:
        try:
            await intake.call(lambda _: None)
        except (StoreError, OverloadedError) as error:
            _log.warning("the writer works, its store does not", error=str(error))
        tell("WATCHDOG=1", environ)
        await asyncio.sleep(every)
