"""Is all well? What has to hold so that a cry that comes now is answered."""

from __future__ import annotations

import asyncio

from hexi.kernel.clock import MINUTE, SECOND, Duration
from hexi.kernel.ports import StoreError
from hexi.spine.intake import OverloadedError
from hexi.spine.platform import Platform

LATE = 10 * SECOND
"""A deadline that has been due for so long is not being watched by anybody."""

OWED = MINUTE
"""A notice that should have gone out so long ago is not being sent by anybody."""

LAST_WELL = "watch.last"
"""Where the store keeps when it was last asked; writing it is the question."""


async def trouble(platform: Platform, patience: Duration) -> str | None:
    """What is not well, in a few words; None when a write was committed and nothing is late."""
    try:
        async with asyncio.timeout(patience / SECOND):
            now = platform.clock.now()
            await platform.intake.call(lambda tx: tx.settings.put(LAST_WELL, str(now)))
            return _not_watching(platform) or await asyncio.to_thread(_what_is_late, platform)
    except TimeoutError:
        return "the store did not answer in time"
    except StoreError as error:
        return f"the store is {error.kind}"
    except OverloadedError as error:
        return str(error)


def _not_watching(platform: Platform) -> str | None:
    ticked = platform.intake.last_tick
    if ticked is None or platform.clock.now() - ticked > LATE:
        return "deadlines are not watched"
    return None


def _what_is_late(platform: Platform) -> str | None:
    now = platform.clock.now()
    with platform.store.read() as tx:
        due = tx.deadlines.next_due()
        if due is not None and due < now - LATE:
            return "deadlines are overdue"
        if tx.notices.waiting(now - OWED, 1):
            return "notices are owed and not sent"
    return None
