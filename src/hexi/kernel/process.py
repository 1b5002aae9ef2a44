"""The processes of one installation: who is there, and who plays which role."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import msgspec

from hexi.kernel.clock import SECOND, Duration, Instant

BEAT: Duration = 300
"""Time between the heartbeats of a process."""

DEAD_AFTER: Duration = 1_500
"""A process not seen for so long is dead: its notices are taken over, a standby plays its roles."""

DEAF_AFTER: Duration = 10 * SECOND
"""A gap in which no process took signals is an outage when it is longer than this: silence counts anew."""

GIVE_BACK_AFTER: Duration = 5 * SECOND
"""How long the others must have covered a standby's roles before it rests again."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One running process. Instants are the database's time."""

    id: str
    host: str
    pid: int
    roles: tuple[str, ...]
    """What it is there for."""
    playing: tuple[str, ...]
    """What it does now: its roles, unless it stands by."""
    standby: bool = False
    version: str = ""
    secret: str = ""
    """A fingerprint of the secret it signs with."""
    address: str = ""
    started: Instant
    seen_at: Instant
    hears_since: Instant = 0
    """Since when signals have been taken without a gap, as this process knows it; 0: it takes none."""

    def alive(self, now: Instant) -> bool:
        """Whether its last heartbeat is fresh."""
        return self.seen_at > now - DEAD_AFTER


class Processes(Protocol):
    """The port: every process keeps its own row."""

    def put(self, process: Process) -> None:
        """Store a heartbeat."""
        ...

    def all(self) -> list[Process]:
        """Everyone who has not left, the dead included, in the order they started."""
        ...

    def leave(self, identity: str) -> None:
        """A process has ended in peace: what it held is free."""
        ...

    def forget(self, seen_before: Instant) -> int:
        """Drop those that died long ago; says how many."""
        ...


def living(processes: Iterable[Process], now: Instant, but: str = "") -> list[Process]:
    """Those that live, except one."""
    return [p for p in processes if p.id != but and p.alive(now)]


def in_step(processes: Sequence[Process]) -> list[Process]:
    """Those whose heartbeat keeps up with the latest one, whatever clock the asker reads.

    The asker's own row is one of them, so that one who is left over alone is not taken for living.
    """
    latest = max((p.seen_at for p in processes), default=0)
    return [p for p in processes if p.alive(latest)]


class Sight:
    """Who lives, judged by whether heartbeats change: a clock that is set makes nobody dead or alive.

    ``elapsed`` is the looking process's own steady time in milliseconds.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Instant, Instant]] = {}
        """Each one's last heartbeat as it wrote it, and the steady time at which that was fresh."""

    def look(self, processes: Sequence[Process], now: Instant, elapsed: Instant) -> list[Process]:
        """Those that live."""
        self._seen = {p.id: self._fresh(p, now, elapsed) for p in processes}
        return [p for p in processes if self._lives(p, elapsed)]

    def left_over(self, processes: Sequence[Process], now: Instant, elapsed: Instant) -> list[str]:
        """The dead whose heartbeat lies in the future: the clock was set back, by itself it would live on."""
        return [p.id for p in processes if p.seen_at > now and not self._lives(p, elapsed)]

    def _fresh(self, process: Process, now: Instant, elapsed: Instant) -> tuple[Instant, Instant]:
        before = self._seen.get(process.id)
        if before and before[0] == process.seen_at:
            return before
        longest = BEAT if before else DEAD_AFTER  # one that is new to us may have died long ago
        return process.seen_at, elapsed - min(max(0, now - process.seen_at), longest)

    def _lives(self, process: Process, elapsed: Instant) -> bool:
        return elapsed - self._seen[process.id][1] < DEAD_AFTER


def played(processes: Iterable[Process]) -> set[str]:
    """The roles that somebody plays."""
    return {role for process in processes for role in process.playing}


def to_play(me: Process, others: Sequence[Process]) -> tuple[str, ...]:
    """What a process has to play beside the others that live: a standby only what nobody else plays."""
    if not me.standby:
        return me.roles
    taken = played(others)
    return tuple(role for role in me.roles if role in me.playing or role not in taken)


def covered(me: Process, others: Iterable[Process]) -> bool:
    """Whether those who are there for it play everything that a standby plays."""
    return set(me.playing) <= played(p for p in others if not p.standby)


def hears_since(me: Process, processes: Collection[Process], now: Instant, role: str) -> Instant:
    """Since when signals are taken without a gap: whoever begins goes on where the others still are."""
    known = [p.hears_since for p in processes if p.hears_since and p.seen_at > now - DEAF_AFTER]
    if role in me.playing:
        return min(known, default=now)
    return 0
