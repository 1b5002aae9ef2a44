"""Uplinks: the links over which devices are heard, and what silence means while one is down.

The state of a link stands in the store, written by the process that holds it and read by the one that
looks after deadlines. A dead broker is one case; the devices behind it are not silent, they are unheard.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from hexi.kernel.clock import SECOND, Duration, Instant
from hexi.kernel.ports import Transaction
from hexi.kernel.process import in_step
from hexi.spine.work import Work

BEAT: Duration = 5 * SECOND
"""How often whoever holds a link says so."""

LEFT_AFTER: Duration = 15 * SECOND
"""A link whose holder has said nothing for so long is heard by nobody."""

ALONE = "alone"
"""The holder's name when there is only one process: after a crash it goes on at once."""

_LINKS = "uplinks"
_encode = msgspec.json.encode


class Uplink(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one link. ``since`` is when it last went up or down, ``why`` what it says when down."""

    holder: str
    beat: Instant
    up: bool
    since: Instant
    why: str = ""

    def held(self, now: Instant) -> bool:
        """Whether somebody looks after it."""
        return self.beat > now - LEFT_AFTER


def declare(tx: Transaction, names: Iterable[str]) -> None:
    """These are the links of the installation; a device last heard over any other waits for none."""
    said = ",".join(sorted(names))
    if tx.settings.get(_LINKS) != said:
        tx.settings.put(_LINKS, said)


def read(tx: Transaction, name: str) -> Uplink | None:
    """What is known of a link; None when it is none of the installation's, or was never held."""
    said = tx.settings.get(f"uplink/{name}")
    if said is None or name not in (tx.settings.get(_LINKS) or "").split(","):
        return None
    return msgspec.json.decode(said, type=Uplink)


def is_free(tx: Transaction, state: Uplink | None, holder: str, now: Instant) -> bool:
    """Whether a process may hold a link: it does already, or no process that lives does."""
    if state is None or state.holder == holder or not state.held(now):
        return True
    return all(p.id != state.holder for p in in_step(tx.processes.all()))


def hold(tx: Transaction, name: str, wanted: Uplink) -> Uplink:
    """Take or keep a link; what stands now, which is another's when that one holds it."""
    before = read(tx, name)
    now = wanted.beat
    if before and not is_free(tx, before, wanted.holder, now):
        return before
    goes_on = before is not None and before.up is wanted.up and before.held(now)
    after = msgspec.structs.replace(wanted, since=before.since if before and goes_on else now)
    tx.settings.put(f"uplink/{name}", _encode(after).decode())
    return after


def let_go(tx: Transaction, name: str, holder: str, now: Instant) -> None:
    """The holder stops in peace: another may take the link at once."""
    state = read(tx, name)
    if state and state.holder == holder:
        left = msgspec.structs.replace(state, beat=now - LEFT_AFTER)
        tx.settings.put(f"uplink/{name}", _encode(left).decode())


def is_unheard(work: Work, name: str | None) -> bool:
    """Whether nothing can be heard over a link now, so that silence says nothing about its devices."""
    state = read(work.tx, name) if name else None
    return state is not None and not (state.up and state.held(work.now))


def heard_since(work: Work, name: str | None) -> Instant:
    """Since when a link that is up can be heard; 0 without a link."""
    state = read(work.tx, name) if name else None
    return state.since if state and state.up else 0
