"""Problem details (RFC 9457), in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hexi.kernel.text import Text

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:hexi:problem:"

KINDS: dict[str, tuple[int, Text]] = {
    "bad-request": (400, Text(zh="请求有误", en="The request is wrong")),
    "undecodable": (400, Text(zh="无法解码", en="The body cannot be decoded")),
    "invalid": (400, Text(zh="内容不符合要求", en="Some fields are wrong")),
    "unauthorized": (401, Text(zh="需要有效凭证", en="Valid credentials are needed")),
    "forbidden": (403, Text(zh="没有权限", en="This is not permitted")),
    "not-found": (404, Text(zh="没有找到", en="There is no such thing")),
    "method-not-allowed": (405, Text(zh="方法不适用", en="The method does not apply here")),
    "timeout": (408, Text(zh="请求太慢", en="The request took too long to arrive")),
    "refused": (409, Text(zh="当前状态不允许", en="The present state does not allow it")),
    "changed": (412, Text(zh="内容已被他人修改", en="Somebody else has changed it")),
    "too-large": (413, Text(zh="内容过大", en="The content is too large")),
    "unsupported-type": (415, Text(zh="不支持的内容类型", en="The content type is not supported")),
    "misdirected": (421, Text(zh="主机名不被接受", en="The host name is not accepted")),
    "version-needed": (428, Text(zh="需要注明版本", en="A version is needed")),
    "too-many": (429, Text(zh="请求过于频繁", en="Too many requests")),
    "failed": (500, Text(zh="内部错误", en="Something failed here")),
    "unavailable": (503, Text(zh="暂时无法处理", en="It cannot be done right now")),
}
"""Every kind of problem: the end of its ``type``, its status and its title."""


class FieldFault(msgspec.Struct, frozen=True):
    """What is wrong with one field; ``pointer`` is a JSON pointer into the request."""

    pointer: str
    message: Text


class ProblemError(Exception):
    """A problem on its way to the caller."""

    def __init__(
        self,
        kind: str,
        detail: Text | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldFault] = (),
    ) -> None:
        self.kind = kind
        self.status, self.title = KINDS[kind]
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = tuple(errors)
        super().__init__(detail.en if detail else self.title.en)

    def body(self, language: str) -> dict[str, Any]:
        """The JSON object of the problem."""
        said: dict[str, Any] = {
            "type": TYPE_PREFIX + self.kind,
            "title": self.title.get(language),
            "status": self.status,
        }
        if self.detail:
            said["detail"] = self.detail.get(language)
        if self.errors:
            said["errors"] = [
                {"pointer": fault.pointer, "detail": fault.message.get(language)} for fault in self.errors
            ]
        return said


def kind_of_status(status: int) -> str:
    """The kind of problem that fits a bare HTTP status."""
    fallback = "failed" if status >= 500 else "bad-request"
    return next((kind for kind, (known, _) in KINDS.items() if known == status), fallback)


def choose_language(accepted: str | None) -> str:
    """``zh`` or ``en`` by an ``Accept-Language``; Chinese when it leaves the choice open."""
    best, chosen = 0.0, "zh"
    for part in (accepted or "").split(","):
        tag, _, weight = part.partition(";")
        language = tag.strip().lower().partition("-")[0]
        if language in {"zh", "en"} and _weight(weight) > best:
            best, chosen = _weight(weight), language
    return chosen


def _weight(text: str) -> float:
    try:
        return float(text.strip().removeprefix("q=") or 1)
    except ValueError:
        return 0.0
