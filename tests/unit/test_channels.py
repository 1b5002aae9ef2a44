import io
from base64 import b64encode
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tests.peers.receivers import Answer, receiving

from hexi.adapters.channels import (
    AppriseChannel,
    ConsoleChannel,
    InboxChannel,
    WaysOut,
    WebhookChannel,
)
from hexi.kernel.case import Rung
from hexi.kernel.clock import SimClock
from hexi.kernel.response import Notice, UndeliveredError
from hexi.kernel.signal import Lane
from hexi.protocols.standard_webhooks import BadSignatureError, read_key, sign, verify

pytestmark = pytest.mark.anyio
T0 = 1_780_000_000_000
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = read_key(SECRET)
LINK = "https://hexi.example/r/token"


@pytest.fixture
def anyio_backend():
    return "asyncio"


def notice(address, way="webhook"):
    return Notice(
        id="260501-7K3Q-F2ZT:family:C1:call",
        case_id="260501-7K3Q-F2ZT",
        step="0",
        role="family",
        recipient="contact:C1",
        name="王芳",
        way=way,
        address=address,
        text="王秀英 疑似跌倒，[天津路] 12 号。回复 1 表示您正赶去。",
        language="zh",
        t0=T0,
        lane=Lane.SOS,
        replies={"1": "set_off", "2": "declined"},
    )


# Signatures


def test_the_signature_is_that_of_the_specification():
    headers = sign(KEY, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000, b'{"test": 2432232314}')
    assert headers == {
        "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "Webhook-Timestamp": "1614265330",
        "Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.binary(), st.text(min_size=1), st.integers(-300_000, 300_000))
def test_what_was_signed_is_trusted_for_five_minutes(body, identity, drift):
    at = T0 + 999
    headers = {name.lower(): value for name, value in sign(KEY, identity, at, body).items()}
    assert verify([b"an older key", KEY], headers, body, at - at % 1000 + drift) == identity


@pytest.mark.parametrize("drift", [300_001, -300_001])
def test_an_old_or_early_webhook_is_refused(drift):
    with pytest.raises(BadSignatureError, match="5 minutes"):
        verify([KEY], sign(KEY, "m1", T0, b"{}"), b"{}", T0 + drift)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Webhook-Id": "m2"}, "no signature fits"),
        ({"Webhook-Timestamp": str(T0 // 1000 + 1)}, "no signature fits"),
        ({"Webhook-Timestamp": "soon"}, "timestamp"),
        ({"Webhook-Timestamp": "²"}, "timestamp"),
        ({"Webhook-Timestamp": "9" * 5000}, "timestamp"),
        ({"Webhook-Signature": ""}, "no signature fits"),
        ({"Webhook-Signature": "v1,é v1,AAAA"}, "no signature fits"),
    ],
)
def test_a_changed_header_is_refused(change, reason):
    with pytest.raises(BadSignatureError, match=reason):
        verify([KEY], {**sign(KEY, "m1", T0, b"{}"), **change}, b"{}", T0)


def test_a_missing_header_a_changed_body_and_another_key_are_refused():
    headers = sign(KEY, "m1", T0, b"{}")
    with pytest.raises(BadSignatureError, match="webhook-signature is missing"):
        verify([KEY], {k: v for k, v in headers.items() if k != "Webhook-Signature"}, b"{}", T0)
    with pytest.raises(BadSignatureError):
        verify([KEY], headers, b"{ }", T0)
    with pytest.raises(BadSignatureError):
        verify([b"k" * 24], headers, b"{}", T0)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_short", "whsec_?!"]
)
def test_a_weak_or_malformed_secret_is_refused(secret):
    with pytest.raises(ValueError, match="whsec_"):
        read_key(secret)


# The webhook


async def test_a_webhook_carries_the_whole_notice_and_is_signed():
    async with receiving(lambda _: Answer(body=b'{"message_id": "sms-77"}')) as receiver:
        channel = WebhookChannel(SimClock(T0 + 5), SECRET, 10_000)
        receipt = await channel.send(notice(receiver.url), LINK)
        await channel.close()
    (call,) = receiver.calls
    assert call.json == {
        "notice_id": "260501-7K3Q-F2ZT:family:C1:call",
        "case_id": "260501-7K3Q-F2ZT",
        "role": "family",
        "recipient": "contact:C1",
        "name": "王芳",
        "way": "webhook",
        "address": receiver.url,
        "text": "王秀英 疑似跌倒，[天津路] 12 号。回复 1 表示您正赶去。",
        "language": "zh",
        "replies": {"1": "set_off", "2": "declined"},
        "t0": "2026-05-28T20:26:40.000Z",
        "drill": False,
        "link": LINK,
    }
    assert call.headers["idempotency-key"] == "260501-7K3Q-F2ZT:family:C1:call"
    assert call.headers["content-type"] == "application/json"
    assert verify([KEY], call.headers, call.body, T0) == "260501-7K3Q-F2ZT:family:C1:call"
    assert (receipt.rung, receipt.at, receipt.error) == (Rung.HANDED_OVER, T0 + 5, None)
    assert receipt.evidence == {"status": 200, "message_id": "sms-77"}


async def test_one_gateway_gets_every_address_in_the_body():
    async with receiving() as gateway:
        channel = WebhookChannel(SimClock(T0), SECRET, 10_000, gateway.url)
        await channel.send(notice("+8613800000001", way="sms"), None)
        await channel.close()
    assert gateway.calls[0].json["address"] == "+8613800000001"
    assert gateway.calls[0].json["link"] is None


@pytest.mark.parametrize(
    ("status", "permanent"),
    [
        *((status, True) for status in (400, 401, 403, 404, 410, 422)),
        *((status, False) for status in (302, 408, 409, 429, 500, 503)),
    ],
)
async def test_which_refusals_are_for_good(status, permanent):
    async with receiving(lambda _: Answer(status, headers=(("Retry-After", "7"),))) as receiver:
        channel = WebhookChannel(SimClock(T0), SECRET, 10_000)
        with pytest.raises(UndeliveredError) as raised:
            await channel.send(notice(receiver.url), None)
        await channel.close()
    assert (str(raised.value), raised.value.permanent) == (f"HTTP {status}", permanent)
    assert raised.value.evidence == {"status": status, "retry_after": "7"}
    assert len(receiver.calls) == 1


async def test_a_redirect_is_not_followed():
    async with receiving() as elsewhere:
        moved = Answer(307, headers=(("Location", elsewhere.url),))
        async with receiving(lambda _: moved) as receiver:
            channel = WebhookChannel(SimClock(T0), SECRET, 10_000)
            with pytest.raises(UndeliveredError, match="HTTP 307"):
                await channel.send(notice(receiver.url), None)
            await channel.close()
    assert elsewhere.calls == []


async def test_a_refused_connection_and_silence_are_told_apart_and_name_no_address():
    async with receiving(lambda _: Answer(after=None)) as silent:
        channel = WebhookChannel(SimClock(T0), SECRET, 100)
        with pytest.raises(UndeliveredError, match=r"^no answer in time$"):
            await channel.send(notice(silent.url), None)
    with pytest.raises(UndeliveredError, match=r"^no connection: ClientConnectorError$") as raised:
        await channel.send(notice(silent.url), None)
    assert not raised.value.permanent
    await channel.close()


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"not json", b"\xff\xfe", b"[]", b'{"message_id": null}', b'{"message_id": {}}'),
        *(b'{"message_id": "' + b"x" * 101 + b'"}', b"[" * 100_000, b"{" + b" " * 1_000_000),
    ],
)
async def test_the_body_of_an_answer_cannot_undo_the_hand_over(body):
    async with receiving(lambda _: Answer(body=body)) as receiver:
        channel = WebhookChannel(SimClock(T0), SECRET, 10_000)
        receipt = await channel.send(notice(receiver.url), None)
        await channel.close()
    assert (receipt.rung, receipt.evidence) == (Rung.HANDED_OVER, {"status": 200})


async def test_an_answer_that_never_ends_counts_by_its_first_line():
    endless = Answer(headers=(("Content-Length", "100"),), body=b"")
    async with receiving(lambda _: endless) as receiver:
        channel = WebhookChannel(SimClock(T0), SECRET, 10_000)
        receipt = await channel.send(notice(receiver.url), None)
        await channel.close()
    assert receipt.rung is Rung.HANDED_OVER


@pytest.mark.parametrize("address", ["", "+8613800000001", "ftp://a.example", "http://", "\x00"])
async def test_an_address_that_is_none_fails_for_good(address):
    channel = WebhookChannel(SimClock(T0), SECRET, 10_000)
    with pytest.raises(UndeliveredError, match="web address") as raised:
        await channel.send(notice(address), None)
    assert raised.value.permanent
    await channel.close()


# Apprise


async def test_apprise_sends_to_a_real_endpoint_by_the_address():
    async with receiving() as receiver:
        channel = AppriseChannel(SimClock(T0 + 9), 10_000)
        receipt = await channel.send(notice(receiver.url.replace("http://", "json://"), way="group"), LINK)
        await channel.close()
    assert receiver.calls[0].json["message"] == f"{notice('').text}\n{LINK}"
    assert (receipt.rung, receipt.at) == (Rung.HANDED_OVER, T0 + 9)


async def test_apprise_puts_the_address_into_the_template_quoted():
    async with receiving() as receiver:
        base = receiver.url.replace("http://", "json://")
        channel = AppriseChannel(SimClock(T0), 10_000, f"{base}?:to={{to}}")
        await channel.send(notice("+86 138&x=1", way="sms"), None)
        await channel.close()
    assert receiver.calls[0].json["to"] == "+86 138&x=1"


async def test_apprise_reports_a_refusal_and_a_time_out_as_undelivered():
    answers = {1: Answer(500), 2: Answer(after=None)}
    async with receiving(answers.__getitem__) as receiver:
        channel = AppriseChannel(SimClock(T0), 200)
        for _ in answers:
            with pytest.raises(UndeliveredError, match="did not take it") as raised:
                await channel.send(notice(receiver.url.replace("http://", "json://")), None)
            assert not raised.value.permanent
        await channel.close()
    assert len(receiver.calls) == 2


@pytest.mark.parametrize("address", ["", "nonsense", "+8613800000001", "syslog://", "json://"])
async def test_apprise_refuses_what_it_cannot_or_must_not_reach(address):
    channel = AppriseChannel(SimClock(T0), 10_000)
    with pytest.raises(UndeliveredError) as raised:
        await channel.send(notice(address), None)
    assert raised.value.permanent
    await channel.close()


# Inbox, console, settings


async def test_the_inbox_hands_over_at_once_and_claims_no_more():
    receipt = await InboxChannel(SimClock(T0)).send(notice("", way="app"), LINK)
    assert (receipt.rung, receipt.at, receipt.evidence) == (Rung.HANDED_OVER, T0, {})


async def test_the_console_prints_one_line_as_it_is():
    written = io.StringIO()
    channel = ConsoleChannel(SimClock(T0), Console(file=written, width=40))
    receipt = await channel.send(notice("+8613800000001", way="call"), LINK)
    assert written.getvalue() == (
        f"2026-05-28T20:26:40.000Z call -> 王芳 (family): {notice('').text} {LINK}\n"
    )
    assert receipt.rung is Rung.HANDED_OVER


@dataclass(frozen=True)
class Told:
    use: str
    url: str | None = None
    limit: float | None = None
    timeout: int = 10_000


async def test_settings_become_channels_with_their_limits():
    told = {
        "call": Told("webhook", "http://127.0.0.1:1/in", limit=5.0, timeout=3_000),
        "group": Told("apprise"),
        "app": Told("inbox"),
        "desk": Told("console"),
    }
    ways = WaysOut(told, {"call": SECRET}.get, SimClock(T0))
    kinds = {way: type(channel) for way, channel in ways.channels.items()}
    assert kinds == {
        "call": WebhookChannel,
        "group": AppriseChannel,
        "app": InboxChannel,
        "desk": ConsoleChannel,
    }
    assert (ways.trunks["call"].rate, ways.trunks["call"].timeout) == (5.0, 3_000)
    assert ways.trunks["app"].rate is None
    await ways.close()


@pytest.mark.parametrize("use", ["webhook", "apprise"])
async def test_a_url_that_is_only_to_sends_to_each_address(use):
    async with receiving() as one, receiving() as other:
        ways = WaysOut({"group": Told(use, "{to}")}, lambda _: SECRET, SimClock(T0))
        for receiver in (one, other):
            address = receiver.url if use == "webhook" else receiver.url.replace("http://", "json://")
            await ways.channels["group"].send(notice(address, way="group"), None)
        await ways.close()
    assert len(one.calls) == len(other.calls) == 1


async def test_an_apprise_url_without_a_hole_is_one_group_for_all():
    async with receiving() as group:
        channel = AppriseChannel(SimClock(T0), 10_000, group.url.replace("http://", "json://"))
        await channel.send(notice("desk", way="group"), None)
        await channel.close()
    assert len(group.calls) == 1


@pytest.mark.parametrize(
    ("told", "secret", "complaint"),
    [
        (Told("webhook", "http://127.0.0.1/"), None, "channels.call: a webhook needs a secret"),
        (Told("webhook", "http://127.0.0.1/"), "hunter2", "channels.call: .*whsec_"),
        (Told("webhook", "127.0.0.1"), SECRET, "channels.call: .*web address"),
        (Told("pigeon"), None, "channels.call: there is no channel 'pigeon'"),
    ],
)
def test_settings_that_cannot_work_name_their_way(told, secret, complaint):
    with pytest.raises(ValueError, match=complaint):
        WaysOut({"call": told}, lambda _: secret, SimClock(T0))


def test_base64_of_any_long_key_is_a_secret():
    assert read_key("whsec_" + b64encode(bytes(32)).decode()) == bytes(32)
