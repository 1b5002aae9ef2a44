"""The signals of simulated days: heartbeats, movement, calls, false alarms, batteries, power.

Rates follow what operators publish: 15 to 29 calls a user and year, four in five of them false;
hubs that report every quarter of an hour; a power cut that makes every hub speak within a minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from random import Random
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from hexi.kernel.clock import DAY, HOUR, LOCAL, MINUTE, SECOND, Duration, Instant, parse_duration, to_datetime
from hexi.kernel.record import Record
from hexi.kernel.signal import Signal
from hexi.sim.chance import chance, lognormal
from hexi.sim.faults import REPORT_WITHIN, Faults

SOURCE = "sim"
_YEAR = 365.0
_MAINS = frozenset({"radar"})
_MORNING = range(5, 9)
_RISING = (6, 6, 7, 7, 8)


class Home(NamedTuple):
    """What the day needs of a home: whose, where, and its devices by type with their heartbeats."""

    elder: str
    community: str
    devices: dict[str, tuple[str, Duration]]


class Event(NamedTuple):
    """A signal before it has its identity; sorts by time."""

    at: Instant
    device: str
    kind: str
    data: dict[str, Any]


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """How often things happen, a device and year unless said otherwise."""

    calls: float = 22.0
    radar_falls: float = 6.0
    watch_falls: float = 4.0
    fences: float = 2.0
    smoke: float = 0.5
    gas: float = 0.3
    water: float = 0.4
    batteries: float = 0.6
    power: float = 4.0
    cancelled: float = 0.12
    """Share of calls the elder takes back."""
    moves: float = 30.0
    """A home with a motion sensor and day."""
    bathroom: float = 7.0
    """Visits a home with a radar and day."""
    doors: float = 4.0
    """Openings a home with a door sensor and day."""
    vitals: float = 10.0
    """Readings of each sort a bed and night."""
    odd: float = 0.002
    """Share of visits, openings and readings that are not as they should be."""
    lying: float = 0.5
    """Mornings a year on which an elder does not get up."""
    trouble: float = 1.0
    """Multiplies everything that may call somebody."""


def homes_of(records: Iterable[Record], limit: int | None = None) -> list[Home]:
    """The homes among a district's records, each person before the devices; stops after ``limit``."""
    homes: dict[str, Home] = {}
    for record in records:
        if record.kind == "person" and "elder" in record.data.get("tags", ()):
            if limit is not None and len(homes) >= limit:
                break
            homes[record.id] = Home(record.id, record.data.get("community") or "", {})
        elif record.kind == "device" and record.data.get("owner") in homes:
            heartbeat = record.data.get("heartbeat")
            length = parse_duration(heartbeat) if heartbeat else 0
            homes[record.data["owner"]].devices[record.data["type"]] = (record.id, length)
    return list(homes.values())


def enough_homes(homes: Iterable[Home], signals: int, rates: Rates) -> list[Home]:
    """The first homes that together send about so many signals a day; all when they are too few."""
    chosen: list[Home] = []
    left = float(signals)
    for home in homes:
        if left <= 0:
            break
        chosen.append(home)
        left -= expected(home, rates)
    return chosen


def expected(home: Home, rates: Rates) -> float:
    """About how many signals a home sends a day."""
    beats = sum(DAY / heartbeat for _, heartbeat in home.devices.values() if heartbeat)
    habits = {
        "motion": rates.moves,
        "radar": 2 * rates.bathroom,
        "door": 2 * rates.doors,
        "bed": 2 * rates.vitals,
    }
    return beats + sum(count for kind, count in habits.items() if kind in home.devices)


class Traffic:
    """The signals of some homes over any time, the same for the same seed."""

    def __init__(
        self, homes: list[Home], *, seed: int = 1, rates: Rates | None = None, faults: Faults | None = None
    ) -> None:
        self._homes = homes
        self._seed = seed
        self._rates = rates or Rates()
        self._faults = faults or Faults()

    def stream(self, start: Instant, until: Instant) -> Iterator[tuple[Instant, Signal]]:
        """Signals in the order of their time, hour by hour, so that a day is never held whole."""
        waiting: list[tuple[Event, int]] = []
        serial = number = 0
        for hour in range(start - start % HOUR, until, HOUR):
            for event in self._hour(hour):
                serial += 1
                heappush(waiting, (event, serial))
            while waiting and waiting[0][0].at < min(hour + HOUR, until):
                event = heappop(waiting)[0]
                if event.at >= start:
                    number += 1
                    yield event.at, self._signal(event, f"{self._seed}-{start}-{number}")

    def _hour(self, hour: Instant) -> Iterator[Event]:
        for home in self._homes:
            random = chance(self._seed, "hour", home.elder, hour)
            for event in self._at_home(random, home, hour):
                if not self._is_mute(home, event):
                    yield event
        yield from self._power_cuts(hour)

    def _at_home(self, random: Random, home: Home, hour: Instant) -> Iterator[Event]:
        yield from heartbeats(home, hour)
        yield from alarms(random, home, hour, self._rates)
        moment = to_datetime(hour, LOCAL)
        if moment.hour not in _MORNING:
            yield from living(random, home, hour, self._rates)
            return
        morning = chance(self._seed, "morning", home.elder, moment.date())
        if morning.random() >= self._rates.lying * self._rates.trouble / _YEAR:
            yield from living(random, home, hour, self._rates)
            if morning.choice(_RISING) == moment.hour:
                yield from rising(random, home, hour)

    def _is_mute(self, home: Home, event: Event) -> bool:
        if self._faults.is_dead(event.device, event.at):
            return True
        on_mains = event.device.rpartition("-")[2] in _MAINS
        return on_mains and self._faults.mains_off(home.community, event.at)

    def _power_cuts(self, hour: Instant) -> Iterator[Event]:
        for cut in self._faults.power_cuts:
            hubs = [
                home.devices["hub"][0]
                for home in self._homes
                if home.community == cut.community and "hub" in home.devices
            ]
            for kind, at in (("power.lost", cut.at), ("power.restored", cut.until)):
                if hour <= at < hour + HOUR:
                    random = chance(self._seed, kind, at)
                    yield from (Event(at + random.randrange(REPORT_WITHIN), hub, kind, {}) for hub in hubs)

    def _signal(self, event: Event, identity: str) -> Signal:
        return Signal(
            id=identity,
            source=SOURCE,
            kind=event.kind,
            received=event.at,
            time=event.at,
            subject=f"device:{event.device}",
            data=event.data,
        )


def heartbeats(home: Home, hour: Instant) -> Iterator[Event]:
    """The regular reports of an hour; each device keeps its own moment."""
    for device, every in home.devices.values():
        if not every:
            continue
        phase = crc32(device.encode()) % every
        first = hour + (phase - hour) % every
        for at in range(first, hour + HOUR, every):
            yield Event(at, device, "device.heartbeat", {})


def living(random: Random, home: Home, hour: Instant, rates: Rates) -> Iterator[Event]:
    """What an ordinary hour at home sends: movement, the bathroom, the door, a night's rest."""
    if 6 <= to_datetime(hour, LOCAL).hour < 22:
        yield from _moves(random, home, hour, rates.moves / 16)
        yield from _pairs(random, home, hour, _DOOR.often(rates.doors / 16, rates.odd))
    elif "bed" in home.devices:
        yield from _vitals(random, home, hour, rates)
    yield from _pairs(random, home, hour, _BATHROOM.often(rates.bathroom / 24, rates.odd))


def rising(random: Random, home: Home, hour: Instant) -> Iterator[Event]:
    """Getting up is seen by every sensor of the home, once and surely."""
    yield from _moves(random, home, hour, 1.0)
    yield from _pairs(random, home, hour, _BATHROOM.often(1.0, 0.0))
    yield from _pairs(random, home, hour, _DOOR.often(1.0, 0.0))


class Coming(NamedTuple):
    """Something that begins and ends: its device, both kinds, usual seconds, times an hour, odd share."""

    device: str
    begins: str
    ends: str
    seconds: float
    hourly: float = 0.0
    odd: float = 0.0

    def often(self, hourly: float, odd: float) -> Coming:
        """The same, so many times an hour, with a share that lasts far too long."""
        return self._replace(hourly=hourly, odd=odd)


_DOOR = Coming("door", "door.opened", "door.closed", 90)
_BATHROOM = Coming("radar", "bathroom.entered", "bathroom.left", 400)


def _moves(random: Random, home: Home, hour: Instant, hourly: float) -> Iterator[Event]:
    if "motion" not in home.devices:
        return
    device = home.devices["motion"][0]
    for _ in range(_times(random, hourly)):
        yield Event(_moment(random, hour), device, "motion.seen", {"room": "客厅"})


def _pairs(random: Random, home: Home, hour: Instant, coming: Coming) -> Iterator[Event]:
    if coming.device not in home.devices:
        return
    device = home.devices[coming.device][0]
    for _ in range(_times(random, coming.hourly)):
        at = _moment(random, hour)
        slow = 20.0 if random.random() < coming.odd else 1.0
        length = min(lognormal(random, coming.seconds, 0.5), 1_100.0) * slow
        yield Event(at, device, coming.begins, {})
        yield Event(at + round(length * SECOND), device, coming.ends, {})


def _vitals(random: Random, home: Home, hour: Instant, rates: Rates) -> Iterator[Event]:
    device = home.devices["bed"][0]
    for _ in range(_times(random, rates.vitals / 8)):
        at = _moment(random, hour)
        odd = random.random() < rates.odd * rates.trouble
        bpm = random.choice((36, 138)) if odd else round(random.gauss(66, 7))
        yield Event(at, device, "vitals.heart_rate", {"bpm": max(bpm, 30 if odd else 45)})
        rpm = min(22, max(10, round(random.gauss(15, 2))))
        yield Event(at + SECOND, device, "vitals.breathing", {"rpm": rpm})


def alarms(random: Random, home: Home, hour: Instant, rates: Rates) -> Iterator[Event]:
    """What may call somebody; rare, more by day than by night."""
    of_day = to_datetime(hour, LOCAL).hour
    hourly = rates.trouble * (1.3 if 6 <= of_day < 22 else 0.4) / (_YEAR * 24)
    yield from _calls(random, home, hour, rates, hourly)
    for alarm in _ALARMS:
        if alarm.device in home.devices and random.random() < getattr(rates, alarm.rate) * hourly:
            yield from _alarm(random, home.devices[alarm.device][0], hour, alarm)


class Alarm(NamedTuple):
    """An alarm: its device, the field of ``Rates``, its kind, what ends it and after how long."""

    device: str
    rate: str
    kind: str
    ends: str = ""
    lasts: Duration = 0


_ALARMS = (
    Alarm("radar", "radar_falls", "radar.fall"),
    Alarm("watch", "watch_falls", "watch.fall"),
    Alarm("watch", "fences", "fence.left", "fence.entered", 40 * MINUTE),
    Alarm("smoke", "smoke", "smoke.alarm", "smoke.cleared", 12 * MINUTE),
    Alarm("gas", "gas", "gas.alarm", "gas.cleared", 15 * MINUTE),
    Alarm("water", "water", "water.leak", "water.cleared", 2 * HOUR),
    Alarm("pendant", "batteries", "battery.low", "battery.ok", 30 * HOUR),
    Alarm("door", "batteries", "battery.low", "battery.ok", 40 * HOUR),
    Alarm("motion", "batteries", "battery.low", "battery.ok", 40 * HOUR),
    Alarm("hub", "power", "power.lost", "power.restored", 25 * MINUTE),
)
_CALLERS = (("pendant", "pendant.sos"), ("cord", "cord.sos"), ("watch", "watch.sos"), ("bed", "bed.sos"))


def _calls(random: Random, home: Home, hour: Instant, rates: Rates, hourly: float) -> Iterator[Event]:
    """A cry by whatever is at hand; pressed again in doubt, sometimes taken back."""
    callers = [(home.devices[name][0], kind) for name, kind in _CALLERS if name in home.devices]
    if not callers or random.random() >= rates.calls * hourly:
        return
    device, kind = callers[0] if random.random() < 0.7 else random.choice(callers)
    at = _moment(random, hour)
    yield Event(at, device, kind, {})
    if random.random() < 0.3:
        yield Event(at + random.randrange(1, 20) * SECOND, device, kind, {})
    if kind == "pendant.sos" and random.random() < rates.cancelled:
        yield Event(at + random.randrange(20, 90) * SECOND, device, "pendant.cancel", {})


def _alarm(random: Random, device: str, hour: Instant, alarm: Alarm) -> Iterator[Event]:
    at = _moment(random, hour)
    yield Event(at, device, alarm.kind, _details(random, alarm.kind))
    if alarm.ends:
        length = round(lognormal(random, alarm.lasts, 0.5))
        yield Event(at + length, device, alarm.ends, {})


def _details(random: Random, kind: str) -> dict[str, Any]:
    if kind == "radar.fall":
        return {"confidence": round(random.betavariate(3, 2), 2), "room": "卫生间"}
    if kind == "watch.fall":
        return {"confidence": round(random.betavariate(3, 2), 2)}
    if kind == "battery.low":
        return {"percent": random.randint(3, 15)}
    return {}


def _times(random: Random, mean: float) -> int:
    """How many times something happens in an hour: a whole number around the mean."""
    whole = int(mean)
    extra = sum(random.random() < (mean - whole) / 2 for _ in range(2))
    return whole + extra


def _moment(random: Random, hour: Instant) -> Instant:
    return hour + random.randrange(HOUR)
