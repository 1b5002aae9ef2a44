import hashlib
import os
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

import msgspec
import pytest
import shapely

import hexi.packs
from hexi.adapters.geo import PlaceIndex, areas_of
from hexi.kernel.directory import VIEWS, Centre, Person, Roster, view
from hexi.kernel.hours import is_open, parse_hours
from hexi.kernel.place import Level, Point, distance_m
from hexi.kernel.record import RecordKind, check_record
from hexi.sim.district import MADE_AT, SMALL, generate

HOUR = 3_600_000


@pytest.fixture(scope="module")
def records():
    return list(generate(seed=1, elders=SMALL))


@pytest.fixture(scope="module")
def by_kind(records):
    found = defaultdict(dict)
    for record in records:
        found[record.kind][record.id] = record
    return found


@pytest.fixture(scope="module")
def kinds():
    folder = Path(hexi.packs.__path__[0]) / "core" / "records"
    return {
        file.stem: msgspec.convert(tomllib.loads(file.read_text()), RecordKind)
        for file in folder.glob("*.toml")
    }


DIGEST = """
import hashlib, msgspec
from hexi.sim.district import generate
digest = hashlib.sha256()
for record in generate(seed=1, elders=20):
    digest.update(msgspec.json.encode(record))
print(digest.hexdigest())
"""


def digest_elsewhere(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": "src"}
    done = subprocess.run([sys.executable, "-c", DIGEST], env=environment, capture_output=True, check=True)
    return done.stdout.decode().strip()


def test_the_same_seed_gives_the_same_bytes_in_another_process_too():
    here = hashlib.sha256()
    for record in generate(seed=1, elders=20):
        here.update(msgspec.json.encode(record))
    assert digest_elsewhere("1") == digest_elsewhere("2") == here.hexdigest()


def test_another_seed_gives_another_map_with_the_same_real_names(by_kind):
    other = {r.id: r for r in generate(seed=2, elders=5) if r.kind == "place"}
    for code in ("120103006", "120103007"):
        assert other[code].data["name"] == by_kind["place"][code].data["name"]
        assert other[code].data["polygon"] != by_kind["place"][code].data["polygon"]


def test_streets_and_communities_are_the_real_ones(by_kind):
    levels = Counter(place.data["level"] for place in by_kind["place"].values())
    assert (levels["district"], levels["street"], levels["community"]) == (1, 14, 149)
    assert by_kind["place"]["120103007"].data["name"] == "友谊路街道"


def test_every_invented_polygon_says_so_and_the_outline_is_real(by_kind):
    for place in by_kind["place"].values():
        assert place.data["synthetic"] is (place.data["level"] != "district")


def test_every_record_keeps_the_form_of_its_kind(records, kinds):
    for record in records:
        assert check_record(kinds[record.kind], record.data) == [], record
        if record.kind in VIEWS:
            view(record, VIEWS[record.kind])


def test_every_reference_points_to_an_earlier_record(records, kinds):
    seen = set()
    for record in records:
        for field, kind in kinds[record.kind].refs():
            target = record.data.get(field)
            assert target is None or (kind, target) in seen, (record.ref, field, target)
        assert (record.kind, record.id) not in seen
        seen.add((record.kind, record.id))


def areas(by_kind, level):
    return [p for p in by_kind["place"].values() if p.data["level"] == level]


def shape_of(place):
    return shapely.geometry.shape(place.data["polygon"])


@pytest.mark.parametrize(
    ("level", "above"), [("street", "district"), ("community", "street"), ("grid", "community")]
)
def test_each_level_covers_the_one_above_without_overlap(by_kind, level, above):
    inside = defaultdict(list)
    for place in areas(by_kind, level):
        inside[place.data["parent"]].append(shape_of(place))
    for parent in areas(by_kind, above):
        whole = shape_of(parent)
        parts = inside[parent.id]
        assert sum(p.area for p in parts) == pytest.approx(whole.area, rel=0.002)
        assert whole.symmetric_difference(shapely.union_all(parts)).area < 0.003 * whole.area


def test_each_community_has_three_to_six_grids(by_kind):
    counts = Counter(grid.data["parent"] for grid in areas(by_kind, "grid"))
    assert set(counts.values()) == {3, 4, 5, 6}
    assert len(counts) == 149


def test_homes_lie_where_their_codes_say(by_kind, records):
    index = PlaceIndex(areas_of(records))
    elders = [view(r, Person) for r in by_kind["person"].values() if "elder" in r.data["tags"]]
    located = index.locate_many([Point(e.lon, e.lat) for e in elders])
    right = sum(
        (e.street, e.community, e.grid) == (p.street, p.community, p.grid)
        for e, p in zip(elders, located, strict=True)
    )
    assert len(elders) == SMALL
    assert right >= 0.99 * SMALL


def test_buildings_stand_in_their_grid_with_their_entrances_beside_them(by_kind):
    for building in areas(by_kind, "building"):
        at = Point(building.data["lon"], building.data["lat"])
        grid = shape_of(by_kind["place"][building.data["parent"]])
        assert grid.contains(shapely.Point(at.lon, at.lat))
        doors = building.data["entrances"]["coordinates"]
        assert 2 <= len(doors) <= 5
        assert all(distance_m(at, Point(*door)) < 60 for door in doors)


def test_forty_five_centres_are_spread_out(by_kind):
    centres = [view(r, Centre) for r in by_kind["centre"].values()]
    assert len(centres) == 45
    spots = [Point(c.lon, c.lat) for c in centres]
    nearest = [min(distance_m(a, b) for b in spots if b is not a) for a in spots]
    assert min(nearest) > 400
    assert sum(nearest) / 45 < 1_400


def test_some_centres_are_open_at_night_and_all_at_noon(by_kind):
    hours = [parse_hours(r.data["hours"]) for r in by_kind["centre"].values()]
    midnight = MADE_AT
    at_night = sum(is_open(h, midnight + 2 * HOUR) for h in hours)
    assert 5 <= at_night <= 20
    assert all(is_open(h, midnight + 12 * HOUR) for h in hours)


def test_every_desk_has_somebody_on_shift_at_every_hour(by_kind):
    rosters = [view(r, Roster) for r in by_kind["roster"].values()]
    assert len(rosters) == 1 + 14 + 149
    for hour in range(24):
        assert all(roster.people(MADE_AT + hour * HOUR) for roster in rosters)
    assert {r.id for r in rosters} >= {"district", "street-120103001", "community-120103001001"}
    assert {r.level for r in rosters} == {Level.DISTRICT, Level.STREET, Level.COMMUNITY}


def test_every_elder_has_a_steward_of_the_same_street(by_kind):
    people = by_kind["person"]
    for person in people.values():
        if "elder" in person.data["tags"]:
            steward = people[person.data["steward"]]
            assert "steward" in steward.data["tags"]
            assert steward.data["street"] == person.data["street"]


def test_elders_are_old_and_a_plausible_share_live_alone(by_kind):
    elders = [r.data for r in by_kind["person"].values() if "elder" in r.data["tags"]]
    born = [date.fromisoformat(e["birth_date"]) for e in elders]
    assert min(born) >= date(1925, 1, 1)
    assert max(born) <= date(1966, 1, 1)
    assert 0.25 < sum(e["lives_alone"] for e in elders) / len(elders) < 0.45


def test_no_telephone_number_could_be_somebodys(records):
    phones = [r.data["phone"] for r in records if r.data.get("phone")]
    assert len(set(phones)) == len(phones)
    assert all(p.startswith("+861990000") and len(p) == len("+86") + 13 for p in phones)


def test_the_first_elder_has_all_that_a_demonstration_needs(by_kind):
    elder = by_kind["person"]["E00001"].data
    assert elder["lives_alone"]
    assert elder["consent"]
    assert elder["medical_note"]
    assert elder["door_code"]
    relations = [r.data["relation"] for r in by_kind["contact"].values() if r.data["person"] == "E00001"]
    assert relations == ["女儿", "儿子", "邻居"]
    types = {r.data["type"] for r in by_kind["device"].values() if r.data["owner"] == "E00001"}
    assert types == {
        "hub",
        "pendant",
        "radar",
        "smoke",
        "gas",
        "water",
        "door",
        "motion",
        "bed",
        "watch",
        "cord",
    }


def test_contacts_are_numbered_in_order(by_kind):
    orders = defaultdict(list)
    for contact in by_kind["contact"].values():
        orders[contact.data["person"]].append(contact.data["order"])
    assert all(order == list(range(1, len(order) + 1)) for order in orders.values())
