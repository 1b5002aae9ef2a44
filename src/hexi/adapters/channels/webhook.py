"""The webhook channel: a signed POST of JSON, whose idempotency key is the notice's id."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any

import aiohttp
import msgspec
from yarl import URL

from hexi.kernel.case import Rung
from hexi.kernel.clock import SECOND, Clock, Duration, format_instant
from hexi.kernel.response import Notice, Receipt, UndeliveredError
from hexi.protocols.standard_webhooks import read_key, sign

PERMANENT = frozenset({400, 401, 403, 404, 410, 422})
"""Answers that another attempt would only get again."""

_READ_AT_MOST = 64 * 1024
_READ_FOR = 1.0
"""Bytes and seconds spent on the body of an answer; what it was is already known from its first line."""
_KEEP_FOR = 4.0
"""Seconds an idle connection is kept: less than the 5 s after which common servers hang up."""

_encode = msgspec.json.Encoder().encode


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver gets; described in ``docs/how-to/channels.md``."""

    notice_id: str
    case_id: str
    role: str
    recipient: str
    name: str
    way: str
    address: str
    text: str
    language: str
    replies: dict[str, str]
    t0: str
    drill: bool
    link: str | None


class _Answer(msgspec.Struct, frozen=True):
    message_id: Annotated[str, msgspec.Meta(max_length=100)] | int


class WebhookChannel:
    """Posts to one gateway (``url``) or, without one, to each notice's own address."""

    def __init__(self, clock: Clock, secret: str, timeout: Duration, url: str | None = None) -> None:
        self._clock = clock
        self._key = read_key(secret)
        self._url = url and str(_read_url(url))
        seconds = timeout / SECOND
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds)
        self._opened: aiohttp.ClientSession | None = None

    async def send(self, notice: Notice, link: str | None) -> Receipt:
        """L1 on any 2xx, at the moment the answer begins; nothing is believed beyond that."""
        try:
            url = _read_url(self._url or notice.address)
        except ValueError as error:
            raise UndeliveredError(str(error), permanent=True) from None
        async with await self._post(url, notice, link) as response:
            at = self._clock.now()
            evidence = await _evidence(response)
        if response.status not in range(200, 300):
            permanent = response.status in PERMANENT
            raise UndeliveredError(f"HTTP {response.status}", permanent=permanent, evidence=evidence)
        return Receipt(notice_id=notice.id, at=at, rung=Rung.HANDED_OVER, evidence=evidence)

    async def close(self) -> None:
        """Close all connections."""
        if self._opened:
            await self._opened.close()

    async def _post(self, url: URL, notice: Notice, link: str | None) -> aiohttp.ClientResponse:
        body = _encode(_body(notice, link))
        payload = aiohttp.BytesPayload(body, content_type="application/json")
        headers = {
            "Idempotency-Key": notice.id,
            **sign(self._key, notice.id, self._clock.now(), body),
        }
        try:
            return await self._session().post(url, data=payload, headers=headers, allow_redirects=False)
        except TimeoutError:
            raise UndeliveredError("no answer in time") from None
        except aiohttp.ClientError as error:
            raise UndeliveredError(f"no connection: {type(error).__name__}") from None

    def _session(self) -> aiohttp.ClientSession:
        """Opened at the first post, because it belongs to the event loop that runs then."""
        if self._opened is None or self._opened.closed:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_FOR),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "hexi"},
                skip_auto_headers=["Accept-Encoding"],
                auto_decompress=False,
                timeout=self._timeout,
            )
        return self._opened


def _body(notice: Notice, link: str | None) -> WebhookBody:
    return WebhookBody(
        notice_id=notice.id,
        case_id=notice.case_id,
        role=notice.role,
        recipient=notice.recipient,
        name=notice.name,
        way=notice.way,
        address=notice.address,
        text=notice.text,
        language=notice.language,
        replies=notice.replies,
        t0=format_instant(notice.t0),
        drill=notice.drill,
        link=link,
    )


def _read_url(address: str) -> URL:
    with suppress(ValueError):
        url = URL(address)
        if url.scheme in {"http", "https"} and url.host:
            return url
    raise ValueError("the address is not a web address")


async def _evidence(response: aiohttp.ClientResponse) -> dict[str, Any]:
    evidence: dict[str, Any] = {"status": response.status}
    if wait := response.headers.get("Retry-After"):
        evidence["retry_after"] = wait[:40]
    with suppress(msgspec.DecodeError, aiohttp.ClientError, TimeoutError):
        evidence["message_id"] = msgspec.json.decode(await _read(response), type=_Answer).message_id
    return evidence


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """What has come of the body with its first line, which is mostly all; else what comes in time."""
    stream = response.content
    content = stream.read_nowait()
    if stream.is_eof():
        return content
    async with asyncio.timeout(_READ_FOR):
        while len(content) <= _READ_AT_MOST and (part := await stream.readany()):
            content += part
    return content
