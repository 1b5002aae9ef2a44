"""A simulated day of 50,000 signals through the real spine: `python -m bench.day`."""

from __future__ import annotations

import random
import sys
import tempfile
import time

from bench._report import beside, show

from hexi.adapters.geo import read_index
from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import open_store
from hexi.kernel.clock import DAY, SECOND, SimClock, parse_instant
from hexi.sim.district import fill, generate
from hexi.sim.people import People
from hexi.sim.player import SimPlayer
from hexi.sim.traffic import Rates, Traffic, enough_homes, homes_of
from hexi.spine.rebuild import rebuild_all
from hexi.spine.spine import Spine

SMOKE = "--smoke" in sys.argv
SIGNALS = 2_000 if SMOKE else 50_000
ELDERS = 50 if SMOKE else 600
START = parse_instant("2026-05-01T00:00:00+08:00")


def play(url: str) -> float:
    """Seconds that the day takes on a store; then every log is folded again and compared."""
    catalogue = load_packs().catalogue()
    store = open_store(url, catalogue.record_kinds)
    records = list(generate(1, ELDERS))
    homes = enough_homes(homes_of(records), SIGNALS, Rates())
    fill(store, records, watched={home.elder for home in homes}, since=START)
    clock = SimClock(START)
    with store.read() as tx:
        spine = Spine(store, clock, catalogue, read_index(tx), random.Random(1))
    player = SimPlayer(spine, clock, People(1), step=10 * SECOND)
    stream = Traffic(homes, seed=1, rates=Rates(trouble=3.0)).stream(START, START + DAY)
    began = time.perf_counter()
    tally = player.play(stream, START + DAY)
    took = time.perf_counter() - began
    found = rebuild_all(store, catalogue, repair=False)
    store.close()
    if found.differences:
        raise SystemExit(f"rebuild differs: {found.differences[:3]}")
    said = f"{tally.signals:,} signals, {tally.opened} cases, {tally.notices:,} notices"
    beside(f"   {said}; rebuilt equal", found.cases, "")
    return took * 50_000 / max(1, tally.signals)


def main() -> None:
    """In memory, as the tests play their days; and on disk, a durable commit for every step."""
    show("a simulated day of 50,000 signals", play("sqlite:///:memory:"), 10, "s")
    with tempfile.TemporaryDirectory() as folder:
        beside("the same on disk, every step committed durably", play(f"sqlite:///{folder}/hexi.sqlite"), "s")


if __name__ == "__main__":
    main()
