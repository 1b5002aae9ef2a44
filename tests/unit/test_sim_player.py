import asyncio
from random import Random

import pytest

from hexi.adapters.channels.inbox import InboxChannel
from hexi.adapters.clock import SystemClock
from hexi.adapters.geo import read_index
from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import open_store
from hexi.kernel.clock import HOUR, MINUTE, SECOND, SimClock, parse_instant
from hexi.kernel.deadline import DeadlineKind
from hexi.kernel.ports import CaseFilter
from hexi.kernel.response import UndeliveredError
from hexi.kernel.signal import Signal
from hexi.sim.district import fill, generate
from hexi.sim.faults import Faults, GatewayDown, PowerCut
from hexi.sim.people import People
from hexi.sim.player import Agenda, Doors, LivePlayer, SimPlayer
from hexi.sim.telephones import AnsweringChannel
from hexi.sim.traffic import Rates, Traffic, homes_of
from hexi.spine.hub import Hub
from hexi.spine.intake import Intake, OverloadedError
from hexi.spine.spine import Spine

TEN = parse_instant("2026-05-01T10:00:00+08:00")
ELDERS = 30
SOS = "elder_care.pendant_sos"


@pytest.fixture(scope="module")
def catalogue():
    return load_packs().catalogue()


@pytest.fixture(scope="module")
def records():
    return list(generate(seed=1, elders=ELDERS))


class World:
    """A small district on a store of its own."""

    def __init__(self, catalogue, records, url="sqlite:///:memory:"):
        self.store = open_store(url, catalogue.record_kinds)
        self.catalogue = catalogue
        self.clock = SimClock(TEN)
        self.homes = homes_of(records)
        fill(self.store, records, watched={home.elder for home in self.homes}, since=TEN)

    def spine(self, clock=None):
        with self.store.read() as tx:
            places = read_index(tx)
        return Spine(self.store, clock or self.clock, self.catalogue, places, Random(1))

    def cases(self, **wanted):
        with self.store.read() as tx:
            return tx.cases.find(CaseFilter(**wanted), 1_000)

    def case(self, row):
        with self.store.read() as tx:
            return tx.cases.get(row.id)


@pytest.fixture
def world(catalogue, records):
    made = World(catalogue, records)
    yield made
    made.store.close()


def press(at, device="D00001-pendant", kind="pendant.sos"):
    return at, Signal(id=f"{device}-{at}", source="test", kind=kind, received=at, subject=f"device:{device}")


def test_a_pressed_pendant_is_told_answered_and_ended(world):
    player = SimPlayer(world.spine(), world.clock, People(1))
    tally = player.play([press(TEN + MINUTE)], TEN + 2 * HOUR)
    (row,) = world.cases(scenario=SOS)
    case = world.case(row)
    assert not case.is_open
    assert case.subject == "person:E00001"
    assert "arrived" in case.milestones
    assert {"family", "steward"} <= set(case.roles)
    assert tally.signals == 1
    assert tally.acts >= 3


def test_when_nobody_answers_the_case_goes_up_and_stays_open(world):
    everyone = People(1, spared=lambda _: True)
    SimPlayer(world.spine(), world.clock, everyone).play([press(TEN + MINUTE)], TEN + HOUR)
    (row,) = world.cases(scenario=SOS)
    case = world.case(row)
    assert case.is_open
    assert case.promises["acknowledged"].missed == pytest.approx(TEN + 2 * MINUTE, abs=SECOND)
    assert "escalated" in case.milestones


def test_a_gateway_that_is_down_is_tried_again_and_the_other_ways_go_through(world):
    down = Faults(gateways=(GatewayDown("call", TEN, 10 * MINUTE),))
    silent = People(1, spared=lambda _: True)
    player = SimPlayer(world.spine(), world.clock, silent, faults=down)
    tally = player.play([press(TEN + MINUTE)], TEN + 3 * MINUTE)
    assert tally.failures > tally.opened
    case = world.case(world.cases(scenario=SOS)[0])
    rungs = {
        way: [n for n in case.notices.values() if n.way == way and "L1" in n.rungs] for way in ("call", "app")
    }
    assert rungs["app"]
    assert not rungs["call"]


def test_a_power_cut_opens_a_case_in_every_home_with_a_hub(world):
    community = world.homes[0].community
    cut = Faults(power_cuts=(PowerCut(community, TEN + MINUTE, HOUR),))
    traffic = Traffic(world.homes, rates=Rates(trouble=0), faults=cut)
    SimPlayer(world.spine(), world.clock, People(1)).play(
        traffic.stream(TEN, TEN + 5 * MINUTE), TEN + 5 * MINUTE
    )
    without = {f"person:{h.elder}" for h in world.homes if h.community == community and "hub" in h.devices}
    assert {row.subject for row in world.cases(scenario="elder_care.power_lost")} == without


def test_only_played_devices_are_missed_when_they_fall_silent(world):
    dead = world.homes[0].devices["hub"][0]
    traffic = Traffic(world.homes, rates=Rates(trouble=0), faults=Faults(dead_devices={dead: TEN}))
    SimPlayer(world.spine(), world.clock, People(1), step=30 * SECOND).play(
        traffic.stream(TEN, TEN + 3 * HOUR), TEN + 3 * HOUR
    )
    silent = [row.device for row in world.cases(scenario="elder_care.device_silent")]
    assert silent == [f"device:{dead}"]


def test_devices_of_unwatched_elders_owe_nothing(catalogue, records):
    with_none = open_store("sqlite:///:memory:", catalogue.record_kinds)
    fill(with_none, records)
    with with_none.read() as tx:
        assert tx.deadlines.pending() == 0
    with_none.close()


def test_a_restart_in_the_middle_of_a_case_loses_nothing(catalogue, records, tmp_path):
    world = World(catalogue, records, f"sqlite:///{tmp_path / 'district.db'}")
    again = Faults(restarts=(TEN + 90 * SECOND,))
    silent = People(1, spared=lambda _: True)
    player = SimPlayer(world.spine(), world.clock, silent, faults=again)
    first = player.spine
    tally = player.play([press(TEN + MINUTE)], TEN + 20 * MINUTE, restart=world.spine)
    assert tally.restarts == 1
    assert player.spine is not first
    (row,) = world.cases(scenario=SOS)
    assert world.case(row).promises["acknowledged"].missed == pytest.approx(TEN + 2 * MINUTE, abs=SECOND)
    with world.store.read() as tx:
        left = {d.kind for d in tx.deadlines.of_case(row.id)}
    assert DeadlineKind.PROMISE in left
    world.store.close()


def test_the_same_seed_plays_the_same_day_twice(catalogue, records):
    tallies = []
    for _ in range(2):
        world = World(catalogue, records)
        traffic = Traffic(world.homes, rates=Rates(trouble=200))
        player = SimPlayer(world.spine(), world.clock, People(1), step=10 * SECOND)
        tallies.append(player.play(traffic.stream(TEN, TEN + HOUR), TEN + HOUR))
        world.store.close()
    assert tallies[0] == tallies[1]
    assert tallies[0].opened > 3


def test_an_agenda_is_bounded_and_in_order():
    agenda = Agenda(most=2)
    for at in (30, 10, 20):
        agenda.add(at, press(at)[1])
    assert agenda.dropped == 1
    assert [item.received for item in agenda.due(25)] == [10]
    assert [item.received for item in agenda.due(30)] == [30]


def live(world, signals, people, *, speed=1_000.0, faults=None, stop_after=None):
    """Play against a real intake whose notices go through an answering channel."""

    async def run():
        clock = SystemClock()
        owed = []
        intake = Intake(world.spine(clock), Hub(), owed.extend)
        await intake.start()
        player = LivePlayer(clock, Doors(intake.submit, intake.receipt), people, speed=speed)
        channel = AnsweringChannel(InboxChannel(clock), player.reached, clock, faults)
        playing = asyncio.create_task(player.run(signals))
        if stop_after is not None:
            asyncio.get_running_loop().call_later(stop_after, player.stop)
        handed = 0
        while not playing.done():
            while owed:
                notice = owed.pop()
                await intake.receipt(await channel.send(notice, None))
                handed += 1
            await asyncio.sleep(0.01)
        await intake.stop()
        return await playing, handed

    return asyncio.run(asyncio.wait_for(run(), 30))


def test_live_play_hands_in_what_is_due_and_tells_people(world):
    signals = [press(TEN), press(TEN + 10 * MINUTE, "D00002-hub", "device.heartbeat")]
    tally, handed = live(world, signals, People(1, spared=lambda _: True))
    assert tally.signals == 2
    assert handed == tally.notices > 3
    case = world.case(world.cases(scenario=SOS)[0])
    rung = [n for n in case.notices.values() if n.way == "call"]
    assert rung
    assert all({"L1", "L2"} <= set(n.rungs) for n in rung)


def test_live_play_can_be_stopped_in_the_middle_of_an_endless_stream(world):
    traffic = Traffic(world.homes)
    tally, _ = live(world, traffic.stream(TEN, 2**52), People(1), speed=60.0, stop_after=0.5)
    assert tally.signals < 1_000


def test_live_play_waits_for_an_overloaded_platform_and_loses_nothing():
    refusals = [OverloadedError("full")]
    taken = []

    async def submit(signals):
        if refusals:
            raise refusals.pop()
        taken.extend(signals)

    async def report(_):
        raise AssertionError

    player = LivePlayer(SystemClock(), Doors(submit, report), People(1), speed=1e6)
    tally = asyncio.run(player.run([press(TEN), press(TEN + MINUTE)]))
    assert [signal.id for signal in taken] == [press(TEN)[1].id, press(TEN + MINUTE)[1].id]
    assert tally.signals == 2


def test_a_gateway_that_is_down_says_so_to_the_senders(world):
    async def send():
        clock = SimClock(TEN)
        reached = []
        faults = Faults(gateways=(GatewayDown("call", TEN, MINUTE),))
        channel = AnsweringChannel(InboxChannel(clock), reached.append, clock, faults)
        spine = world.spine()
        notice = next(n for n in spine.take([press(TEN)[1]]).notices if n.way == "call")
        with pytest.raises(UndeliveredError, match="gateway down"):
            await channel.send(notice, None)
        assert reached == []
        clock.advance(MINUTE)
        await channel.send(notice, None)
        assert reached == [notice]
        await channel.close()

    asyncio.run(send())


def test_a_speed_is_positive():
    with pytest.raises(ValueError, match="positive"):
        LivePlayer(SystemClock(), Doors(None, None), People(1), speed=0)
