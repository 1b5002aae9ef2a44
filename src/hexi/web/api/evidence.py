"""Evidence: pictures for a case, kept by what they contain."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.params import FromPath

from hexi.connectors.asgi import too_large
from hexi.connectors.problem import ProblemError
from hexi.kernel.text import Text
from hexi.web.access.guards import Call, caller_in, may, platform_of
from hexi.web.access.looks import look
from hexi.web.access.permissions import Permission
from hexi.web.api.common import case_for

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"mif1", b"msf1", b"heif"})


class Kept(msgspec.Struct, kw_only=True):
    """A kept file: ``file`` goes into the act ``evidence``."""

    file: str
    type: str
    bytes: int


def picture_type(content: bytes) -> str | None:
    """The content type of a picture by its first bytes; None for anything else."""
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return "image/heic" if content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS else None


@post("/evidence", guards=may(Permission.CASE_ACT), status_code=201, summary="Keep a picture")
async def put_evidence(request: Call) -> Kept:
    """The picture as the body, or as the field ``file`` of a form. JPEG, PNG, WebP, GIF or HEIC."""
    content = await _uploaded(request)
    limit = request.app.state.settings.limits.file
    if len(content) > limit:
        raise too_large(limit)
    kind = picture_type(content)
    if kind is None:
        raise ProblemError("unsupported-type", _PICTURES)
    digest = await asyncio.to_thread(platform_of(request).files.put, content, kind)
    return Kept(file=digest, type=kind, bytes=len(content))


async def _uploaded(request: Call) -> bytes:
    if request.content_type[0] != "multipart/form-data":
        return await request.body()
    file = (await request.form()).get("file")
    if not isinstance(file, UploadFile):
        raise ProblemError("bad-request", Text(zh="缺少表单字段 file", en="the form field file is missing"))
    return await file.read()


@get(
    "/cases/{case_id:str}/evidence/{digest:str}",
    guards=may(Permission.CASE_SEE, Permission.PERSON_SEE),
    media_type="application/octet-stream",
    summary="A picture of a case",
)
async def get_evidence(request: Call, case_id: FromPath[str], digest: FromPath[str]) -> Response[bytes]:
    """A file that is evidence on a case the caller may see. The look is logged."""
    platform, caller = platform_of(request), caller_in(request)

    def read() -> tuple[bytes, str]:
        with platform.store.read() as tx:
            case = case_for(tx, case_id, caller)
        if not any(evidence.file == digest for evidence in case.evidence):
            raise ProblemError("not-found")
        try:
            return platform.files.get(digest)
        except KeyError:
            raise ProblemError("not-found") from None

    content, kind = await asyncio.to_thread(read)
    await look(platform, caller, f"case:{case_id}", f"evidence {digest}", case_id)
    headers = {"cache-control": "private, max-age=86400", "content-security-policy": "sandbox"}
    return Response(content, headers=headers, media_type=kind)


_PICTURES = Text(
    zh="请上传 JPEG、PNG、WebP、GIF 或 HEIC 图片", en="send a JPEG, PNG, WebP, GIF or HEIC picture"
)

ROUTES: list[Any] = [put_evidence, get_evidence]
