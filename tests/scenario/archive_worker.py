"""Kills processes at work on the archive: ``archive_worker.py url folder points kills seed``.

Each child adds two hours of signals and works on the archive until it is killed: the first ones at a given
point, one after the other through every step of a move, the others at a random moment. What is left by
one is found by the next. The last goes on to the end; then every id and where it is are printed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.contract.archive_world import START, archived, counted, everywhere, keep, plan_for, signals

from hexi.adapters.archive import folder as names
from hexi.adapters.archive import hours, move, parquet, summaries
from hexi.adapters.archive.plan import Plan
from hexi.adapters.archive.work import work
from hexi.adapters.sql import open_store
from hexi.adapters.sql.archive import SqlArchive
from hexi.kernel.clock import HOUR, SimClock
from hexi.kernel.ports import StoreError

STEPS = (
    (parquet, "write"),
    (names, "settle"),
    (names, "sync"),
    (SqlArchive, "record"),
    (Plan, "record"),
    (SqlArchive, "take_out"),
    (Plan, "keep_lease"),
    (names, "write_manifests"),
    (hours, "write"),
    (summaries, "write"),
)
"""Before and after each of these a process may be killed."""


class Points:
    """Counts the points that a process passes, and kills it at one of them."""

    def __init__(self, target: int) -> None:
        self.left = target

    def reach(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            self.reach()
            result = real(*args, **kwargs)
            self.reach()
            return result

        return step


def arm(target: int) -> None:
    """Let this process be killed at a point; 0 is none."""
    points = Points(target)
    for home, name in STEPS:
        setattr(home, name, points.around(getattr(home, name)))


def add_and_work(url: str, folder: Path, round_: int, target: int) -> None:
    """What a child does: it adds two hours, says so, and works."""
    move.AT_ONCE = 7
    store = open_store(url)
    keep(store, [s for s in signals(2 * round_ + 2) if s.received >= START + 2 * round_ * HOUR])
    os.write(SAYS, b".")
    arm(target)
    work(plan_for(store, folder, clock=clock_of(round_)))
    store.close()


def clock_of(round_: int) -> SimClock:
    """A time at which the hours of the round before have left the hot window."""
    return SimClock(START + (2 * round_ + 51) * HOUR)


def race(url: str, folder: Path, round_: int, _: int) -> None:
    """Two of these work at once: nothing but the turn keeps them apart."""
    Plan.keep_lease = lambda _: None  # type: ignore[method-assign]
    store = open_store(url)
    os.write(SAYS, b".")
    for _attempt in range(3):
        with suppress(StoreError):
            work(plan_for(store, folder, clock=clock_of(round_)))
    store.close()


Task = Callable[[str, Path, int, int], None]
HEARS, SAYS = os.pipe()


def child(task: Task, *arguments: Any) -> int:
    """Start one and wait until it begins to work; its pid."""
    pid = os.fork()
    if pid:
        assert os.read(HEARS, 1) == b"."
        return pid
    try:
        task(*arguments)
    except BaseException:  # noqa: BLE001 -- a fork must not go on as its parent
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def kill_and_kill_again(url: str, folder: Path, points: int, kills: int, chance: random.Random) -> int:
    """How many were killed."""
    killed, pause = 0, 0.0
    for round_ in range(points + kills):
        pid = child(add_and_work, url, folder, round_, 2 * round_ + 1 if round_ < points else 0)
        began = time.monotonic()
        if round_ >= points:
            time.sleep(chance.uniform(0, pause))
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        pause = max(pause, time.monotonic() - began)
        killed += os.WIFSIGNALED(status)
    return killed


def same(held: Counter[str], told: Counter[str]) -> bool:
    """Whether the summaries count what the files hold, kind by kind."""
    return bool(held) and held == told


def main(url: str, folder: Path, points: int, kills: int, seed: int) -> None:
    """Kill and kill again, let two work at once, then say where everything is."""
    killed = kill_and_kill_again(url, folder, points, kills, random.Random(seed))
    rounds = points + kills
    for pid in [child(race, url, folder, rounds, 0) for _ in range(2)]:
        assert os.waitpid(pid, 0)[1] == 0
    assert os.waitpid(child(add_and_work, url, folder, rounds, 0), 0)[1] == 0
    store = open_store(url)
    found = everywhere(store, folder)
    wanted = {s.id for s in signals(2 * rounds + 2)}
    told = {
        "killed": killed,
        "twice": sum(count > 1 for count in found.values()),
        "missing": len(wanted - found.keys()),
        "unknown": len(found.keys() - wanted),
        "hot": sum(found.values()) - sum(archived(store, folder).values()),
        "drafts": len(list(folder.rglob(".new*"))),
        "counted": same(*counted(store, folder)),
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *(int(n) for n in sys.argv[3:]))
