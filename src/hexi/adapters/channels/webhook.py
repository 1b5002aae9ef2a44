"""The webhook channel: a signed POST of JSON, whose idempotency key is the notice's id."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from ssl import SSLContext
from typing import Annotated, Any

import httpx
import msgspec

from hexi.kernel.case import Rung
from hexi.kernel.clock import SECOND, Clock, Duration, format_instant
from hexi.kernel.response import Notice, Receipt, UndeliveredError
from hexi.protocols.standard_webhooks import read_key, sign

PERMANENT = frozenset({400, 401, 403, 404, 410, 422})
"""Answers that another attempt would only get again."""

_POOL_SIZE = 1
"""Posts at once in one pool: httpx looks through all connections of a pool for each of them, at each post."""

_READ_AT_MOST = 64 * 1024
_READ_FOR = 1.0
"""Bytes and seconds spent on the body of an answer; what it was is already known from its first line."""
_KEEP_FOR = 4.0
"""Seconds an idle connection is kept: less than the 5 s after which common servers hang up."""

_SAME = ("case_id", "role", "recipient", "name", "way", "address", "text", "language", "replies", "drill")

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


@dataclass
class _Pool:
    """Connections to one receiver.

    The transport and not a client: no redirects, cookies or proxies from the environment, and a third
    less time a post.
    """

    transport: httpx.AsyncHTTPTransport
    busy: int = 0

    @contextmanager
    def taken(self) -> Iterator[httpx.AsyncHTTPTransport]:
        self.busy += 1
        try:
            yield self.transport
        finally:
            self.busy -= 1


class WebhookChannel:
    """Posts to one gateway (``url``) or, without one, to each notice's own address."""

    def __init__(self, clock: Clock, secret: str, timeout: Duration, url: str | None = None) -> None:
        self._clock = clock
        self._key = read_key(secret)
        self._url = url and str(_read_url(url))
        seconds = timeout / SECOND
        self._extensions = {"timeout": {"connect": seconds, "read": seconds, "write": seconds}}
        self._pools: dict[str, list[_Pool]] = {}
        self._tls: SSLContext = httpx.create_ssl_context()

    async def send(self, notice: Notice, link: str | None) -> Receipt:
        """L1 on any 2xx, at the moment the answer begins; nothing is believed beyond that."""
        try:
            request = self._request(notice, link)
        except ValueError as error:
            raise UndeliveredError(str(error), permanent=True) from None
        with self._pool(request.url).taken() as transport:
            response = await _post(transport, request)
            at = self._clock.now()
            evidence = await _evidence(response)
        if not response.is_success:
            permanent = response.status_code in PERMANENT
            raise UndeliveredError(f"HTTP {response.status_code}", permanent=permanent, evidence=evidence)
        return Receipt(notice_id=notice.id, at=at, rung=Rung.HANDED_OVER, evidence=evidence)

    async def close(self) -> None:
        """Close all connections."""
        for pool in chain.from_iterable(self._pools.values()):
            await pool.transport.aclose()
        self._pools.clear()

    def _request(self, notice: Notice, link: str | None) -> httpx.Request:
        body = _encode(_body(notice, link))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "hexi",
            "Idempotency-Key": notice.id,
            **sign(self._key, notice.id, self._clock.now(), body),
        }
        url = _read_url(self._url or notice.address)
        return httpx.Request("POST", url, content=body, headers=headers, extensions=self._extensions)

    def _pool(self, url: httpx.URL) -> _Pool:
        pools = self._pools.setdefault(f"{url.scheme}://{url.netloc.decode()}", [])
        free = next((pool for pool in pools if pool.busy < _POOL_SIZE), None)
        if free is None:
            limits = httpx.Limits(max_connections=None, keepalive_expiry=_KEEP_FOR)
            free = _Pool(httpx.AsyncHTTPTransport(verify=self._tls, limits=limits))
            pools.append(free)
        return free


async def _post(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
    try:
        return await transport.handle_async_request(request)
    except httpx.TimeoutException:
        raise UndeliveredError("no answer in time") from None
    except httpx.HTTPError as error:
        raise UndeliveredError(f"no connection: {type(error).__name__}") from None


def _body(notice: Notice, link: str | None) -> WebhookBody:
    same = {name: getattr(notice, name) for name in _SAME}
    return WebhookBody(notice_id=notice.id, t0=format_instant(notice.t0), link=link, **same)


def _read_url(address: str) -> httpx.URL:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("the address is not a web address")
    return url


async def _evidence(response: httpx.Response) -> dict[str, Any]:
    evidence: dict[str, Any] = {"status": response.status_code}
    if wait := response.headers.get("Retry-After"):
        evidence["retry_after"] = wait[:40]
    with suppress(msgspec.DecodeError, httpx.HTTPError, TimeoutError):
        evidence["message_id"] = msgspec.json.decode(await _read(response), type=_Answer).message_id
    return evidence


async def _read(response: httpx.Response) -> bytes:
    content = b""
    try:
        async with asyncio.timeout(_READ_FOR):
            async for part in response.aiter_raw():
                content += part
                if len(content) > _READ_AT_MOST:
                    break
    finally:
        await response.aclose()
    return content
