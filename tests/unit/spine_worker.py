"""A second process at work on the same database: ``spine_worker.py url name start``."""

from __future__ import annotations

import sys
import time
from random import SystemRandom

from tests.unit.spine_world import Map, catalogue, core_kinds

from hexi.adapters.clock import SystemClock
from hexi.adapters.sql import open_store
from hexi.kernel.signal import Signal
from hexi.spine.spine import Spine

PEOPLE, BATCH = 60, 6


def main(url: str, name: str, start: str) -> None:
    """Press for everyone, in batches; say which case each press went to."""
    store = open_store(url, core_kinds())
    clock = SystemClock()
    spine = Spine(store, clock, catalogue(), Map(), SystemRandom())
    time.sleep(max(0.0, float(start) - time.time()))
    for first in range(0, PEOPLE, BATCH):
        people = range(first, first + BATCH)
        presses = [
            Signal(id=str(i), source=name, kind="pendant.sos", received=clock.now(), subject=f"person:N{i}")
            for i in (people if name == "a" else reversed(people))
        ]
        for taken in spine.take(presses).taken:
            sys.stdout.write(f"{taken.id} {taken.case_id}\n")
        spine.tick()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
