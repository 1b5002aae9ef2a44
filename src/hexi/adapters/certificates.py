"""When a certificate ends, read from its file. Only the dates are looked at; nothing is verified."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from hexi.kernel.clock import Instant

_BLOCK = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_UTC_TIME = 0x17
_EXPLICIT_0 = 0xA0
"""The version, which old certificates leave out."""
_BEFORE_VALIDITY = 3
"""Serial number, algorithm and issuer come first (RFC 5280, 4.1)."""


def ends_at(path: Path) -> Instant | None:
    """When the first of a PEM file's certificates to end does so; None when there is none.

    OSError when the file cannot be read, ValueError when a certificate cannot.
    """
    blocks = _BLOCK.findall(path.read_text(encoding="ascii", errors="replace"))
    return min((_not_after(ssl.PEM_cert_to_DER_cert(block)) for block in blocks), default=None)


def _not_after(der: bytes) -> Instant:
    """The end of the validity of one certificate in DER."""
    try:
        [(_, certificate)] = _parts(der)
        _, signed = next(_parts(certificate))
        parts = [part for part in _parts(signed) if part[0] != _EXPLICIT_0]
        _, (tag, end) = _parts(parts[_BEFORE_VALIDITY][1])
    except (ValueError, IndexError, StopIteration) as error:
        raise ValueError("not a certificate") from error
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return int(datetime.strptime(end.decode("ascii"), form).replace(tzinfo=UTC).timestamp() * 1_000)


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element (X.690, 8.1): a length above 127 says how many bytes hold it."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        yield tag, der[at : at + length]
        at += length
