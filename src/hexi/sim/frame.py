"""The administrative frame of the real district: its streets and communities as place records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hexi.kernel.clock import Instant
from hexi.kernel.place import Level
from hexi.kernel.record import Record
from hexi.sim import facts
from hexi.sim.layout import ground_data, lay_out

_SEED = 1


def frame(at: Instant, by: str, *, synthetic: bool) -> Iterator[Record]:
    """The district, its streets and its communities by their official codes, parents first.

    Only the district has its outline; with ``synthetic`` streets and communities have made-up
    polygons that are marked so.
    """
    drawn = {ground.code: ground_data(ground) for ground in lay_out(_SEED, per_grid=1).grounds()}
    for code, data in _named():
        shown = drawn[code] if synthetic or code == facts.DISTRICT else {}
        yield Record(kind="place", id=code, version=0, data={**shown, **data}, at=at, by=by)


def _named() -> Iterator[tuple[str, dict[str, Any]]]:
    yield facts.DISTRICT, _place(facts.DISTRICT, facts.DISTRICT_NAME, Level.DISTRICT, None)
    for street in facts.streets():
        yield street.code, _place(street.code, street.name, Level.STREET, facts.DISTRICT)
    for community in facts.communities():
        yield community.code, _place(community.code, community.name, Level.COMMUNITY, community.street)


def _place(code: str, name: str, level: Level, parent: str | None) -> dict[str, Any]:
    return {"name": name, "level": level.value, "parent": parent, "code": code}
