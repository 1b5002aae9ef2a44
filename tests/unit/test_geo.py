from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexi.adapters.gcj02 import to_gcj02, to_wgs84
from hexi.adapters.geo import Area, PlaceIndex, areas_of, read_shape
from hexi.adapters.geojson import MapLayer, read_layer
from hexi.kernel.place import Level, Location, Point, distance_m
from hexi.kernel.record import Record


def square(west: float, south: float, size: float = 0.01) -> dict:
    ring = [
        [west, south],
        [west + size, south],
        [west + size, south + size],
        [west, south + size],
        [west, south],
    ]
    return {"type": "Polygon", "coordinates": [ring]}


def place(code: str, level: Level, parent: str | None, polygon: dict | None) -> Record:
    data = {"name": code, "level": level.value, "parent": parent, "code": code, "polygon": polygon}
    return Record(kind="place", id=code, version=1, data=data, at=0, by="test")


STREET = place("S1", Level.STREET, "district", square(117.20, 39.00, 0.02))
LEFT = place("C1", Level.COMMUNITY, "S1", square(117.20, 39.00))
RIGHT = place("C2", Level.COMMUNITY, "S1", square(117.21, 39.00))
GRID = place("C1-G01", Level.GRID, "C1", square(117.20, 39.00, 0.005))
BUILDING = place("C1-G01-B001", Level.BUILDING, "C1-G01", None)


@pytest.fixture
def index() -> PlaceIndex:
    return PlaceIndex(areas_of([STREET, LEFT, RIGHT, GRID, BUILDING]))


def test_a_point_gets_every_code_above_it(index):
    found = index.locate(Point(117.202, 39.002))
    assert found == Location(
        point=Point(117.202, 39.002),
        district="district",
        street="S1",
        community="C1",
        grid="C1-G01",
        origin="signal",
    )


def test_a_point_outside_every_grid_still_gets_its_community(index):
    found = index.locate(Point(117.208, 39.008))
    assert (found.street, found.community, found.grid) == ("S1", "C1", None)


def test_a_point_in_no_community_still_gets_its_street(index):
    found = index.locate(Point(117.205, 39.015))
    assert (found.street, found.community) == ("S1", None)


@pytest.mark.parametrize(
    "point",
    [Point(0.0, 0.0), Point(117.3, 39.0), Point(float("nan"), 39.0), Point(float("inf"), 39.0)],
)
def test_outside_the_map_there_are_no_codes(index, point):
    found = index.locate(point)
    assert [found.code(level) for level in Level] == [None] * 5
    assert found.origin == "signal"


def test_on_a_border_one_neighbour_is_chosen_and_its_own_chain_is_kept(index):
    on_border = Point(117.21, 39.008)
    assert index.locate(on_border).community == "C1"
    assert index.locate(on_border) == index.locate(on_border)


def test_a_hair_beside_the_outer_border_is_still_inside(index):
    assert index.locate(Point(117.2 - 5e-7, 39.001)).street == "S1"
    assert index.locate(Point(117.2 - 5e-5, 39.001)).street is None


def test_many_points_at_once_are_answered_in_their_order(index):
    points = [Point(117.212, 39.005), Point(0.0, 0.0), Point(float("nan"), 0.0), Point(117.202, 39.002)]
    assert [found.community for found in index.locate_many(points)] == ["C2", None, None, "C1"]
    assert index.locate_many([]) == []


def test_an_empty_map_answers_nothing():
    assert PlaceIndex([]).locate(Point(117.2, 39.0)) == Location(point=Point(117.2, 39.0), origin="signal")


def test_a_polygon_that_crosses_itself_is_mended_and_used():
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    index = PlaceIndex(areas_of([place("C9", Level.COMMUNITY, "S9", bow)]))
    assert index.locate(Point(0.9, 0.5)).community == "C9"
    assert index.locate(Point(0.5, 0.9)).community is None
    assert index.locate(Point(0.9, 0.5)).street == "S9"


@pytest.mark.parametrize(
    "polygon",
    [
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
        {"type": "Polygon"},
        {"type": "Point", "coordinates": [0, 0]},
        {"type": "Polygon", "coordinates": "nonsense"},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]},
        square(500_000.0, 4_300_000.0),
    ],
)
def test_a_place_without_a_usable_polygon_is_left_out_and_the_others_stay(polygon):
    index = PlaceIndex(areas_of([place("C8", Level.COMMUNITY, None, polygon), LEFT]))
    assert len(index) == 1
    assert index.locate(Point(117.202, 39.002)).community == "C1"


def test_deleted_places_and_other_records_are_no_areas():
    gone = msgspec.structs.replace(LEFT, deleted=True)
    other = msgspec.structs.replace(LEFT, kind="unit")
    assert list(areas_of([gone, other])) == []


def test_a_chain_of_parents_that_turns_in_a_circle_ends():
    area = Area("X", Level.GRID, "X", read_shape(square(0, 0)))
    assert PlaceIndex([area]).locate(Point(0.005, 0.005)).grid == "X"


def test_gcj02_agrees_with_published_values():
    shown = to_gcj02(Point(116.404, 39.915))
    assert shown.lon == pytest.approx(116.41024449916938, abs=1e-8)
    assert shown.lat == pytest.approx(39.91640428150164, abs=1e-8)


def test_in_the_district_the_shift_is_hundreds_of_metres():
    here = Point(117.235, 39.075)
    assert 400 < distance_m(here, to_gcj02(here)) < 800


@given(st.floats(min_value=73.5, max_value=134.9), st.floats(min_value=18.2, max_value=53.4))
def test_gcj02_and_back_is_the_same_place(lon, lat):
    point = Point(lon, lat)
    assert distance_m(to_wgs84(to_gcj02(point)), point) < 0.01


@given(st.floats(min_value=-180, max_value=70), st.floats(min_value=-90, max_value=90))
def test_outside_china_nothing_is_shifted(lon, lat):
    assert to_gcj02(Point(lon, lat)) == to_wgs84(Point(lon, lat)) == Point(lon, lat)


def layer(*features: object) -> bytes:
    return msgspec.json.encode({"type": "FeatureCollection", "features": features})


def feature(code: object, polygon: object, **properties: object) -> dict:
    return {"type": "Feature", "properties": {"code": code, **properties}, "geometry": polygon}


def test_a_layer_becomes_place_records_that_can_be_located():
    content = layer(feature(120103001, square(117.2, 39.0), name="大营门街道", parent="120103"))
    result = read_layer(content, MapLayer(level=Level.STREET), at=5, by="user:a")
    assert result.problems == []
    (record,) = result.records
    assert (record.kind, record.id, record.data["name"]) == ("place", "120103001", "大营门街道")
    assert record.data["synthetic"] is False
    found = PlaceIndex(areas_of(result.records)).locate(Point(117.205, 39.005))
    assert (found.district, found.street) == ("120103", "120103001")


def test_columns_can_have_other_names_and_the_id_may_be_the_code():
    content = layer({"type": "Feature", "id": "C1", "properties": {"社区": "甲"}, "geometry": square(0, 0)})
    (record,) = read_layer(content, MapLayer(level=Level.COMMUNITY, name="社区"), at=0, by="u").records
    assert (record.id, record.data["name"]) == ("C1", "甲")


def test_gcj02_layers_are_converted():
    shown = to_gcj02(Point(117.2, 39.0))
    content = layer(feature("S1", square(shown.lon, shown.lat)))
    (record,) = read_layer(content, MapLayer(level=Level.STREET, gcj02=True), at=0, by="u").records
    west, south = record.data["polygon"]["coordinates"][0][0]
    assert distance_m(Point(west, south), Point(117.2, 39.0)) < 1


def test_each_bad_feature_is_named_and_the_good_ones_are_kept():
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    content = layer(
        feature("A", square(0, 0)),
        feature(None, square(0, 0)),
        feature("A", square(1, 1)),
        feature("B", None),
        feature("C", {"type": "Point", "coordinates": [0, 0]}),
        feature("D", square(500_000, 4_000_000)),
        "nonsense",
        feature("E", bow),
    )
    result = read_layer(content, MapLayer(level=Level.GRID), at=0, by="u")
    assert [record.id for record in result.records] == ["A", "E"]
    assert [p.feature for p in result.problems if p.fatal] == [2, 3, 4, 5, 6, 7]
    assert [p.feature for p in result.problems if not p.fatal] == [8]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"type": "Feature"}',
        b'{"type": "FeatureCollection", "features": 3}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_feature_collection_is_refused_with_a_reason(content):
    with pytest.raises(ValueError, match=r"JSON|FeatureCollection"):
        read_layer(content, MapLayer(level=Level.STREET), at=0, by="u")


def test_every_grid_of_a_random_tiling_finds_its_own_points():
    random = Random(3)
    tiles = [
        place(f"G{x}-{y}", Level.GRID, None, square(x / 100, y / 100)) for x in range(10) for y in range(10)
    ]
    index = PlaceIndex(areas_of(tiles))
    for _ in range(500):
        x, y = random.uniform(0, 9.999), random.uniform(0, 9.999)
        assert index.locate(Point(x / 100, y / 100)).grid in {
            f"G{int(x)}-{int(y)}",
            f"G{int(x + 1e-4)}-{int(y + 1e-4)}",
        }
