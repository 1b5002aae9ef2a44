"""Places of the district, their levels, and walking."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from math import asin, cos, radians, sin, sqrt
from typing import Any

import msgspec

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius (IUGG)."""

WALKING_SPEED = 0.78
"""Metres per second: 700 m in 15 minutes, the district's service circle."""

DETOUR = 1.35
"""Street distance over straight distance, until a road network is loaded."""


class Level(StrEnum):
    """The levels that act together, widest first."""

    DISTRICT = "district"
    STREET = "street"
    COMMUNITY = "community"
    GRID = "grid"
    BUILDING = "building"


UPWARD: dict[Level, Level | None] = {
    Level.BUILDING: Level.GRID,
    Level.GRID: Level.COMMUNITY,
    Level.COMMUNITY: Level.STREET,
    Level.STREET: Level.DISTRICT,
    Level.DISTRICT: None,
}


class Point(msgspec.Struct, frozen=True):
    """A position in WGS-84 degrees."""

    lon: float
    lat: float


class Location(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where something is: a position, the codes that contain it, and how we know."""

    point: Point | None = None
    district: str | None = None
    street: str | None = None
    community: str | None = None
    grid: str | None = None
    building: str | None = None
    address: str | None = None
    origin: str = "unknown"
    """``signal`` (its own position), ``device``, ``home`` (registered) or ``unknown``."""

    def code(self, level: Level) -> str | None:
        """The code of the containing place at a level."""
        code: str | None = getattr(self, level.value)
        return code


class Walk(msgspec.Struct, frozen=True):
    """An estimate of a walk; ``metres`` along streets."""

    metres: float
    seconds: float


def point_in(data: Mapping[str, Any]) -> Point | None:
    """The position in a signal's or an act's data; None when there is none, or one that cannot be."""
    lon, lat = data.get("lon"), data.get("lat")
    if isinstance(lon, bool) or isinstance(lat, bool):
        return None
    if not isinstance(lon, int | float) or not isinstance(lat, int | float):
        return None
    possible = -180 <= lon <= 180 and -90 <= lat <= 90 and (lon, lat) != (0, 0)
    return Point(float(lon), float(lat)) if possible else None


def distance_m(a: Point, b: Point) -> float:
    """Great-circle distance in metres (haversine)."""
    lat_a, lat_b = radians(a.lat), radians(b.lat)
    half_lat = sin((lat_b - lat_a) / 2)
    half_lon = sin(radians(b.lon - a.lon) / 2)
    chord = half_lat * half_lat + cos(lat_a) * cos(lat_b) * half_lon * half_lon
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(chord)))


def walk(a: Point, b: Point) -> Walk:
    """Straight distance times the detour factor at walking speed."""
    metres = distance_m(a, b) * DETOUR
    return Walk(metres=metres, seconds=metres / WALKING_SPEED)
