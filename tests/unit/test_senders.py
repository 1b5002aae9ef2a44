import asyncio
from dataclasses import dataclass, field

import pytest

from hexi.kernel.case import Rung
from hexi.kernel.clock import DAY, SimClock
from hexi.kernel.response import Notice, Receipt, UndeliveredError
from hexi.kernel.signal import Lane
from hexi.spine.links import Links
from hexi.spine.senders import Senders, Trunk

pytestmark = pytest.mark.anyio
T0 = 1_780_000_000_000


@pytest.fixture
def anyio_backend():
    return "asyncio"


def notice(number, way="call", lane=Lane.SOS, address=None, **other):
    return Notice(
        id=f"n{number}",
        case_id="260501-7K3Q-F2ZT",
        step="0",
        role="family",
        recipient=f"contact:C{number}",
        name="王芳",
        way=way,
        address=f"+8613800{number:06}" if address is None else address,
        text="疑似跌倒",
        language="zh",
        t0=T0,
        lane=lane,
        **other,
    )


@dataclass
class Gate:
    """A channel that lets a notice through when told; it logs who came and how many at once."""

    clock: SimClock
    begun: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    at_once: int = 0
    most: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, notice, link):
        self.begun.append(notice.id)
        self.links.append(link)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.opened.wait()
        finally:
            self.at_once -= 1
        return Receipt(notice_id=notice.id, at=self.clock.now(), rung=Rung.HANDED_OVER)


class Broken:
    def __init__(self, error):
        self.error = error

    async def send(self, notice, link):
        raise self.error


@dataclass
class Desk:
    """Where receipts arrive."""

    receipts: list[Receipt] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, receipt):
        self.receipts.append(receipt)
        self.news.set()

    async def wait_for(self, count):
        async with asyncio.timeout(20):
            while len(self.receipts) < count:
                self.news.clear()
                await self.news.wait()
        return self.receipts

    def of(self, number):
        return next(r for r in self.receipts if r.notice_id == f"n{number}")


def build(channels, desk, clock=None, **trunks):
    links = Links("secret", "https://hexi.example")
    return Senders(channels, desk.take, clock or SimClock(T0), links, trunks)


async def settle(turns=10):
    for _ in range(turns):
        await asyncio.sleep(0)


async def test_all_of_one_moment_begin_at_once_whatever_hangs():
    clock, desk = SimClock(T0), Desk()
    hanging, ready = Gate(clock), Gate(clock)
    ready.opened.set()
    senders = build({"call": hanging, "app": ready}, desk, clock, call=Trunk(timeout=60_000))
    await senders.run()
    senders.hand([notice(n, way="call" if n % 2 else "app") for n in range(8)])
    await desk.wait_for(4)
    assert {r.notice_id for r in desk.receipts} == {"n0", "n2", "n4", "n6"}
    assert hanging.begun == ["n1", "n3", "n5", "n7"]
    assert all(r.rung is Rung.HANDED_OVER and r.at == T0 for r in desk.receipts)
    await senders.stop(limit=0)


async def test_a_channel_that_hangs_is_given_up_and_can_be_tried_again():
    desk = Desk()
    gate = Gate(SimClock(T0))
    senders = build({"call": gate}, desk, call=Trunk(timeout=20))
    await senders.run()
    senders.hand([notice(1)])
    (receipt,) = await desk.wait_for(1)
    assert (receipt.rung, receipt.permanent, receipt.error) == (None, False, "no answer within 20ms")
    await settle()
    gate.opened.set()
    senders.hand([notice(1)])
    assert (await desk.wait_for(2))[1].rung is Rung.HANDED_OVER
    await senders.stop()


async def test_every_fault_of_a_channel_becomes_a_receipt_without_personal_text():
    desk, gate = Desk(), Gate(SimClock(T0))
    gate.opened.set()
    refused = UndeliveredError("HTTP 410", permanent=True, evidence={"status": 410})
    channels = {
        "sms": Broken(RuntimeError("cannot reach +8613800000001")),
        "mail": Broken(refused),
        "app": gate,
    }
    senders = build(channels, desk)
    await senders.run()
    senders.hand([notice(1, way="sms"), notice(2, way="mail"), notice(3, way="app")])
    await desk.wait_for(3)
    assert desk.of(1).error == "the channel failed: RuntimeError"
    assert not desk.of(1).permanent
    assert (desk.of(2).error, desk.of(2).permanent, desk.of(2).evidence) == (
        "HTTP 410",
        True,
        {"status": 410},
    )
    assert desk.of(3).rung is Rung.HANDED_OVER
    await senders.stop()


async def test_a_way_without_a_channel_fails_for_good():
    desk = Desk()
    senders = build({}, desk)
    await senders.run()
    senders.hand([notice(1, way="call")])
    (receipt,) = await desk.wait_for(1)
    assert (receipt.error, receipt.permanent) == ("no channel for way 'call'", True)
    await senders.stop()


async def test_a_notice_on_its_way_is_not_sent_again():
    desk, gate = Desk(), Gate(SimClock(T0))
    senders = build({"call": gate}, desk, call=Trunk(at_once=1))
    await senders.run()
    senders.hand([notice(1), notice(1), notice(2)])
    senders.hand([notice(1), notice(2)])
    await settle()
    assert (gate.begun, senders.on_the_way) == (["n1"], 2)
    gate.opened.set()
    await desk.wait_for(2)
    await settle()
    assert (gate.begun, senders.on_the_way) == (["n1", "n2"], 0)
    await senders.stop()


async def test_sos_overtakes_five_hundred_bulk_notices_on_a_limited_trunk():
    desk, gate = Desk(), Gate(SimClock(T0))
    senders = build({"call": gate}, desk, call=Trunk(at_once=2))
    await senders.run()
    senders.hand([notice(n, lane=Lane.BULK) for n in range(500)])
    senders.hand([notice(900, lane=Lane.ACT), notice(901, lane=Lane.SOS), notice(902, lane=Lane.SOS)])
    await settle()
    gate.opened.set()
    await desk.wait_for(503)
    assert gate.begun[:5] == ["n0", "n1", "n901", "n902", "n900"]
    assert gate.begun[5:] == [f"n{n}" for n in range(2, 500)]
    assert gate.most == 2
    await senders.stop()


async def test_sos_finds_room_beside_bulk_that_hangs():
    desk, gate = Desk(), Gate(SimClock(T0))
    senders = build({"call": gate}, desk, call=Trunk(at_once=16, timeout=60_000))
    await senders.run()
    senders.hand([notice(n, lane=Lane.BULK) for n in range(50)])
    senders.hand([notice(100), notice(101), notice(102)])
    await settle()
    assert gate.begun == [f"n{n}" for n in (*range(14), 100, 101)]
    await senders.stop(limit=0)


async def test_one_address_that_hangs_leaves_the_trunk_to_the_others():
    desk, gate = Desk(), Gate(SimClock(T0))
    senders = build({"group": gate}, desk, group=Trunk(at_once=64, timeout=60_000))
    await senders.run()
    senders.hand([notice(n, way="group", address="https://hangs.example") for n in range(100)])
    senders.hand([notice(n, way="group", address="https://works.example") for n in range(100, 108)])
    await settle()
    assert sum(int(i[1:]) < 100 for i in gate.begun) == 8
    assert sum(int(i[1:]) >= 100 for i in gate.begun) == 8
    gate.opened.set()
    await desk.wait_for(108)
    assert [i for i in gate.begun if int(i[1:]) < 100] == [f"n{n}" for n in range(100)]
    await senders.stop()


@pytest.mark.parametrize(("rate", "at_least"), [(50.0, 0.9), (35.0, 0.9)])
async def test_a_rate_is_kept_and_the_first_of_a_second_are_not_spread(rate, at_least):
    desk, gate = Desk(), Gate(SimClock(T0))
    gate.opened.set()
    senders = build({"sms": gate}, desk, sms=Trunk(rate=rate))
    await senders.run()
    loop = asyncio.get_running_loop()
    start = loop.time()
    senders.hand([notice(n, way="sms") for n in range(70)])
    await settle(50)
    assert len(gate.begun) == int(rate)
    await desk.wait_for(70)
    assert loop.time() - start >= at_least
    await senders.stop()


async def test_a_slow_rate_sends_one_in_several_seconds():
    desk, gate = Desk(), Gate(SimClock(T0))
    gate.opened.set()
    senders = build({"sms": gate}, desk, sms=Trunk(rate=0.2))
    await senders.run()
    senders.hand([notice(1, way="sms", lane=Lane.BULK), notice(2, way="sms")])
    await asyncio.sleep(0.2)
    assert gate.begun == ["n2"]
    await senders.stop()


async def test_what_is_recalled_before_its_turn_never_starts_and_takes_nobodys_place():
    desk, gate = Desk(), Gate(SimClock(T0))
    senders = build({"call": gate}, desk, call=Trunk(at_once=2))
    await senders.run()
    senders.hand([notice(n) for n in range(4)] + [notice(n, address="busy") for n in range(4, 8)])
    await settle()
    assert gate.begun == ["n0", "n1"]
    assert senders.queued(3) == ["n2", "n3", "n4"]
    senders.recall(["n1", "n2", "n4", "n6", "elsewhere"])
    gate.opened.set()
    await desk.wait_for(5)
    await settle()
    assert gate.begun == ["n0", "n1", "n3", "n5", "n7"]
    assert (senders.queued(9), senders.on_the_way) == ([], 0)
    senders.hand([notice(2)])
    await desk.wait_for(6)
    await senders.stop()


async def test_what_waits_for_a_busy_address_can_be_recalled_too():
    desk, gate = Desk(), Gate(SimClock(T0))
    senders = build({"call": gate}, desk, call=Trunk(at_once=8))
    await senders.run()
    senders.hand([notice(n, address="busy") for n in range(4)])
    await settle()
    assert (gate.begun, senders.queued(9)) == (["n0"], ["n1", "n2", "n3"])
    senders.recall(["n1", "n3"])
    gate.opened.set()
    await desk.wait_for(2)
    await settle()
    assert (gate.begun, senders.on_the_way) == (["n0", "n2"], 0)
    await senders.stop()


async def test_stopping_waits_for_what_is_under_way_and_leaves_the_rest_to_the_outbox():
    desk, gate = Desk(), Gate(SimClock(T0))
    senders = build({"call": gate}, desk, call=Trunk(at_once=1))
    await senders.run()
    senders.hand([notice(1), notice(2)])
    await settle()
    asyncio.get_running_loop().call_later(0.05, gate.opened.set)
    await senders.stop()
    senders.hand([notice(3)])
    await settle()
    assert [r.notice_id for r in desk.receipts] == ["n1"]
    assert gate.begun == ["n1"]


async def test_stopping_gives_up_at_its_limit_without_a_receipt():
    desk, gate = Desk(), Gate(SimClock(T0))
    senders = build({"call": gate}, desk, call=Trunk(timeout=60_000))
    await senders.run()
    senders.hand([notice(1)])
    await settle()
    await senders.stop(limit=20)
    assert (desk.receipts, gate.at_once, senders.on_the_way) == ([], 0, 0)


async def test_what_is_handed_over_before_the_start_goes_out_with_it():
    desk, gate = Desk(), Gate(SimClock(T0))
    gate.opened.set()
    senders = build({"call": gate}, desk)
    senders.hand([notice(1)])
    await settle()
    assert gate.begun == []
    await senders.run()
    await desk.wait_for(1)
    await senders.stop()


async def test_a_receipt_that_cannot_be_stored_stops_nobody():
    gate, seen = Gate(SimClock(T0)), []

    async def report(receipt):
        seen.append(receipt.notice_id)
        if receipt.notice_id == "n1":
            raise OSError("disk full")

    gate.opened.set()
    senders = Senders({"call": gate}, report, SimClock(T0), Links("secret", "https://hexi.example"))
    await senders.run()
    senders.hand([notice(1), notice(2)])
    await settle()
    assert (seen, senders.on_the_way) == (["n1", "n2"], 0)
    await senders.stop()


async def test_the_link_answers_this_notice_and_is_the_same_at_the_second_attempt():
    clock, desk = SimClock(T0), Desk()
    gate, links = Gate(clock), Links("secret", "https://hexi.example")
    gate.opened.set()
    senders = build({"call": gate}, desk, clock)
    await senders.run()
    for attempt in (1, 2):
        senders.hand([notice(1)])
        await desk.wait_for(attempt)
        await settle()
        clock.advance(45_000)
    first, second = gate.links
    assert first == second
    claim = links.read(first.rpartition("/")[2], clock.now())
    assert (claim.notice_id, claim.recipient, claim.role) == ("n1", "contact:C1", "family")
    assert claim.expires == T0 + DAY
    clock.advance(3 * DAY)
    senders.hand([notice(1)])
    await desk.wait_for(3)
    assert links.read(gate.links[2].rpartition("/")[2], clock.now()).notice_id == "n1"
    await senders.stop()
