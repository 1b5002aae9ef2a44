"""The synthetic district as records: the same seed gives the same bytes, references come first."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import islice

from hexi.kernel.clock import Instant
from hexi.kernel.deadline import Deadline
from hexi.kernel.directory import Device, view
from hexi.kernel.ports import Store
from hexi.kernel.record import Record
from hexi.sim import staff
from hexi.sim.chance import chance
from hexi.sim.homes import HomePlan, home_items
from hexi.sim.layout import Building, Layout, ground_data, lay_out
from hexi.sim.staff import Item
from hexi.spine.watch import silence

ELDERS = 20_000
SMALL = 200
"""Elders of the district that tests use."""

MADE_AT: Instant = 1_767_196_800_000
"""2026-01-01 00:00 in the district: when the records say they were made."""

BATCH = 2_000


def generate(seed: int = 1, elders: int = ELDERS) -> Iterator[Record]:
    """Every record of the district, one at a time; a record comes after those it refers to."""
    for kind, identity, data in _items(seed, elders):
        yield Record(kind=kind, id=identity, version=0, data=data, at=MADE_AT, by="sim")


def fill(
    store: Store, records: Iterable[Record], *, watched: Container[str] = (), since: Instant = MADE_AT
) -> int:
    """Store records in batches of one transaction each; says how many.

    Devices of the ``watched`` elders are missed from ``since`` on when their heartbeat does not come;
    the others never are, because nothing plays them.
    """
    count = 0
    waiting = iter(records)
    while batch := list(islice(waiting, BATCH)):
        with store.write() as transaction:
            for record in batch:
                transaction.records.put(record)
            transaction.deadlines.arm(_silences(batch, watched, since))
        count += len(batch)
    return count


def _silences(batch: list[Record], watched: Container[str], since: Instant) -> Iterator[Deadline]:
    for record in batch:
        if record.kind == "device" and record.data.get("owner") in watched:
            length = view(record, Device).silent_after
            if length is not None:
                yield silence(record.ref, since + length, since=since)


def _items(seed: int, elders: int) -> Iterator[Item]:
    layout = lay_out(seed, per_grid=max(2, min(8, elders // 2_500)))
    homes = _homes(seed, layout, elders)
    by_street, steward_items = staff.stewards(seed, homes)
    yield from _places(layout)
    yield from staff.units(layout)
    yield from staff.desks(seed)
    yield from steward_items
    yield from staff.centres(seed, layout)
    for number, building in enumerate(homes, start=1):
        stewards = by_street[building.street]
        steward = stewards[int(building.community) % len(stewards)]
        yield from home_items(seed, HomePlan(number, building, steward))


def _places(layout: Layout) -> Iterator[Item]:
    for ground in layout.grounds():
        yield "place", ground.code, ground_data(ground)
    for building in layout.buildings:
        yield "place", building.code, building.record_data


def _homes(seed: int, layout: Layout, elders: int) -> list[Building]:
    """The house of each elder, by number."""
    return chance(seed, "homes").choices(layout.buildings, k=elders)
