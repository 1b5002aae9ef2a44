"""Quiet signals at a steady rate from a process of its own, so that it costs the race's clock nothing."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.synchronize import Event as Signal

from bench.race.doors import FarDoor

STEP = 0.01
"""Seconds between two handfuls."""


class Flow:
    """Runs from its making until ``stop``."""

    def __init__(self, door: FarDoor, rate: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._stopping = context.Event()
        flowing = context.Event()
        self._process = context.Process(target=_flow, args=(door, rate, self._stopping, flowing), daemon=True)
        self._process.start()
        flowing.wait(30)

    def stop(self) -> None:
        """No more."""
        self._stopping.set()
        self._process.join(30)


def _flow(target: FarDoor, rate: int, stopping: Signal, flowing: Signal) -> None:
    door = target()
    flowing.set()
    size, number, at = max(1, round(rate * STEP)), 0, time.monotonic()
    while not stopping.is_set():
        door.pour("quiet", [f"RACE-{990_000 + (number + n) % 1_000:06}" for n in range(size)])
        number += size
        at = max(at + STEP, time.monotonic() - 0.5)
        time.sleep(max(0.0, at - time.monotonic()))
    door.settle(10)
    door.close()
