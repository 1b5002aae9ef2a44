"""Which street, community and grid contain a point: an index over the polygons of place records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import shapely
import structlog
from shapely.geometry.base import BaseGeometry

from hexi.kernel.place import UPWARD, Level, Location, Point
from hexi.kernel.ports import Transaction
from hexi.kernel.record import Record

NEAR = 1e-6
"""Degrees (about 10 cm) a point may lie off a polygon: neighbours never share a border to the last bit."""

_PAGE = 1_000
_FINEST_FIRST = {level: rank for rank, level in enumerate(UPWARD)}
_log = structlog.get_logger(__name__)


class Area(NamedTuple):
    """One place with its polygon."""

    code: str
    level: Level
    parent: str | None
    shape: BaseGeometry


class PlaceIndex:
    """A ``Locator`` over polygons; it never changes, build a new one when the records have changed."""

    def __init__(self, areas: Iterable[Area]) -> None:
        self._areas = sorted(areas, key=lambda area: (_FINEST_FIRST[area.level], area.code))
        self._tree = shapely.STRtree([area.shape for area in self._areas])
        known = {area.code: area for area in self._areas}
        self._codes = [_codes_above(area, known) for area in self._areas]

    def __len__(self) -> int:
        return len(self._areas)

    def locate(self, point: Point) -> Location:
        """The codes of the places that contain a point; none of them outside the map."""
        return self.locate_many([point])[0]

    def locate_many(self, points: Sequence[Point]) -> list[Location]:
        """The same for many points at once, in their order."""
        found: list[dict[str, str]] = [{} for _ in points]
        for at, area in self._hits(points):
            found[at] = {**self._codes[area], **found[at]}
        return [
            Location(point=point, origin="signal", **codes)
            for point, codes in zip(points, found, strict=True)
        ]

    def _hits(self, points: Sequence[Point]) -> Iterator[tuple[int, int]]:
        """(number of the point, number of the area), the finest area of a point first."""
        lonlat = np.array([(p.lon, p.lat) for p in points], dtype=float).reshape(-1, 2)
        usable = np.flatnonzero(np.isfinite(lonlat).all(axis=1))
        if not len(usable) or not self._areas:
            return
        pairs = self._tree.query(shapely.points(lonlat[usable]), predicate="dwithin", distance=NEAR)
        order = np.lexsort((pairs[1], pairs[0]))
        for at, area in zip(pairs[0][order].tolist(), pairs[1][order].tolist(), strict=True):
            yield int(usable[at]), area


def areas_of(records: Iterable[Record]) -> Iterator[Area]:
    """The places among records that have a usable polygon; the others are logged and left out."""
    for record in records:
        if record.kind != "place" or record.deleted or not record.data.get("polygon"):
            continue
        try:
            yield _area_of(record)
        except (ValueError, TypeError, KeyError, shapely.errors.ShapelyError) as error:
            _log.warning("place_left_out", place=record.id, reason=str(error))


def read_index(transaction: Transaction) -> PlaceIndex:
    """The index of all places that a store keeps now."""
    return PlaceIndex(areas_of(_places(transaction)))


def mended(shape: BaseGeometry) -> BaseGeometry:
    """The areal part of a shape, made valid; ValueError when no area is left."""
    valid = shape if shape.is_valid else shapely.make_valid(shape)
    parts = [p for p in shapely.get_parts(valid, return_index=False) if p.geom_type.endswith("Polygon")]
    area = shapely.union_all(parts)
    if area.is_empty or not area.area:
        raise ValueError("the polygon encloses nothing")
    return area


def read_shape(geometry: Mapping[str, Any]) -> BaseGeometry:
    """A polygon or multipolygon from its GeoJSON; ValueError says what is wrong with it."""
    kind = geometry.get("type")
    if kind not in {"Polygon", "MultiPolygon"}:
        raise ValueError(f"a place needs a Polygon or MultiPolygon, not {kind!r}")
    try:
        shape = shapely.force_2d(shapely.geometry.shape(geometry))
    except (KeyError, TypeError, IndexError, AttributeError, shapely.errors.ShapelyError) as error:
        raise ValueError(f"the coordinates cannot be read: {error}") from error
    _check_degrees(shape)
    return shape


def _check_degrees(shape: BaseGeometry) -> None:
    coordinates = shapely.get_coordinates(shape)
    if not np.isfinite(coordinates).all():
        raise ValueError("a coordinate is not a finite number")
    if (np.abs(coordinates) > (180.0, 90.0)).any():
        raise ValueError("the coordinates are not degrees of longitude and latitude")


def _area_of(record: Record) -> Area:
    shape = read_shape(record.data["polygon"])
    if not shape.is_valid:
        _log.warning("place_mended", place=record.id, reason=shapely.is_valid_reason(shape))
    level = Level(record.data["level"])
    return Area(record.id, level, record.data.get("parent"), mended(shape))


def _codes_above(area: Area, known: Mapping[str, Area]) -> dict[str, str]:
    """The codes of a place and of all above it, by level; a parent without a polygon ends the chain."""
    codes: dict[str, str] = {}
    here: Area | None = area
    while here and here.level.value not in codes:
        codes[here.level.value] = here.code
        above = UPWARD[here.level]
        if above and here.parent and here.parent not in known:
            codes.setdefault(above.value, here.parent)
        here = known.get(here.parent or "")
    return codes


def _places(transaction: Transaction) -> Iterator[Record]:
    offset = 0
    while page := transaction.records.find("place", limit=_PAGE, offset=offset):
        yield from page
        offset += len(page)
