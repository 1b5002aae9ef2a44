"""``POST /api/v1/signals``: CloudEvents in, answered only after the commit.

A bare ASGI route: with batches of 500 the framework's share of the work must be nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from math import ceil

import msgspec

from hexi.connectors.asgi import (
    GoneError,
    Receive,
    Scope,
    Send,
    answer,
    answer_problem,
    bearer_of,
    read_body,
    read_headers,
)
from hexi.connectors.bucket import Buckets
from hexi.connectors.problem import FieldFault, ProblemError, choose_language
from hexi.connectors.tokens import DRILL, Tokens, has_scope, may_name
from hexi.kernel.access import Token
from hexi.kernel.ports import Quarantined, StoreError, Transaction
from hexi.kernel.signal import Flag, Signal
from hexi.kernel.text import Text
from hexi.protocols import cloudevents
from hexi.protocols.cloudevents import Item, Malformed
from hexi.spine.intake import OverloadedError
from hexi.spine.platform import Platform
from hexi.spine.work import Taken

PATH = "/api/v1/signals"
MESSAGE = "message/http"
"""Content type under which a binary event is quarantined: its attributes and its body."""

SIGNAL = "application/vnd.hexi.signal+json"
"""Content type of a signal that was decoded and could not be processed."""

_DEMO = Token(name="demo", hash="", scope="signals drill")
_encode = msgspec.json.Encoder().encode


class DoorLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one sender may ask: bytes of a body, events in it, seconds to send it, requests a second."""

    body: int = 1024 * 1024
    batch: int = cloudevents.MAX_EVENTS
    seconds: float = 20.0
    rate: float = 200.0


class Result(msgspec.Struct, omit_defaults=True):
    """What became of one event: ``accepted``, ``repeat``, ``refused`` or ``malformed``."""

    id: str | None
    source: str | None
    status: str
    case: str | None = None
    flags: tuple[str, ...] = ()
    error: Text | str | None = None
    pointer: str | None = None


class SignalDoor:
    """The ASGI application behind the address."""

    def __init__(
        self,
        platform: Platform,
        limits: DoorLimits | None = None,
        quarantined: Callable[[str], None] | None = None,
    ) -> None:
        """``quarantined`` is told the link of every item that could not be decoded."""
        self._quarantined = quarantined
        self.limits = limits or DoorLimits()
        self._platform = platform
        self._tokens = Tokens(platform.store)
        self._buckets = Buckets(self.limits.rate, 2 * self.limits.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = read_headers(scope)
        accepted = headers.get("accept-language")
        try:
            token = await self._admit(scope, headers)
            body = await read_body(headers, receive, self.limits.body, self.limits.seconds)
            results = await self._receive(token, headers, body)
        except ProblemError as problem:
            await answer_problem(send, problem, accepted)
        except (StoreError, OverloadedError):
            await answer_problem(send, _unavailable(), accepted)
        except GoneError:
            return
        else:
            kind = {"content-type": "application/json"}
            await answer(send, 202, _encode({"results": _say(results, accepted)}), kind)

    async def _admit(self, scope: Scope, headers: Mapping[str, str]) -> Token:
        if scope["method"] != "POST":
            raise ProblemError("method-not-allowed", headers={"allow": "POST"})
        if headers.get("content-encoding", "identity") != "identity":
            raise ProblemError("unsupported-type", _PLAIN, headers={"accept-encoding": "identity"})
        secret = bearer_of(headers)
        if secret is None and self._platform.demo:
            return _DEMO
        token = await self._tokens.find(secret) if secret else None
        if token is None:
            raise ProblemError("unauthorized", _NO_TOKEN, headers={"www-authenticate": "Bearer"})
        if not (has_scope(token, "signals") or has_scope(token, DRILL)):
            raise ProblemError("forbidden", _NO_SCOPE)
        return token

    async def _receive(self, token: Token, headers: Mapping[str, str], body: bytes) -> list[Taken | Result]:
        wait = self._buckets.take(token.name)
        try:
            items = cloudevents.decode(headers, body, self._platform.clock.now(), self.limits.batch)
        except cloudevents.UndecodableError as error:
            _refuse_haste(wait)
            await self._quarantine(token, [_whole(headers, body, error.reason)])
            raise ProblemError("undecodable", error.reason) from error
        except cloudevents.TooManyEventsError as error:
            raise ProblemError("too-large", _too_many(self.limits.batch)) from error
        except cloudevents.UnsupportedTypeError as error:
            raise ProblemError("unsupported-type", _TYPES) from error
        if wait and not self._has_sos(items):
            _refuse_haste(wait)
        items = [_exercise(token, item) for item in items]
        results = await self._take(token, items, binary=_is_binary(headers))
        if len(results) == 1:
            _refuse_single(headers, results[0])
        return results

    def _has_sos(self, items: Sequence[Item]) -> bool:
        is_sos = self._platform.spine.catalogue.is_sos
        return any(isinstance(item, Signal) and is_sos(item.kind) for item in items)

    async def _take(self, token: Token, items: Sequence[Item], *, binary: bool) -> list[Taken | Result]:
        """Commit what is good, then keep what is not; the answers in the order of the events."""
        fates = [_judge(token, item) for item in items]
        pairs = zip(items, fates, strict=True)
        good = [item for item, fate in pairs if fate is None and isinstance(item, Signal)]
        bad = [item for item in items if isinstance(item, Malformed)]
        submitted = self._platform.intake.submit(good) if good else _nothing()
        if bad:
            kept = self._quarantine(token, [_single(item, binary=binary) for item in bad])
            taken, _ = await asyncio.gather(submitted, kept)
        else:
            taken = await submitted
        answers = iter(taken)
        return [fate or next(answers) for fate in fates]

    async def _quarantine(self, token: Token, items: Sequence[tuple[str, Text, bytes]]) -> None:
        """Keep the bytes, and let the one folded case of this link know."""
        now, link = self._platform.clock.now(), f"http/{token.name}"
        rows = [
            Quarantined(id=0, received=now, link=link, content_type=kind, reason=reason.en, raw=raw)
            for kind, reason, raw in items
        ]

        def keep(tx: Transaction) -> None:
            for row in rows:
                tx.quarantine.add(row)

        await self._platform.intake.call(keep)
        if self._quarantined:
            for row in rows:
                self._quarantined(row.link)
        await self._platform.intake.submit([trouble(link, now, items[0])])


def trouble(link: str, now: int, item: tuple[str, Text, bytes]) -> Signal:
    """The technical signal that something undecodable came over a link."""
    kind, reason, raw = item
    name = blake2b(raw, digest_size=8).hexdigest()
    return Signal(
        id=f"{now}/{name}",
        source=f"hexi:{link}",
        kind="tech.undecodable",
        received=now,
        subject=f"link:{link}",
        data={"content_type": kind, "reason": reason.en, "bytes": len(raw)},
    )


async def _nothing() -> list[Taken]:
    return []


def _judge(token: Token, item: Item) -> Result | None:
    """Why an event is not submitted; None when it is."""
    if isinstance(item, Malformed):
        return _malformed(item)
    if not may_name(token, item.source):
        return Result(item.id, item.source, "refused", error=_NOT_YOURS)
    if item.is_act and not (has_scope(token, "acts") or has_scope(token, DRILL)):
        return Result(item.id, item.source, "refused", error=_NO_ACTS)
    if item.is_technical:
        return Result(item.id, item.source, "refused", error=_NOT_FOR_YOU)
    return None


def _exercise(token: Token, item: Item) -> Item:
    """The mark of a drill is this door's to give, never a sender's.

    A token with the scope ``drill`` marks what says ``data.drill = true``, and whatever else it may not
    send for real; what any other token calls a drill is real.
    """
    if isinstance(item, Malformed) or not has_scope(token, DRILL):
        return item
    real = has_scope(token, "acts" if item.is_act else "signals")
    return item if real and item.data.get("drill") is not True else item.flagged(Flag.DRILL)


def _malformed(item: Malformed) -> Result:
    pointer = f"/{item.field}" if item.field else None
    return Result(item.id, item.source, "malformed", error=item.reason, pointer=pointer)


def _refuse_single(headers: Mapping[str, str], result: Taken | Result) -> None:
    """A request of one event has one answer: its fault is the fault of the request."""
    if not isinstance(result, Result) or _is_many(headers):
        return
    if result.status == "refused":
        raise ProblemError("forbidden", _text_of(result))
    raise ProblemError("invalid", errors=[FieldFault(result.pointer or "", _text_of(result))])


def _is_many(headers: Mapping[str, str]) -> bool:
    kind = cloudevents.media_type(headers.get("content-type", ""))
    return not _is_binary(headers) and kind in {cloudevents.BATCH, cloudevents.LINES}


def _is_binary(headers: Mapping[str, str]) -> bool:
    return "ce-id" in headers or "ce-specversion" in headers


def _text_of(result: Result) -> Text:
    return result.error if isinstance(result.error, Text) else Text(zh="有误", en="wrong")


def _say(results: Sequence[Taken | Result], accepted: str | None) -> list[Result]:
    language = choose_language(accepted)
    return [_say_one(result, language) for result in results]


def _say_one(result: Taken | Result, language: str) -> Result:
    error = result.error.get(language) if isinstance(result.error, Text) else result.error
    if isinstance(result, Result):
        return msgspec.structs.replace(result, error=error)
    return Result(result.id, result.source, result.fate, result.case_id, result.flags, error)


def _whole(headers: Mapping[str, str], body: bytes, reason: Text) -> tuple[str, Text, bytes]:
    if _is_binary(headers):
        return MESSAGE, reason, cloudevents.keep_message(headers, body)
    return headers.get("content-type", "")[:200], reason, body


def _single(item: Malformed, *, binary: bool) -> tuple[str, Text, bytes]:
    return MESSAGE if binary else cloudevents.STRUCTURED, item.reason, item.raw


def decode_quarantined(item: Quarantined, now: int) -> list[Item]:
    """Try again to read what was kept; raises as ``cloudevents.decode`` does."""
    if item.content_type == MESSAGE:
        headers, body = cloudevents.parse_message(item.raw)
        return cloudevents.decode(headers, body, now)
    return cloudevents.decode({"content-type": item.content_type}, item.raw, now)


def _refuse_haste(wait: float) -> None:
    if wait:
        raise ProblemError("too-many", headers={"retry-after": str(max(1, ceil(wait)))})


def _unavailable() -> ProblemError:
    detail = Text(
        zh="未能保存，没有确认任何信号，请稍后重发", en="nothing was stored or acknowledged; send it again"
    )
    return ProblemError("unavailable", detail, headers={"retry-after": "2"})


def _too_many(limit: int) -> Text:
    return Text(zh=f"一次最多 {limit} 条", en=f"at most {limit} events in one request")


_PLAIN = Text(zh="请求体不得压缩", en="the body must not be compressed")
_NO_TOKEN = Text(
    zh="请用 Authorization: Bearer 送来有效令牌", en="send a valid token as Authorization: Bearer"
)
_NO_SCOPE = Text(zh="这个令牌不能发送信号", en="this token may not send signals")
_NOT_YOURS = Text(zh="这个令牌不能以此 source 发送", en="this token may not send as this source")
_NO_ACTS = Text(
    zh="处置动作请发到 /api/v1/cases/<id>/acts",
    en="acts go to /api/v1/cases/<id>/acts, or need a token with the scope acts",
)
_NOT_FOR_YOU = Text(zh="tech.* 只由平台自己发出", en="tech.* is what the platform says of itself")
_TYPES = Text(
    zh="请用 " + "、".join(cloudevents.CONTENT_TYPES) + "，或 ce- 请求头",
    en="use " + ", ".join(cloudevents.CONTENT_TYPES) + ", or ce- headers",
)
