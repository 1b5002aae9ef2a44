"""Identities for cases and notices: short enough to say on the telephone."""

from __future__ import annotations

from hexi.kernel.clock import LOCAL, Instant, to_datetime
from hexi.kernel.ports import Random

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter that looks like a digit."""


def _letters(random: Random, count: int) -> str:
    bits = random.getrandbits(5 * count)
    return "".join(_ALPHABET[(bits >> (5 * i)) & 31] for i in range(count))


def case_id(at: Instant, random: Random) -> str:
    """``261121-7K3Q-F2ZT``: the district's day and 40 random bits."""
    return f"{to_datetime(at, LOCAL):%y%m%d}-{_letters(random, 4)}-{_letters(random, 4)}"
