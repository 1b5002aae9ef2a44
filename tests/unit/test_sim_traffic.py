from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from hexi.kernel.clock import DAY, HOUR, MINUTE, parse_instant
from hexi.sim.district import SMALL, generate
from hexi.sim.faults import Faults, PowerCut
from hexi.sim.traffic import Rates, Traffic, enough_homes, expected, homes_of

MIDNIGHT = parse_instant("2026-05-01T00:00:00+08:00")
KINDS = {
    *("pendant.sos", "pendant.cancel", "cord.sos", "bed.sos", "watch.sos", "radar.fall", "watch.fall"),
    *("motion.seen", "bathroom.entered", "bathroom.left", "door.opened", "door.closed"),
    *("vitals.heart_rate", "vitals.breathing", "fence.left", "fence.entered", "smoke.alarm", "smoke.cleared"),
    *("gas.alarm", "gas.cleared", "water.leak", "water.cleared", "battery.low", "battery.ok"),
    *("power.lost", "power.restored", "device.heartbeat"),
}


@pytest.fixture(scope="module")
def homes():
    return homes_of(generate(seed=1, elders=SMALL))


def day(homes, **settings):
    return list(Traffic(homes, **settings).stream(MIDNIGHT, MIDNIGHT + DAY))


def test_the_same_seed_sends_the_same_day(homes):
    assert day(homes[:20]) == day(homes[:20])
    assert day(homes[:20]) != day(homes[:20], seed=2)


def test_signals_come_in_order_of_time_with_ids_of_their_own(homes):
    signals = day(homes, rates=Rates(trouble=30))
    times = [at for at, _ in signals]
    assert times == sorted(times)
    assert times[0] >= MIDNIGHT
    assert times[-1] < MIDNIGHT + DAY
    assert len({signal.key for _, signal in signals}) == len(signals)


def test_a_troubled_year_knows_every_kind_and_no_other(homes):
    found = Counter(signal.kind for _, signal in day(homes, rates=Rates(trouble=300)))
    assert set(found) == KINDS


def test_the_number_of_signals_can_be_asked_for():
    homes = homes_of(generate(seed=1, elders=1_000), limit=900)
    assert len(homes) == 900
    chosen = enough_homes(homes, 50_000, Rates())
    assert sum(expected(home, Rates()) for home in chosen) == pytest.approx(50_000, rel=0.01)
    assert len(day(chosen)) == pytest.approx(50_000, rel=0.05)


def test_ordinary_days_have_about_one_call_for_seventeen_homes(homes):
    kinds = Counter()
    for number in range(10):
        start = MIDNIGHT + number * DAY
        kinds.update(s.kind for _, s in Traffic(homes).stream(start, start + DAY))
    presses = sum(count for kind, count in kinds.items() if kind.endswith(".sos"))
    assert 80 < presses < 240


def test_a_device_owes_its_heartbeat_on_time(homes):
    hub, every = homes[0].devices["hub"]
    beats = [at for at, s in day(homes[:1]) if s.kind == "device.heartbeat" and s.subject == f"device:{hub}"]
    assert len(beats) == DAY // every
    assert {b - a for a, b in pairwise(beats)} == {every}


def test_everybody_with_a_sensor_is_seen_in_the_morning(homes):
    seen = {
        s.subject
        for at, s in day(homes, rates=Rates(lying=0))
        if 5 * HOUR <= at - MIDNIGHT < 9 * HOUR
        and s.kind in {"motion.seen", "bathroom.entered", "door.opened"}
    }
    for home in homes:
        for sensor in ("motion", "radar", "door"):
            if sensor in home.devices:
                assert f"device:{home.devices[sensor][0]}" in seen


def test_whoever_does_not_get_up_is_not_seen_all_morning(homes):
    kinds = {s.kind for at, s in day(homes, rates=Rates(lying=365)) if 5 * HOUR <= at - MIDNIGHT < 9 * HOUR}
    assert "device.heartbeat" in kinds
    assert not kinds & {"motion.seen", "bathroom.entered", "door.opened"}


def test_doors_and_bathrooms_are_left_as_often_as_entered(homes):
    per_device = defaultdict(Counter)
    for _, signal in day(homes, rates=Rates(odd=0)):
        per_device[signal.subject][signal.kind] += 1
    for counts in per_device.values():
        assert abs(counts["door.opened"] - counts["door.closed"]) <= 1
        assert abs(counts["bathroom.entered"] - counts["bathroom.left"]) <= 2


def test_a_power_cut_makes_every_hub_of_the_community_speak_within_a_minute(homes):
    community = Counter(home.community for home in homes).most_common(1)[0][0]
    hubs = {f"device:{h.devices['hub'][0]}" for h in homes if h.community == community and "hub" in h.devices}
    cut = PowerCut(community, MIDNIGHT + 10 * HOUR + 59 * MINUTE + 30_000, 2 * HOUR)
    signals = day(homes, rates=Rates(power=0), faults=Faults(power_cuts=(cut,)))
    for kind, began in (("power.lost", cut.at), ("power.restored", cut.until)):
        reports = [(at, s.subject) for at, s in signals if s.kind == kind]
        assert {subject for _, subject in reports} == hubs
        assert all(began <= at < began + MINUTE for at, _ in reports)


def test_a_radar_without_mains_is_mute():
    home = next(h for h in homes_of(generate(seed=1, elders=3)) if "radar" in h.devices)
    cut = PowerCut(home.community, MIDNIGHT, DAY)
    radar = f"device:{home.devices['radar'][0]}"
    assert radar in {s.subject for _, s in day([home])}
    assert radar not in {s.subject for _, s in day([home], faults=Faults(power_cuts=(cut,)))}


def test_a_dead_device_sends_nothing_from_then_on(homes):
    hub = homes[0].devices["hub"][0]
    noon = MIDNIGHT + 12 * HOUR
    signals = day(homes[:1], faults=Faults(dead_devices={hub: noon}))
    times = [at for at, s in signals if s.subject == f"device:{hub}"]
    assert times
    assert max(times) < noon


def test_a_stream_can_begin_in_the_middle_of_a_day(homes):
    start = MIDNIGHT + 10 * HOUR + 7 * MINUTE
    part = list(Traffic(homes[:5]).stream(start, start + HOUR))
    assert part
    assert all(start <= at < start + HOUR for at, _ in part)
