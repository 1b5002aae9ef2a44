"""Identities for cases and notices: short enough to say on the telephone."""

from __future__ import annotations

from hexi.kernel.clock import LOCAL, Instant, to_datetime
from hexi.kernel.ports import Random

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter that looks like a digit."""


_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def case_id(at: Instant, random: Random) -> str:
    """``261121-7K3Q-F2ZT``: the district's day and 40 random bits."""
    bits = random.getrandbits(40)
    a, b, c, d = (_PAIRS[bits >> shift & 1023] for shift in (30, 20, 10, 0))
    return f"{to_datetime(at, LOCAL):%y%m%d}-{a}{b}-{c}{d}"
