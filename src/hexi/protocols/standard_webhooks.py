"""Signatures of webhooks after the Standard Webhooks specification, made and checked.

Signed is ``id.timestamp.body`` with HMAC-SHA256; the secret is written ``whsec_`` and base64.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping

from hexi.kernel.clock import MINUTE, SECOND, Duration, Instant

ID, TIMESTAMP, SIGNATURE = "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"
TOLERANCE: Duration = 5 * MINUTE
"""How far a sender's clock may be from ours, both ways."""

_PREFIX = "whsec_"
_LEAST_BYTES = 24
"""The specification's 192 bits."""


class BadSignatureError(Exception):
    """A webhook that cannot be trusted; the message says why and holds nothing of the body."""


def read_key(secret: str) -> bytes:
    """The key within ``whsec_...``; ValueError when it is malformed or shorter than 24 bytes."""
    try:
        key = b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a webhook's secret is whsec_ followed by base64") from None
    if not secret.startswith(_PREFIX) or len(key) < _LEAST_BYTES:
        raise ValueError(f"a webhook's secret is {_PREFIX} and the base64 of at least {_LEAST_BYTES} bytes")
    return key


def sign(key: bytes, identity: str, at: Instant, body: bytes) -> dict[str, str]:
    """The three headers of a webhook sent at an instant."""
    stamp = str(at // SECOND)
    return {ID: identity, TIMESTAMP: stamp, SIGNATURE: _signature(key, identity, stamp, body)}


def verify(keys: Iterable[bytes], headers: Mapping[str, str], body: bytes, now: Instant) -> str:
    """Check a webhook against one of several keys and return its id; BadSignatureError otherwise.

    A sender's key is changed by giving the old and the new one for a while.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        identity, stamp, signatures = (given[name.lower()] for name in (ID, TIMESTAMP, SIGNATURE))
    except KeyError as missing:
        raise BadSignatureError(f"the header {missing.args[0]} is missing") from None
    _check_time(stamp, now)
    wanted = [_signature(key, identity, stamp, body).encode() for key in keys]
    # Every pair is compared, so that the time taken says nothing about which one fits.
    fits = [hmac.compare_digest(w, g.encode()) for w in wanted for g in signatures.split()]
    if not any(fits):
        raise BadSignatureError("no signature fits")
    return identity


def _check_time(stamp: str, now: Instant) -> None:
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise BadSignatureError("the timestamp is not whole seconds since 1970")
    if abs(now - int(stamp) * SECOND) > TOLERANCE:
        raise BadSignatureError("the timestamp is more than 5 minutes away")


def _signature(key: bytes, identity: str, stamp: str, body: bytes) -> str:
    content = b".".join((identity.encode("utf-8", "surrogatepass"), stamp.encode(), body))
    # Not hmac.digest, which hands the interpreter to another thread and then waits for it.
    return "v1," + b64encode(hmac.new(key, content, "sha256").digest()).decode()
