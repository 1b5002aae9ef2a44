"""Hints: what one process tells the others after a commit. Every one of them may be lost without harm."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from hexi.spine.work import Outcome

AT_ONCE = 80
"""Cases or devices in one hint: PostgreSQL carries less than 8,000 bytes."""

MOST = 2_000
"""More changes than this at once are told as "look anew"."""


class Hint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What another process has done."""

    by: str
    changed: dict[str, int] = {}
    """Cases and their new versions."""
    left: bool = False
    """Notices are owed that somebody has to send."""
    silent: tuple[str, ...] = ()
    """Devices reported silent."""
    anew: bool = False
    """Too much to tell: whoever shows something looks anew."""


def hints_of(by: str, outcome: Outcome) -> Iterator[Hint]:
    """What the others should know of a commit, urgent things first."""
    if outcome.left:
        yield Hint(by=by, left=True)
    if len(outcome.changed) + len(outcome.silent) > MOST:
        yield Hint(by=by, anew=True)
        return
    changed = list(outcome.changed.items())
    for start in range(0, len(changed), AT_ONCE):
        yield Hint(by=by, changed=dict(changed[start : start + AT_ONCE]))
    for start in range(0, len(outcome.silent), AT_ONCE):
        yield Hint(by=by, silent=tuple(outcome.silent[start : start + AT_ONCE]))


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Hint)


def write(hint: Hint) -> str:
    """A hint as it travels."""
    return _encoder.encode(hint).decode()


def read(message: str) -> Hint | None:
    """A hint that came; None when it is no hint of ours."""
    try:
        return _decoder.decode(message)
    except msgspec.DecodeError:
        return None
