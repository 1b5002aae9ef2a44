"""Replies from gateways: what a person answered to a notice, signed as Standard Webhooks."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from litestar import post

from hexi.connectors.asgi import read_headers
from hexi.connectors.problem import ProblemError
from hexi.kernel.case import Rung
from hexi.kernel.response import Notice, Receipt
from hexi.kernel.signal import ACT_PREFIX, Signal
from hexi.kernel.text import Text
from hexi.protocols.standard_webhooks import BadSignatureError, verify
from hexi.web.access.guards import Call, platform_of

_Short = Annotated[str, msgspec.Meta(max_length=200)]


class ReplyBody(msgspec.Struct, kw_only=True):
    """A reply (``"1"``), or how far a notice has got: ``L2`` on the device, ``L3`` seen."""

    notice_id: _Short
    reply: _Short | None = None
    rung: Literal["L2", "L3"] | None = None
    text: Annotated[str, msgspec.Meta(max_length=4_000)] | None = None


class Heard(msgspec.Struct, kw_only=True):
    """The reply was taken; ``case`` is the case it counts for."""

    case: str
    status: str


@post(
    "/replies",
    status_code=200,
    summary="A signed reply",
    description="Signed as Standard Webhooks with the secret of a webhook channel; no other credential.",
)
async def put_reply(request: Call) -> Heard:
    """Take a reply as an act of the notice's recipient; the same webhook id again changes nothing."""
    platform, body = platform_of(request), await request.body()
    keys = request.app.state.reply_keys
    try:
        identity = verify(keys, read_headers(dict(request.scope)), body, platform.clock.now())
    except BadSignatureError as error:
        detail = Text(zh=f"签名无效：{error}", en=str(error))
        raise ProblemError("unauthorized", detail) from error
    said = _decode(body)
    notice = await asyncio.to_thread(_notice, request, said.notice_id)
    if said.rung:
        await _climb(request, notice, Rung(said.rung), identity)
    if said.reply is None:
        return Heard(case=notice.case_id, status="noted")
    return await _answer(request, notice, said, identity)


def _decode(body: bytes) -> ReplyBody:
    try:
        return msgspec.json.decode(body, type=ReplyBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError("invalid", Text(zh=f"内容有误：{error}", en=str(error))) from error


def _notice(request: Call, identity: str) -> Notice:
    def missing() -> ProblemError:
        return ProblemError("not-found", Text(zh=f"没有通知 {identity}", en=f"there is no notice {identity}"))

    with platform_of(request).store.read() as tx:
        notice = tx.notices.get(identity)
    if notice is None:
        raise missing()
    return notice


async def _climb(request: Call, notice: Notice, rung: Rung, identity: str) -> None:
    platform = platform_of(request)
    evidence = {"webhook": identity}
    await platform.intake.receipt(
        Receipt(notice_id=notice.id, at=platform.clock.now(), rung=rung, evidence=evidence)
    )


async def _answer(request: Call, notice: Notice, said: ReplyBody, identity: str) -> Heard:
    reply = (said.reply or "").strip()
    act = notice.replies.get(reply)
    if act is None:
        known = "、".join(notice.replies)
        raise ProblemError("invalid", Text(zh=f"可用的回复：{known}", en=f"replies are {known}"))
    await _climb(request, notice, Rung.ANSWERED, identity)
    signal = _act(notice, act, said, identity, platform_of(request).clock.now())
    (taken,) = await platform_of(request).intake.submit([signal])
    if taken.fate == "refused":
        raise ProblemError("refused", taken.error)
    return Heard(case=taken.case_id or notice.case_id, status=taken.fate)


def _act(notice: Notice, act: str, said: ReplyBody, identity: str, now: int) -> Signal:
    data: dict[str, Any] = {
        "by": notice.recipient,
        "role": notice.role,
        "via": notice.way,
        "notice": notice.id,
    }
    if said.text:
        data |= {"text": said.text, "reason": said.text}
    return Signal(
        id=identity,
        source="webhook:replies",
        kind=ACT_PREFIX + act,
        received=now,
        subject=f"case:{notice.case_id}",
        data=data,
    )


ROUTES: list[Any] = [put_reply]
