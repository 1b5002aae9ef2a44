"""Dividing an area into plausible cells: seeded points, their Voronoi cells, evened out a little."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians
from random import Random
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from hexi.kernel.place import Point

_LON, _LAT = 117.235, 39.075
_METRES_LAT = 111_020.0
_METRES_LON = 111_320.0 * cos(radians(_LAT))
_SCALE = np.array([_METRES_LON, _METRES_LAT])
_ORIGIN = np.array([_LON, _LAT])

Spot = tuple[float, float]
"""Metres east and north of the district's middle."""


def to_metres(shape: BaseGeometry) -> BaseGeometry:
    """A shape in degrees as metres around the district's middle (a local plane, good to 0.1 %)."""
    return shapely.transform(shape, _plane)


def to_degrees(shape: BaseGeometry) -> BaseGeometry:
    """The inverse of ``to_metres``, with degrees to ten centimetres."""
    return shapely.transform(shape, _globe)


def spot_to_point(spot: Spot) -> Point:
    """A spot as a WGS-84 position to ten centimetres."""
    return Point(round(spot[0] / _METRES_LON + _LON, 6), round(spot[1] / _METRES_LAT + _LAT, 6))


def scatter(area: BaseGeometry, count: int, random: Random) -> list[Spot]:
    """Spots anywhere inside an area."""
    west, south, east, north = area.bounds
    shapely.prepare(area)
    found: list[Spot] = []
    while len(found) < count:
        tries = [(random.uniform(west, east), random.uniform(south, north)) for _ in range(2 * count + 4)]
        inside = shapely.contains_xy(area, np.array(tries))
        found += [spot for spot, good in zip(tries, inside.tolist(), strict=True) if good]
    return found[:count]


def partition(area: BaseGeometry, seeds: Sequence[Spot], rounds: int) -> list[BaseGeometry]:
    """One cell of the area for each seed, in order; each round moves the seeds to the cells' middles."""
    cells = _cells(area, seeds)
    for _ in range(rounds):
        cells = _cells(area, [_middle(cell) for cell in cells])
    return cells


def _cells(area: BaseGeometry, seeds: Sequence[Spot]) -> list[BaseGeometry]:
    if len(seeds) == 1:
        return [area]
    voronoi = shapely.voronoi_polygons(shapely.MultiPoint(seeds), extend_to=area, ordered=True)
    return [_areal(shapely.intersection(cell, area)) for cell in voronoi.geoms]


def _areal(shape: BaseGeometry) -> BaseGeometry:
    """Without the lines and points an intersection may leave where borders touch."""
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _middle(cell: BaseGeometry) -> Spot:
    centre = cell.centroid
    point = centre if cell.contains(centre) else cell.representative_point()
    return point.x, point.y


def _plane(coordinates: Any) -> Any:
    return (coordinates - _ORIGIN) * _SCALE


def _globe(coordinates: Any) -> Any:
    return (coordinates / _SCALE + _ORIGIN).round(6)
