"""Door codes: what is printed at a home or on a device, and what a scan of it proves.

A code does not expire, for it hangs on a wall for years; it is withdrawn by renewing it, which counts
its number up. A pass is what the bearer of an answer link shows at a door.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TypeVar

import msgspec
from itsdangerous import BadData, URLSafeSerializer

from hexi.kernel.clock import HOUR, Duration, Instant
from hexi.kernel.ports import Transaction
from hexi.spine.links import BadLinkError, LinkClaim

PASS_LIFE: Duration = 4 * HOUR
"""How long after opening an answer link its bearer can prove an arrival."""

KINDS = ("person", "device")
"""Records that can have a code."""


_T = TypeVar("_T")


class DoorClaim(msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """What a scanned code says: it hangs at ``person:E1``, and which printing it is."""

    ref: str
    number: int


class DoorCodes:
    """Signs door codes and passes and reads them back; neither can stand for the other or for a link."""

    def __init__(self, secret: str, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._codes, self._passes = _serializer(secret, "hexi.door"), _serializer(secret, "hexi.pass")

    def sign(self, ref: str, number: int) -> str:
        """The address that the code at a record's door holds."""
        return f"{self._base_url}/q/{_text(self._codes.dumps([ref, number]))}"

    def read(self, token: str) -> DoorClaim:
        """What a token claims; BadLinkError when it was not made here."""
        return _read(self._codes, token, DoorClaim)

    def make_pass(self, claim: LinkClaim, now: Instant) -> str:
        """A pass for the bearer of an answer link; never good for longer than the link."""
        short = msgspec.structs.replace(claim, expires=min(claim.expires, now + PASS_LIFE))
        return _text(self._passes.dumps(msgspec.to_builtins(short)))

    def read_pass(self, token: str, now: Instant) -> LinkClaim:
        """Whose pass it is; BadLinkError when it was not made here or its time is over."""
        claim = _read(self._passes, token, LinkClaim)
        if now >= claim.expires:
            raise BadLinkError("expired")
        return claim


def number_of(tx: Transaction, ref: str) -> int:
    """The number of the code that counts at a record's door."""
    return int(tx.settings.get(_name(ref)) or 1)


def renew(tx: Transaction, ref: str) -> int:
    """Withdraw every code printed so far; returns the number of the new one."""
    number = number_of(tx, ref) + 1
    tx.settings.put(_name(ref), str(number))
    return number


def _name(ref: str) -> str:
    return f"door.{ref}"


def _serializer(secret: str, salt: str) -> URLSafeSerializer:
    signer = {"digest_method": sha256, "key_derivation": "hmac"}
    return URLSafeSerializer(secret, salt=salt, signer_kwargs=signer)


def _text(token: str | bytes) -> str:
    return token if isinstance(token, str) else token.decode()


def _read(serializer: URLSafeSerializer, token: str, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(serializer.loads(token), kind)
    except (BadData, msgspec.ValidationError, ValueError):
        raise BadLinkError("forged") from None
