"""A million pending deadlines: how late near ones fire, and what waiting costs: `python -m bench.deadlines`.

A store on disk with a million rows that are days away; the real writing thread looks every 50 ms. Near
deadlines spread over some seconds are real steps of the spine (they cancel or remind), and their lateness
is the spine's own.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from bench._report import beside, percentile, show

from hexi.adapters.clock import SystemClock
from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import SqlStore, open_store
from hexi.kernel.clock import DAY
from hexi.kernel.deadline import Deadline, DeadlineKind
from hexi.kernel.place import Location, Point
from hexi.spine.hub import Hub
from hexi.spine.intake import Intake
from hexi.spine.spine import Spine
from hexi.spine.work import Outcome

SMOKE = "--smoke" in sys.argv
PENDING = 10_000 if SMOKE else 1_000_000
NEAR = 200 if SMOKE else 2_000
WITHIN = 2_000 if SMOKE else 10_000
IDLE = 2.0 if SMOKE else 20.0


class Nowhere:
    """A map without places."""

    def locate(self, point: Point) -> Location:
        """Nothing contains the point."""
        return Location(point=point)


class Lateness:
    """Collects what the spine says of each deadline it handled."""

    def __init__(self) -> None:
        self.late: list[float] = []

    def committed(self, _jobs: int, _seconds: float, outcome: Outcome) -> None:
        """A commit has ended."""
        self.late += outcome.lateness


def deadline(key: str, due: int) -> Deadline:
    """A promise of a case that has ended: handled and gone, at the full cost of the claim."""
    return Deadline(
        key=key, due_at=due, kind=DeadlineKind.PROMISE, case_id="none", body={"promise": "closed"}
    )


def fill(store: SqlStore, now: int) -> None:
    """Deadlines that are days away."""
    began = time.perf_counter()
    for start in range(0, PENDING, 50_000):
        numbers = range(start, min(start + 50_000, PENDING))
        with store.write() as tx:
            tx.deadlines.arm(deadline(f"far/{n}", now + DAY + n * 100) for n in numbers)
    beside(f"armed {PENDING:,} deadlines", PENDING / (time.perf_counter() - began), "/s")


async def idle() -> None:
    """What waiting costs, the writing thread looking every 50 ms."""
    await asyncio.sleep(1.0)
    cpu, wall = time.process_time(), time.monotonic()
    await asyncio.sleep(IDLE)
    share = (time.process_time() - cpu) / (time.monotonic() - wall) * 100
    show(f"idle processor with {PENDING:,} pending, of one core", share, 1.0, "%")


async def near(intake: Intake, now: int) -> None:
    """Let some fall due over a few seconds."""
    due = [deadline(f"near/{n}", now + 1_000 + n * WITHIN // NEAR) for n in range(NEAR)]
    await intake.call(lambda tx: tx.deadlines.arm(due))
    await asyncio.sleep((WITHIN + 2_500) / 1000)


async def main(folder: Path) -> None:
    """Fill, wait idle, then let near ones fall due."""
    catalogue = load_packs().catalogue()
    store = open_store(f"sqlite:///{folder / 'hexi.sqlite'}", catalogue.record_kinds)
    clock, lateness = SystemClock(), Lateness()
    fill(store, clock.now())
    spine = Spine(store, clock, catalogue, Nowhere(), random.Random(1))
    intake = Intake(spine, Hub(), lambda _: None, lateness)
    await intake.start()
    await idle()
    await near(intake, clock.now())
    await intake.stop()
    store.close()
    if len(lateness.late) != NEAR:
        raise SystemExit(f"{len(lateness.late)} of {NEAR} fired")
    show(f"lateness of {NEAR:,} near ones, p50", percentile(lateness.late, 50), 60, "ms")
    show(f"lateness of {NEAR:,} near ones, p99", percentile(lateness.late, 99), 100, "ms")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        uvloop.run(main(Path(name)))
