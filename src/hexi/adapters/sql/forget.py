"""Dropping what is long past, a little at a time."""

from __future__ import annotations

from sqlalchemy import Delete

from hexi.adapters.sql.work import Work
from hexi.kernel.clock import Instant

AT_ONCE = 20_000
"""Rows one transaction drops at most, so that no writer waits long for it."""
CHUNK = 5_000
"""Rows one statement drops at most."""


def forget(work: Work, statement: Delete, before: Instant) -> int:
    """Repeat a statement that drops up to ``CHUNK`` rows ``before`` an instant; how many it dropped."""
    dropped = 0
    while dropped < AT_ONCE:
        chunk = work.write(statement, before=before).rowcount
        dropped += chunk
        if chunk < CHUNK:
            break
    return dropped
