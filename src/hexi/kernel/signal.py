"""A signal: one thing that happened, told by a device, a person or the clock."""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b
from typing import Any

import msgspec

from hexi.kernel.clock import Instant

ACT_PREFIX = "act."
TECH_PREFIX = "tech."
"""What the platform says of itself: whoever else could say it might clear the case of a dead link."""

DRILL_SOURCE = "drill:"
"""What the source of a drill's signals begins with; the drill's id follows."""


class Flag(StrEnum):
    """A doubt about a signal that was accepted all the same."""

    UNKNOWN_PERSON = "unknown_person"
    UNKNOWN_DEVICE = "unknown_device"
    UNKNOWN_KIND = "unknown_kind"
    CLOCK_WRONG = "clock_wrong"
    ID_REUSED = "id_reused"
    CONDITION_FAILED = "condition_failed"
    DRILL = "drill"


class Lane(StrEnum):
    """The queue a signal travels in; SOS overtakes everything."""

    SOS = "sos"
    ACT = "act"
    BULK = "bulk"


class Signal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One accepted signal.

    ``source`` and ``id`` together are its identity (CloudEvents 1.0). ``time`` is the sender's
    clock, ``received`` ours; deadlines run from ``received``. ``subject`` names a record as
    ``"person:E00001"``, ``"device:D00001"`` or ``"case:..."`` for an act.
    """

    id: str
    source: str
    kind: str
    received: Instant
    time: Instant | None = None
    subject: str | None = None
    data: dict[str, Any] = {}
    flags: tuple[str, ...] = ()

    @property
    def is_act(self) -> bool:
        """Whether a person did this to a case."""
        return self.kind.startswith(ACT_PREFIX)

    @property
    def is_technical(self) -> bool:
        """Whether the platform speaks of itself."""
        return self.kind.startswith(TECH_PREFIX)

    @property
    def key(self) -> tuple[str, str]:
        """The identity under which a repeat is recognised."""
        return (self.source, self.id)

    def flagged(self, *flags: str) -> Signal:
        """The same signal with further doubts noted."""
        added = tuple(flag for flag in flags if flag not in self.flags)
        return msgspec.structs.replace(self, flags=self.flags + added) if added else self


_encode = msgspec.json.Encoder(order="deterministic").encode


def encode_data(data: dict[str, Any]) -> bytes:
    """The data as JSON with its keys in order, so that equal data give equal bytes."""
    return _encode(data)


def digest_of(signal: Signal, data: bytes) -> int:
    """The ``digest`` of a signal whose data are encoded already.

    A drill under the identity of something real is another matter, lest the real thing be its repeat.
    """
    said = f"{signal.kind}\n{signal.subject}\n{signal.time}\n".encode() + data
    if signal.flags and Flag.DRILL in signal.flags:
        said += b"\ndrill"
    return int.from_bytes(blake2b(said, digest_size=8).digest(), "big", signed=True)


def digest(signal: Signal) -> int:
    """A signed 64-bit fingerprint of what the sender said, to notice a reused id."""
    return digest_of(signal, encode_data(signal.data))


def is_sos_kind(kind: str) -> bool:
    """Whether a kind is a cry for help by its name, known to a scenario or not."""
    return f".{kind.lower()}".endswith(".sos")
