"""GCJ-02, the shifted coordinates of Chinese web maps, to WGS-84 and back.

The shift is the well-known published series over the Krasovsky ellipsoid. Hexi stores WGS-84
only and converts at the edge.
"""

from __future__ import annotations

from math import cos, pi, radians, sin, sqrt

from hexi.kernel.place import Point

_AXIS = 6_378_245.0
_ECCENTRICITY = 0.006_693_421_622_965_943
_CHINA = (72.004, 0.8293, 137.8347, 55.8271)
_STEPS = 10
_CLOSE = 1e-9


def to_gcj02(point: Point) -> Point:
    """The position as Chinese web maps show it; unchanged outside mainland China's box."""
    if not _in_china(point):
        return point
    d_lon, d_lat = _shift(point)
    return Point(point.lon + d_lon, point.lat + d_lat)


def to_wgs84(point: Point) -> Point:
    """The WGS-84 position of a GCJ-02 one, to a millimetre against ``to_gcj02``."""
    if not _in_china(point):
        return point
    guess = point
    for _ in range(_STEPS):
        shown = to_gcj02(guess)
        off_lon, off_lat = shown.lon - point.lon, shown.lat - point.lat
        guess = Point(guess.lon - off_lon, guess.lat - off_lat)
        if abs(off_lon) < _CLOSE and abs(off_lat) < _CLOSE:
            break
    return guess


def _in_china(point: Point) -> bool:
    west, south, east, north = _CHINA
    return west < point.lon < east and south < point.lat < north


def _shift(point: Point) -> tuple[float, float]:
    """The shift in degrees at a WGS-84 position."""
    x, y = point.lon - 105.0, point.lat - 35.0
    sine = sin(radians(point.lat))
    flattened = 1 - _ECCENTRICITY * sine * sine
    meridian = _AXIS * (1 - _ECCENTRICITY) / (flattened * sqrt(flattened))
    parallel = _AXIS / sqrt(flattened) * cos(radians(point.lat))
    return _east(x, y) / (parallel * pi / 180), _north(x, y) / (meridian * pi / 180)


def _waves(t: float, *parts: tuple[float, float]) -> float:
    """Two thirds of a sum of sines, given as (amplitude, turns per degree times pi)."""
    return sum(amplitude * sin(t * pi * turns) for amplitude, turns in parts) * 2 / 3


def _east(x: float, y: float) -> float:
    base = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x))
    return base + _waves(x, (20, 6), (20, 2), (20, 1), (40, 1 / 3), (150, 1 / 12), (300, 1 / 30))


def _north(x: float, y: float) -> float:
    base = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x))
    return base + _waves(x, (20, 6), (20, 2)) + _waves(y, (20, 1), (40, 1 / 3), (160, 1 / 12), (320, 1 / 30))
