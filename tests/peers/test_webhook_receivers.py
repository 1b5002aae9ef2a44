"""Senders and the webhook channel against real receivers that hang, fail, lie, refuse and are slow."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count

import pytest
from standardwebhooks import Webhook
from tests.peers.receivers import Answer, receiving

from hexi.adapters.channels import AppriseChannel, WebhookChannel
from hexi.kernel.case import Rung
from hexi.kernel.clock import SimClock
from hexi.kernel.response import Notice
from hexi.kernel.signal import Lane
from hexi.spine.links import Links
from hexi.spine.senders import Senders, Trunk

pytestmark = pytest.mark.anyio
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NUMBERS = count(1)


@pytest.fixture
def anyio_backend():
    return "asyncio"


def now():
    return int(time.time() * 1000)


def notice(url, way="webhook", lane=Lane.SOS):
    number = next(NUMBERS)
    return Notice(
        id=f"260501-7K3Q-F2ZT:family:{number}",
        case_id="260501-7K3Q-F2ZT",
        step="0",
        role="family",
        recipient=f"contact:C{number}",
        name="王芳",
        way=way,
        address=url,
        text="王秀英 疑似跌倒。",
        language="zh",
        t0=now(),
        lane=lane,
    )


class Outbox:
    """Stands where the spine stands: keeps receipts and hands a failed notice over again."""

    def __init__(self, retries=0):
        self.retries = retries
        self.receipts = []
        self.notices = {}
        self.senders = None
        self.news = asyncio.Event()

    async def take(self, receipt):
        self.receipts.append(receipt)
        self.news.set()
        if receipt.error and not receipt.permanent and self.retries:
            self.retries -= 1
            again = self.notices[receipt.notice_id]
            asyncio.get_running_loop().call_later(0.01, self.senders.hand, [again])

    def send(self, *notices):
        self.notices |= {n.id: n for n in notices}
        self.senders.hand(notices)

    async def until(self, reached):
        async with asyncio.timeout(20):
            while not reached():
                self.news.clear()
                await self.news.wait()

    def delivered(self):
        return [r.notice_id for r in self.receipts if r.rung is Rung.HANDED_OVER]


@asynccontextmanager
async def sending(retries=0, limit=10_000):
    clock, outbox = SimClock(now()), Outbox(retries)
    channels = {"webhook": WebhookChannel(clock, SECRET, limit), "group": AppriseChannel(clock, limit)}
    trunks = {way: Trunk(timeout=limit) for way in channels}
    outbox.senders = Senders(channels, outbox.take, clock, Links("secret", "https://hexi.example"), trunks)
    await outbox.senders.run()
    try:
        yield outbox
    finally:
        await outbox.senders.stop(limit=0)
        for channel in channels.values():
            await channel.close()


async def test_an_independent_library_trusts_our_signature():
    async with receiving() as receiver, sending() as outbox:
        outbox.send(notice(receiver.url))
        await outbox.until(outbox.delivered)
    (call,) = receiver.calls
    assert Webhook(SECRET).verify(call.body, call.headers) == call.json


async def test_a_second_attempt_carries_the_same_key_and_the_same_body():
    async with receiving(lambda n: Answer(500 if n == 1 else 200)) as receiver, sending(retries=1) as outbox:
        outbox.send(sent := notice(receiver.url))
        await outbox.until(outbox.delivered)
    assert receiver.idempotency_keys() == [sent.id, sent.id]
    assert receiver.calls[0].body == receiver.calls[1].body
    failed, delivered = outbox.receipts
    assert (failed.error, failed.rung, failed.permanent) == ("HTTP 500", None, False)
    assert delivered.evidence == {"status": 200}


async def test_one_that_hangs_and_one_that_fails_delay_none_of_the_others():
    async with AsyncExitStack() as stack:
        manners = [lambda _: Answer(after=None), lambda _: Answer(500), *[lambda _: Answer()] * 6]
        receivers = [await stack.enter_async_context(receiving(manner)) for manner in manners]
        outbox = await stack.enter_async_context(sending())
        for _ in range(20):
            outbox.send(*(notice(receiver.url) for receiver in receivers))
        await outbox.until(lambda: len(outbox.receipts) == 7 * 20)
        well = [call for receiver in receivers[2:] for call in receiver.calls]
        assert len(well) == len(set(outbox.delivered())) == 6 * 20


async def test_a_hanging_webhook_is_given_up_while_apprise_has_long_delivered():
    async with (
        receiving(lambda _: Answer(after=None)) as hanging,
        receiving() as group,
        sending(limit=1_000) as outbox,
    ):
        late = notice(hanging.url)
        outbox.send(late, well := notice(group.url.replace("http://", "json://"), way="group"))
        await outbox.until(lambda: len(outbox.receipts) == 2)
    assert [r.notice_id for r in outbox.receipts] == [well.id, late.id]
    assert (outbox.receipts[1].rung, outbox.receipts[1].permanent) == (None, False)
    assert len(hanging.calls) == len(group.calls) == 1


async def test_a_slow_receiver_is_waited_for():
    async with receiving(lambda _: Answer(after=0.3)) as receiver, sending(limit=5_000) as outbox:
        outbox.send(notice(receiver.url))
        await outbox.until(lambda: outbox.receipts)
    assert outbox.receipts[0].rung is Rung.HANDED_OVER
    assert len(receiver.calls) == 1


async def test_a_lying_receiver_is_believed_for_the_hand_over_only():
    lie = Answer(body=b'{"message_id": "m1", "delivered": true, "rung": "L4", "read": true}')
    async with receiving(lambda _: lie) as receiver, sending() as outbox:
        outbox.send(notice(receiver.url))
        await outbox.until(lambda: outbox.receipts)
    assert outbox.receipts[0].rung is Rung.HANDED_OVER
    assert outbox.receipts[0].evidence == {"status": 200, "message_id": "m1"}


async def test_a_refused_connection_can_be_tried_again_until_the_receiver_is_back():
    async with receiving() as gone:
        pass
    async with sending() as outbox:
        outbox.send(notice(gone.url))
        await outbox.until(lambda: outbox.receipts)
    assert (outbox.receipts[0].error, outbox.receipts[0].permanent) == (
        "no connection: ClientConnectorError",
        False,
    )


async def test_a_receiver_that_cuts_the_line_after_the_request_is_an_error_and_not_a_delivery():
    def cut(_):
        for connection in list(receiver.connections):
            connection.abort()
        return Answer(after=None)

    async with receiving(cut) as receiver, sending() as outbox:
        outbox.send(notice(receiver.url))
        await outbox.until(lambda: outbox.receipts)
    assert outbox.receipts[0].rung is None
    assert outbox.receipts[0].error.startswith("no connection: ")


async def test_plain_http_spoken_to_a_tls_address_is_an_error():
    async with receiving() as receiver, sending() as outbox:
        outbox.send(notice(receiver.url.replace("http://", "https://")))
        await outbox.until(lambda: outbox.receipts)
    assert outbox.receipts[0].error == "no connection: ClientConnectorSSLError"
    assert receiver.calls == []


async def test_a_connection_closed_while_idle_is_opened_anew():
    async with receiving() as receiver, sending() as outbox:
        outbox.send(notice(receiver.url))
        await outbox.until(lambda: len(outbox.delivered()) == 1)
        for connection in list(receiver.connections):
            connection.close()
        await asyncio.sleep(0.05)
        outbox.send(notice(receiver.url))
        await outbox.until(lambda: len(outbox.receipts) == 2)
    assert len(outbox.delivered()) == 2


async def test_after_many_time_outs_the_same_receiver_is_reached_again():
    well = asyncio.Event()
    async with (
        receiving(lambda _: Answer(after=0.0 if well.is_set() else None)) as receiver,
        sending(limit=200) as outbox,
    ):
        outbox.send(*(notice(receiver.url) for _ in range(30)))
        await outbox.until(lambda: len(outbox.receipts) == 30)
        assert outbox.delivered() == []
        well.set()
        outbox.send(last := notice(receiver.url))
        await outbox.until(lambda: len(outbox.receipts) == 31)
        assert outbox.delivered() == [last.id]


async def test_three_thousand_notices_arrive_once_each():
    async with AsyncExitStack() as stack:
        receivers = [await stack.enter_async_context(receiving()) for _ in range(8)]
        outbox = await stack.enter_async_context(sending())
        notices = [notice(receivers[n % 8].url) for n in range(3_000)]
        outbox.send(*notices)
        await outbox.until(lambda: len(outbox.receipts) == 3_000)
        keys = [key for receiver in receivers for key in receiver.idempotency_keys()]
    assert sorted(keys) == sorted(n.id for n in notices)
    assert len(set(outbox.delivered())) == 3_000
