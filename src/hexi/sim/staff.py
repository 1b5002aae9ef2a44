"""Who is on duty in the synthetic district: units, duty desks and their shifts, stewards, centres."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from hexi.kernel.place import Level
from hexi.sim import facts
from hexi.sim.chance import chance
from hexi.sim.layout import Building, Ground, Layout
from hexi.sim.names import phone, younger_name
from hexi.sim.partition import partition, scatter, spot_to_point

CENTRES = 45
"""Home-care centres; over 48 km² their circles have a radius of about 600 m."""

ELDERS_PER_STEWARD = 120
_COMPANIES = 60

_CENTRE_HOURS = (
    *("08:00-20:00",) * 5,
    *("07:30-19:30",) * 2,
    "Mo-Fr 08:00-18:00; Sa,Su 09:00-17:00",
    *("24/7",) * 2,
)
_THREE_SHIFTS = ("00:00-08:00", "08:00-16:00", "16:00-24:00")
_TWO_SHIFTS = ("08:00-20:00", "20:00-08:00")
_STAFF_PHONES, _STEWARD_PHONES, _CENTRE_PHONES, _UNIT_PHONES = 900_000, 910_000, 920_000, 930_000

Item = tuple[str, str, dict[str, Any]]
"""Kind, id and data of a record to be."""


def units(layout: Layout) -> Iterator[Item]:
    """Street offices, committees, property companies, and 120 / 119 / 110 for the log of calls."""
    number = _UNIT_PHONES
    for street in facts.streets():
        yield _unit(f"street-{street.code}", f"{street.name}办事处", "街道办", (Level.STREET, street.code))
    for c in facts.communities():
        yield _unit(f"community-{c.code}", c.committee, "居委会", (Level.COMMUNITY, c.code))
    estates = [b for b in layout.buildings if b.code.endswith("-B001")]
    step = max(1, len(estates) // _COMPANIES)
    for n, building in enumerate(estates[::step][:_COMPANIES], start=1):
        name = f"{building.name.removesuffix('1号楼')}物业服务中心（模拟）"
        yield _unit(f"property-{n:02d}", name, "物业", (Level.GRID, building.grid), phone(number + n))
    for code, name, category in (
        ("120", "急救中心", "急救"),
        ("119", "消防救援", "消防"),
        ("110", "公安", "公安"),
    ):
        yield _unit(code, f"{name} {code}", category, (Level.DISTRICT, facts.DISTRICT))


def _unit(
    identity: str, name: str, category: str, place: tuple[Level, str], number: str | None = None
) -> Item:
    data = {"name": name, "level": place[0].value, "place": place[1], "category": category}
    return "unit", identity, {**data, "phone": number} if number else data


def desks(seed: int) -> Iterator[Item]:
    """The people of every duty desk, each desk right after them."""
    random = chance(seed, "desks")
    number = 0
    for roster, name, level, place, hours in _rosters():
        people = []
        for _ in hours:
            number += 1
            people.append(f"P{number:04d}")
            yield "person", people[-1], _duty_person(random, number, (level, place))
        yield (
            "roster",
            roster,
            {
                "name": name,
                "level": level.value,
                "place": place,
                "addresses": [{"by": "desk", "to": roster}],
                "shifts": [{"person": p, "hours": h} for p, h in zip(people, hours, strict=True)],
            },
        )


def _rosters() -> Iterator[tuple[str, str, Level, str, tuple[str, ...]]]:
    yield "district", "河西区值班台", Level.DISTRICT, facts.DISTRICT, _THREE_SHIFTS * 2
    for s in facts.streets():
        yield f"street-{s.code}", f"{s.name}值班台", Level.STREET, s.code, _THREE_SHIFTS
    for c in facts.communities():
        yield f"community-{c.code}", f"{c.name}值班台", Level.COMMUNITY, c.code, _TWO_SHIFTS


def _duty_person(random: Random, number: int, place: tuple[Level, str]) -> dict[str, Any]:
    gender = random.choice(("female", "male"))
    data: dict[str, Any] = {
        "name": younger_name(random, gender),
        "gender": gender,
        "phone": phone(_STAFF_PHONES + number),
        "tags": ["duty"],
    }
    if place[0] is Level.COMMUNITY:
        data["community"] = place[1]
    if place[0] is not Level.DISTRICT:
        data["street"] = place[1][:9]
    return data


def stewards(seed: int, homes: list[Building]) -> tuple[dict[str, list[str]], list[Item]]:
    """Stewards by street, in proportion to its elders and at least one each; and their records."""
    random = chance(seed, "stewards")
    by_street: dict[str, list[str]] = {}
    items: list[Item] = []
    for street in facts.streets():
        elders = sum(1 for home in homes if home.street == street.code)
        for _ in range(max(1, round(elders / ELDERS_PER_STEWARD))):
            identity = f"W{len(items) + 1:03d}"
            by_street.setdefault(street.code, []).append(identity)
            items.append(("person", identity, _steward(random, len(items), street.code)))
    return by_street, items


def _steward(random: Random, number: int, street: str) -> dict[str, Any]:
    gender = random.choice(("female", "female", "male"))
    return {
        "name": younger_name(random, gender),
        "gender": gender,
        "phone": phone(_STEWARD_PHONES + number),
        "street": street,
        "tags": ["steward"],
    }


def centres(seed: int, layout: Layout) -> Iterator[Item]:
    """The service centres, evenly over the built-up district, with their opening hours."""
    random = chance(seed, "centres")
    area = layout.district.shape
    for n, cell in enumerate(partition(area, scatter(area, CENTRES, random), rounds=12), start=1):
        middle = cell.representative_point()
        community = _containing(layout.communities, middle)
        hours = _CENTRE_HOURS[(n * 7) % len(_CENTRE_HOURS)]
        at = spot_to_point((middle.x, middle.y))
        yield (
            "centre",
            f"SC{n:02d}",
            {
                "name": f"{community.name.removesuffix('社区')}居家养老服务中心（模拟）",
                "lon": at.lon,
                "lat": at.lat,
                "hours": hours,
                "street": community.parent,
                "community": community.code,
                "phone": phone(_CENTRE_PHONES + n),
                "addresses": [{"by": "desk", "to": f"SC{n:02d}"}],
            },
        )


def _containing(grounds: list[Ground], point: Any) -> Ground:
    return min(grounds, key=lambda ground: float(ground.shape.distance(point)))
