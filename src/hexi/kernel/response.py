"""Notices to people and the receipts that come back."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from hexi.kernel.case import Rung
from hexi.kernel.clock import Duration, Instant
from hexi.kernel.signal import Lane

RETRY_AFTER: tuple[Duration, ...] = (2_000, 5_000, 15_000, 45_000)
"""Waits before the second, third ... attempt; when they are used up the notice has failed."""


class NoticeState(StrEnum):
    """Where a notice stands in the outbox."""

    WAITING = "waiting"
    HANDED = "handed"
    FAILED = "failed"
    DROPPED = "dropped"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one person by one way. ``id`` is its idempotency key for ever."""

    id: str
    case_id: str
    step: str
    role: str
    recipient: str
    name: str
    way: str
    address: str
    text: str
    language: str
    t0: Instant
    lane: Lane = Lane.BULK
    replies: dict[str, str] = {}
    else_by: tuple[str, ...] = ()
    drill: bool = False
    state: NoticeState = NoticeState.WAITING
    attempts: int = 0
    next_at: Instant = 0
    error: str | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a notice: a rung climbed, or an attempt that failed."""

    notice_id: str
    at: Instant
    rung: Rung | None = None
    error: str | None = None
    permanent: bool = False
    evidence: dict[str, Any] = {}


class UndeliveredError(Exception):
    """A channel could not hand a notice over. ``permanent``: trying again cannot help.

    The reason goes to the case log: no names, addresses or numbers in it.
    """

    def __init__(
        self, reason: str, *, permanent: bool = False, evidence: dict[str, Any] | None = None
    ) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.evidence = evidence or {}
