"""Signals that came in, and quarantine: what could not be decoded."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from hexi.connectors.http import SIGNAL, decode_quarantined
from hexi.connectors.problem import FieldFault, ProblemError
from hexi.kernel.ports import Quarantined, Transaction
from hexi.kernel.record import split_ref
from hexi.kernel.signal import Signal
from hexi.kernel.text import Text
from hexi.protocols.cloudevents import (
    Malformed,
    TooManyEventsError,
    UndecodableError,
    UnsupportedTypeError,
)
from hexi.spine.work import Taken
from hexi.web.access.guards import Call, caller_in, may, platform_of
from hexi.web.access.looks import lies_within, look
from hexi.web.access.permissions import Caller, Permission
from hexi.web.api.cases import Name
from hexi.web.api.common import Limit, Offset


class SignalRow(msgspec.Struct, kw_only=True):
    """A signal with the case it went to."""

    signal: Signal
    case: str | None


@get("/signals", guards=may(Permission.SIGNAL_SEE), summary="The latest signals")
async def list_signals(request: Call, subject: Name = None, limit: Limit = 50) -> list[SignalRow]:
    """The latest signals of one subject or of all, newest first."""
    platform, caller = platform_of(request), caller_in(request)

    def read() -> list[SignalRow]:
        with platform.store.read() as tx:
            rows = tx.signals.recent(subject, limit)
            return [SignalRow(signal=s, case=c) for s, c in rows if _within(tx, s, caller)]

    found = await asyncio.to_thread(read)
    await look(platform, caller, subject or "signal:*", f"signals, {len(found)}")
    return found


@get("/signals/unmatched", guards=may(Permission.SIGNAL_SEE), sync_to_thread=True, summary="Unknown signals")
def list_unmatched(request: Call, limit: Limit = 50) -> list[Signal]:
    """The latest signals of unknown kinds, persons or devices."""
    caller = caller_in(request)
    with platform_of(request).store.read() as tx:
        return [signal for signal in tx.signals.unmatched(limit) if _within(tx, signal, caller)]


def _within(tx: Transaction, signal: Signal, caller: Caller) -> bool:
    if caller.place is None:
        return True
    try:
        kind, identity = split_ref(signal.subject or "")
    except ValueError:
        return False
    record = tx.records.get(kind, identity)
    return record is not None and lies_within(tx, record, caller)


class QuarantineRow(msgspec.Struct, kw_only=True):
    """One of the messages that could not be decoded, without its bytes."""

    id: int
    received: int
    link: str
    content_type: str
    reason: str
    bytes: int
    replayed_at: int | None


def _row(item: Quarantined) -> QuarantineRow:
    return QuarantineRow(
        id=item.id,
        received=item.received,
        link=item.link,
        content_type=item.content_type,
        reason=item.reason,
        bytes=len(item.raw),
        replayed_at=item.replayed_at,
    )


@get("/quarantine", guards=may(Permission.QUARANTINE_SEE), sync_to_thread=True, summary="Quarantine")
def list_quarantine(request: Call, limit: Limit = 50, offset: Offset = 0) -> list[QuarantineRow]:
    """What could not be decoded, the latest first."""
    with platform_of(request).store.read() as tx:
        return [_row(item) for item in tx.quarantine.find(limit, offset)]


def _get(request: Call, number: int) -> Quarantined:
    with platform_of(request).store.read() as tx:
        item = tx.quarantine.get(number)
    if item is None:
        raise ProblemError("not-found")
    return item


@get(
    "/quarantine/{number:int}/raw",
    guards=may(Permission.QUARANTINE_SEE),
    media_type="application/octet-stream",
    summary="The bytes of one",
)
async def get_raw(request: Call, number: FromPath[int]) -> Response[bytes]:
    """The bytes as they came. The look is logged: they may hold personal data."""
    item = await asyncio.to_thread(_get, request, number)
    await look(platform_of(request), caller_in(request), f"quarantine:{number}", "raw")
    headers = {"content-disposition": f'attachment; filename="quarantine-{number}.bin"'}
    return Response(item.raw, headers=headers, media_type="application/octet-stream")


class Replayed(msgspec.Struct, kw_only=True):
    """What became of the signals of a replayed message."""

    results: list[Taken]


@post(
    "/quarantine/{number:int}/replay",
    guards=may(Permission.QUARANTINE_SEE, Permission.SIGNAL_SEND),
    status_code=200,
    summary="Try one again",
)
async def replay(request: Call, number: FromPath[int]) -> Replayed:
    """Decode again and take it, if it can be read now; a problem ``invalid`` says why it still cannot."""
    platform = platform_of(request)
    item = await asyncio.to_thread(_get, request, number)
    taken = await platform.intake.submit(_readable(item, platform.clock.now()))

    def mark(tx: Transaction) -> None:
        tx.quarantine.mark_replayed(number, platform.clock.now())

    await platform.intake.call(mark)
    return Replayed(results=taken)


def _readable(item: Quarantined, now: int) -> list[Signal]:
    if item.content_type == SIGNAL:
        kept = msgspec.json.decode(item.raw, type=Signal)
        return [msgspec.structs.replace(kept, id=f"{kept.id}#replay-{item.id}")]
    try:
        items = decode_quarantined(item, now)
    except UndecodableError as error:
        raise ProblemError("invalid", error.reason) from error
    except (UnsupportedTypeError, TooManyEventsError) as error:
        raise ProblemError("invalid", Text(zh=item.reason, en=item.reason)) from error
    bad = [part for part in items if isinstance(part, Malformed)]
    acts = [part for part in items if isinstance(part, Signal) and part.is_act]
    if bad or acts:
        faults = [FieldFault(f"/{part.field}", part.reason) for part in bad]
        raise ProblemError("invalid", _NOT_YET, errors=faults)
    return [part for part in items if isinstance(part, Signal)]


_NOT_YET = Text(zh="仍然无法读取", en="it still cannot be read")

ROUTES: list[Any] = [list_signals, list_unmatched, list_quarantine, get_raw, replay]
