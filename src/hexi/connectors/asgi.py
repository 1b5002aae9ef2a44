"""The few things a bare ASGI route needs: headers, a body within limits, and an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec

from hexi.connectors.problem import CONTENT_TYPE, ProblemError, choose_language
from hexi.kernel.text import Text

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_encode = msgspec.json.Encoder().encode


class GoneError(Exception):
    """The caller went away in the middle of its request."""


def read_headers(scope: Scope) -> dict[str, str]:
    """Header names in lower case; values as UTF-8 where they are, else as Latin-1."""
    return {name.decode("latin-1").lower(): _text(value) for name, value in scope["headers"]}


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """The secret of an ``Authorization: Bearer``."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


async def read_body(headers: Mapping[str, str], receive: Receive, limit: int, seconds: float) -> bytes:
    """The whole body; ProblemError when it is longer than ``limit`` bytes or slower than ``seconds``."""
    said = headers.get("content-length", "")
    if said.isascii() and said.isdigit() and int(said[:20]) > limit:
        raise too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            return await _collect(receive, limit)
    except TimeoutError:
        detail = Text(zh=f"{seconds:g} 秒内未收完", en=f"not complete within {seconds:g} s")
        raise ProblemError("timeout", detail, headers={"connection": "close"}) from None


async def _collect(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise too_large(limit)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def too_large(limit: int) -> ProblemError:
    """The problem of a body over its limit; the connection is not worth keeping."""
    detail = Text(zh=f"最多 {limit} 字节", en=f"at most {limit} bytes")
    return ProblemError("too-large", detail, headers={"connection": "close"})


async def answer(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    """One complete response."""
    lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    lines.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


async def answer_problem(send: Send, problem: ProblemError, accepted: str | None) -> None:
    """A problem in the caller's language."""
    language = choose_language(accepted)
    headers = {"content-type": CONTENT_TYPE, "content-language": language, **problem.headers}
    await answer(send, problem.status, _encode(problem.body(language)), headers)
