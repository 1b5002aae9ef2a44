"""Synthetic homes: elders, those to be told about them, and their devices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple

from hexi.sim.chance import chance
from hexi.sim.layout import Building
from hexi.sim.names import MEDICAL_NOTES, elder_name, phone, younger_name
from hexi.sim.staff import Item

_BORN_UNTIL = date(1966, 1, 1)
_OTHER = {"female": "male", "male": "female"}
_CHILD = {"female": "女儿", "male": "儿子"}

LIVING_ALONE = 0.35
"""Share of elders living alone: higher than in the population, they are whom the service is for."""


class Fitting(NamedTuple):
    """One sort of device: how many homes have it, where, and how often it must be heard."""

    type: str
    name: str
    share: float
    heartbeat: str
    room: str
    model: str


FITTINGS = (
    Fitting("hub", "报警主机", 0.95, "15m", "客厅", "SIM-HUB"),
    Fitting("pendant", "呼叫挂件", 0.85, "1d", "随身", "SIM-PENDANT"),
    Fitting("radar", "毫米波雷达", 0.30, "1h", "卫生间", "SIM-RADAR"),
    Fitting("smoke", "烟感", 0.40, "1d", "厨房", "SIM-SMOKE"),
    Fitting("gas", "燃气报警器", 0.35, "1d", "厨房", "SIM-GAS"),
    Fitting("water", "水浸传感器", 0.15, "1d", "卫生间", "SIM-WATER"),
    Fitting("door", "门磁", 0.30, "1d", "门口", "SIM-DOOR"),
    Fitting("motion", "人体感应器", 0.40, "1d", "客厅", "SIM-MOTION"),
    Fitting("bed", "床垫传感器", 0.10, "1h", "卧室", "SIM-BED"),
    Fitting("watch", "手表", 0.15, "1h", "随身", "SIM-WATCH"),
    Fitting("cord", "拉绳", 0.20, "1d", "卫生间", "SIM-CORD"),
)


class HomePlan(NamedTuple):
    """What is decided about an elder's home before its details are drawn."""

    number: int
    building: Building
    steward: str

    @property
    def elder(self) -> str:
        """The id of the person."""
        return f"E{self.number:05d}"

    @property
    def is_first(self) -> bool:
        """The first home is the one shown to newcomers: an elder alone, with all that is needed."""
        return self.number == 1


def home_items(seed: int, plan: HomePlan) -> Iterator[Item]:
    """The records of one home: the elder, the contacts, the devices."""
    random = chance(seed, "home", plan.number)
    gender = random.choice(("female", "female", "female", "male", "male"))
    name = elder_name(random, gender)
    alone = plan.is_first or random.random() < LIVING_ALONE
    contacts = list(_contacts(random, plan, (name, gender), alone=alone))
    elder = _elder(random, plan, (name, gender), alone=alone)
    yield "person", plan.elder, {**elder, **_way_in(random, contacts)}
    for order, contact in enumerate(contacts, start=1):
        yield "contact", f"{plan.elder}-C{order}", {**contact, "order": order}
    yield from _devices(random, plan)


def _elder(random: Random, plan: HomePlan, who: tuple[str, str], *, alone: bool) -> dict[str, Any]:
    building = plan.building
    door = random.randint(1, building.doors)
    point = building.entrance(door)
    flat = f"{random.randint(1, 6 if building.doors > 2 else 18)}0{random.randint(1, 4)}"
    return {
        "name": who[0],
        "gender": who[1],
        "birth_date": _birth(random),
        "phone": phone(plan.number),
        "address": f"{building.street_name}{building.name}{door}门{flat}",
        "building": building.code,
        "grid": building.grid,
        "community": building.community,
        "street": building.street,
        "lon": point.lon,
        "lat": point.lat,
        "lives_alone": alone,
        "tags": ["elder"],
        "steward": plan.steward,
        "consent": plan.is_first or random.random() < 0.97,
        "medical_note": _note(random, plan),
    }


def _birth(random: Random) -> str:
    """Between 60 and 100 at the start of 2026, thinning out with age."""
    years = min(39.9, random.expovariate(1 / 14.0))
    return (_BORN_UNTIL - timedelta(days=round(years * 365.25))).isoformat()


def _note(random: Random, plan: HomePlan) -> str | None:
    if not plan.is_first and random.random() < 0.25:
        return None
    return "；".join(random.sample(MEDICAL_NOTES, random.choice((1, 1, 2))))


def _way_in(random: Random, contacts: list[dict[str, Any]]) -> dict[str, Any]:
    """Who has a key, and the code of the door downstairs."""
    holder = contacts[-1] if contacts else None
    key = f"{holder['relation']}{holder['name']}，{holder['phone']}" if holder else "居委会值班台"
    return {"key_holder": key, "door_code": f"{random.randint(0, 9999):04d}#"}


def _contacts(
    random: Random, plan: HomePlan, who: tuple[str, str], *, alone: bool
) -> Iterator[dict[str, Any]]:
    """Children first, then the neighbour who has the key; a few elders have nobody."""
    if not plan.is_first and random.random() < 0.03:
        return
    found: list[tuple[str, str]] = []
    if not alone and random.random() < 0.6:
        found.append(("老伴", elder_name(random, _OTHER[who[1]])))
    surname = who[0][0] if who[1] == "male" else None
    children = (
        ("female", "male") if plan.is_first else random.choices(("female", "male"), k=random.randint(0, 2))
    )
    found += [(_CHILD[child], younger_name(random, child, surname)) for child in children]
    if plan.is_first or not found or random.random() < 0.5:
        found.append(("邻居", elder_name(random, random.choice(("female", "male")))))
    for order, (relation, name) in enumerate(found):
        yield _contact(random, plan, relation, name) | {"phone": phone(100_000 + plan.number * 5 + order)}


def _contact(random: Random, plan: HomePlan, relation: str, name: str) -> dict[str, Any]:
    data: dict[str, Any] = {"person": plan.elder, "name": name, "relation": relation}
    if random.random() < 0.2:
        data["quiet_hours"] = "22:00-07:00"
    if relation in {"女儿", "儿子"} and random.random() < 0.03:
        data["language"] = "en"
    return data


def _devices(random: Random, plan: HomePlan) -> Iterator[Item]:
    for fitting in FITTINGS:
        if random.random() < fitting.share or plan.is_first:
            yield (
                "device",
                f"D{plan.number:05d}-{fitting.type}",
                {
                    "name": fitting.name,
                    "type": fitting.type,
                    "owner": plan.elder,
                    "room": fitting.room,
                    "heartbeat": fitting.heartbeat,
                    "model": fitting.model,
                    "source": "sim",
                },
            )
