"""The synthetic map: true outline, streets and communities; invented polygons, grids and buildings."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import shapely
from shapely.geometry.base import BaseGeometry

from hexi.kernel.place import Level, Point
from hexi.sim import facts
from hexi.sim.chance import chance
from hexi.sim.names import estate_names
from hexi.sim.partition import Spot, partition, scatter, spot_to_point, to_degrees, to_metres

_KERB = 15.0
"""Metres a building keeps from the border of its grid, and between its entrances."""


class Ground(NamedTuple):
    """A place with its polygon in metres."""

    code: str
    name: str
    level: Level
    parent: str | None
    shape: BaseGeometry


class Building(NamedTuple):
    """A house: where its doors are, and everything above it."""

    code: str
    name: str
    grid: str
    community: str
    street: str
    street_name: str
    spot: Spot
    doors: int

    @property
    def point(self) -> Point:
        """The middle of the house."""
        return spot_to_point(self.spot)

    def entrance(self, door: int) -> Point:
        """Where a door (楼门, from 1) opens: doors stand in a row before the house."""
        east = (door - (self.doors + 1) / 2) * _KERB
        return spot_to_point((self.spot[0] + east, self.spot[1] - 8.0))

    @property
    def record_data(self) -> dict[str, Any]:
        """The fields of its place record."""
        doors = [self.entrance(door) for door in range(1, self.doors + 1)]
        return {
            "name": self.name,
            "level": Level.BUILDING.value,
            "parent": self.grid,
            "code": self.code,
            "lon": self.point.lon,
            "lat": self.point.lat,
            "polygon": None,
            "entrances": {"type": "MultiPoint", "coordinates": [[p.lon, p.lat] for p in doors]},
            "synthetic": True,
        }


class Layout(NamedTuple):
    """The whole map of one seed."""

    district: Ground
    streets: list[Ground]
    communities: list[Ground]
    grids: list[Ground]
    buildings: list[Building]

    def grounds(self) -> Iterator[Ground]:
        """Every place with a polygon, parents first."""
        yield self.district
        yield from self.streets
        yield from self.communities
        yield from self.grids


def lay_out(seed: int, per_grid: int) -> Layout:
    """Divide the district: streets, communities inside them, grids inside those, then houses."""
    district = Ground(facts.DISTRICT, facts.DISTRICT_NAME, Level.DISTRICT, None, to_metres(facts.outline()))
    streets = _streets(seed, district)
    communities = [ground for street in streets for ground in _communities(seed, street)]
    grids = [ground for community in communities for ground in _grids(seed, community)]
    return Layout(district, streets, communities, grids, _buildings(seed, grids, streets, per_grid))


def ground_data(ground: Ground) -> dict[str, Any]:
    """The fields of a ground's place record; only the outline of the district is real."""
    degrees = to_degrees(ground.shape)
    middle = degrees.representative_point()
    return {
        "name": ground.name,
        "level": ground.level.value,
        "parent": ground.parent,
        "code": ground.code,
        "lon": round(middle.x, 6),
        "lat": round(middle.y, 6),
        "polygon": shapely.geometry.mapping(degrees),
        "synthetic": ground.level is not Level.DISTRICT,
    }


def _streets(seed: int, district: Ground) -> list[Ground]:
    random = chance(seed, "streets")
    streets = facts.streets()
    seeds = [_sketched(district.shape, facts.SKETCH[street.code], random) for street in streets]
    cells = partition(district.shape, seeds, rounds=0)
    return [
        Ground(street.code, street.name, Level.STREET, district.code, cell)
        for street, cell in zip(streets, cells, strict=True)
    ]


def _sketched(area: BaseGeometry, share: tuple[float, float], random: Random) -> Spot:
    """A spot near a share of the area's box, moved inside when it falls out."""
    west, south, east, north = area.bounds
    x = west + (share[0] + random.uniform(-0.02, 0.02)) * (east - west)
    y = south + (share[1] + random.uniform(-0.02, 0.02)) * (north - south)
    inner = area.buffer(-200)
    near = shapely.shortest_line(inner, shapely.Point(x, y)).coords[0]
    return near[0], near[1]


def _communities(seed: int, street: Ground) -> list[Ground]:
    members = [c for c in facts.communities() if c.street == street.code]
    random = chance(seed, "communities", street.code)
    cells = partition(street.shape, scatter(street.shape, len(members), random), rounds=3)
    return [
        Ground(c.code, c.name, Level.COMMUNITY, street.code, cell)
        for c, cell in zip(members, cells, strict=True)
    ]


def _grids(seed: int, community: Ground) -> list[Ground]:
    random = chance(seed, "grids", community.code)
    count = random.randint(3, 6)
    cells = partition(community.shape, scatter(community.shape, count, random), rounds=2)
    return [
        Ground(f"{community.code}-G{n:02d}", f"{community.name}第{n}网格", Level.GRID, community.code, cell)
        for n, cell in enumerate(cells, start=1)
    ]


def _buildings(seed: int, grids: list[Ground], streets: list[Ground], per_grid: int) -> list[Building]:
    names = {street.code: street.name for street in streets}
    estates = estate_names(chance(seed, "estates"), len(grids))
    found: list[Building] = []
    for grid, estate in zip(grids, estates, strict=True):
        random = chance(seed, "buildings", grid.code)
        inner = grid.shape.buffer(-_KERB)
        spots = scatter(grid.shape if inner.is_empty else inner, per_grid, random)
        street = grid.code[:9]
        found += [
            Building(
                code=f"{grid.code}-B{n:03d}",
                name=f"{estate}{n}号楼",
                grid=grid.code,
                community=grid.code[:12],
                street=street,
                street_name=names[street],
                spot=spot,
                doors=random.randint(2, 5),
            )
            for n, spot in enumerate(spots, start=1)
        ]
    return found
