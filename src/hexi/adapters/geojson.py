"""A deployer's own map: GeoJSON features to place records, with an error for each that cannot be one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import shapely

from hexi.adapters.gcj02 import to_wgs84
from hexi.adapters.geo import mended, read_shape
from hexi.kernel.clock import Instant
from hexi.kernel.place import Level, Point
from hexi.kernel.record import Record
from hexi.kernel.text import Text

DECIMALS = 6
"""Digits kept of a degree: 10 cm."""


class MapLayer(msgspec.Struct, frozen=True, kw_only=True):
    """How to read one layer: its level, and the properties that hold code, name and parent."""

    level: Level
    code: str = "code"
    name: str = "name"
    parent: str = "parent"
    gcj02: bool = False
    """The coordinates are those of a Chinese web map and are to be converted."""


class FeatureProblem(msgspec.Struct, frozen=True):
    """Something wrong with a feature; ``feature`` counts from 1, ``fatal`` ones became no record."""

    feature: int
    message: Text
    fatal: bool = True


class MapImport(msgspec.Struct, frozen=True):
    """The places that were read and everything that was wrong."""

    records: list[Record]
    problems: list[FeatureProblem]


def read_layer(content: bytes, layer: MapLayer, at: Instant, by: str) -> MapImport:
    """Place records from a GeoJSON FeatureCollection; ValueError when it is none at all."""
    result = MapImport([], [])
    seen: set[str] = set()
    for number, feature in enumerate(_features(content), start=1):
        try:
            data, code = _place_data(feature, layer)
            _check_new(code, seen)
        except _Unusable as error:
            result.problems.append(FeatureProblem(number, error.message))
            continue
        seen.add(code)
        if _was_mended(feature):
            result.problems.append(FeatureProblem(number, _MENDED, fatal=False))
        result.records.append(Record(kind="place", id=code, version=0, data=data, at=at, by=by))
    return result


_MENDED = Text(
    zh="多边形自相交，已修复，请核对", en="the polygon crossed itself and was mended; please check it"
)


class _Unusable(Exception):  # noqa: N818 -- caught two lines further on
    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.message = Text(zh=zh, en=en)


def _features(content: bytes) -> list[Any]:
    try:
        parsed = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(parsed, dict) or parsed.get("type") != "FeatureCollection":
        raise ValueError("not a GeoJSON FeatureCollection")
    try:
        return msgspec.convert(parsed.get("features"), list[Any])
    except msgspec.ValidationError as error:
        raise ValueError("the FeatureCollection has no list of features") from error


def _check_new(code: str, seen: set[str]) -> None:
    if code in seen:
        raise _Unusable(f"代码 {code} 重复", f"the code {code} stands twice")


def _place_data(feature: Any, layer: MapLayer) -> tuple[dict[str, Any], str]:
    properties = feature.get("properties") if isinstance(feature, Mapping) else None
    if not isinstance(properties, Mapping):
        raise _Unusable("要素没有属性", "the feature has no properties")
    code = _said(properties, layer.code) or _said(feature, "id")
    if not code:
        raise _Unusable(f"缺少代码（{layer.code}）", f"the property {layer.code!r} with the code is missing")
    shape = _shape(feature, layer)
    middle = shape.representative_point()
    data = {
        "name": _said(properties, layer.name) or code,
        "level": layer.level.value,
        "parent": _said(properties, layer.parent),
        "code": code,
        "lon": round(middle.x, DECIMALS),
        "lat": round(middle.y, DECIMALS),
        "polygon": geometry_of(shape),
        "synthetic": False,
    }
    return data, code


def _said(table: Mapping[str, Any], name: str) -> str | None:
    """A property as text: codes are often written as numbers."""
    value = table.get(name)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value).strip() or None


def _geometry(feature: Mapping[str, Any]) -> Mapping[str, Any]:
    geometry = feature.get("geometry")
    if not isinstance(geometry, Mapping):
        raise _Unusable("要素没有几何图形", "the feature has no geometry")
    return geometry


def _shape(feature: Mapping[str, Any], layer: MapLayer) -> Any:
    try:
        shape = mended(read_shape(_geometry(feature)))
    except ValueError as error:
        raise _Unusable(f"几何图形无法使用：{error}", str(error)) from error
    return shapely.transform(shape, _converted) if layer.gcj02 else shape


def _converted(coordinates: Any) -> Any:
    moved = (to_wgs84(Point(lon, lat)) for lon, lat in coordinates.tolist())
    return [(point.lon, point.lat) for point in moved]


def _was_mended(feature: Mapping[str, Any]) -> bool:
    return not read_shape(_geometry(feature)).is_valid


def geometry_of(shape: Any) -> dict[str, Any]:
    """GeoJSON of a shape with degrees to ten centimetres."""
    rounded = shapely.transform(shape, lambda coordinates: coordinates.round(DECIMALS))
    return dict(msgspec.json.decode(shapely.to_geojson(rounded)))
