"""Records of every kind: list, read, write with a version, delete, history."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, put
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody

from hexi.connectors.problem import FieldFault, ProblemError
from hexi.kernel.ports import Transaction
from hexi.kernel.record import Record, RecordKind
from hexi.kernel.text import Text
from hexi.spine.records import BadRecordError, keep
from hexi.web.access.guards import Call, caller_in, may, platform_of
from hexi.web.access.looks import lies_within, look, personal_fields, visible
from hexi.web.access.permissions import Caller, Permission
from hexi.web.api.common import Limit, Offset

IfMatch = Annotated[str | None, HeaderParameter(name="If-Match", description="The version that is changed.")]
MAX_ID = 200


class RecordView(msgspec.Struct, kw_only=True):
    """A record as the caller may see it."""

    kind: str
    id: str
    version: int
    data: dict[str, Any]
    at: int
    by: str
    deleted: bool = False


class RecordPage(msgspec.Struct, kw_only=True):
    """Some records of a kind."""

    items: list[RecordView]
    limit: int
    offset: int


@get("/record-kinds", guards=may(Permission.RECORD_SEE), summary="Kinds of record with their fields")
async def list_kinds(request: Call) -> list[RecordKind]:
    """Every kind with fields, labels and privacy classes."""
    return list(platform_of(request).spine.catalogue.record_kinds.values())


def kind_of(request: Call, kind: str) -> RecordKind:
    """A kind of record by id, or a problem."""
    known = platform_of(request).spine.catalogue.record_kinds.get(kind)
    if known is None:
        raise ProblemError("not-found", Text(zh=f"没有这类记录：{kind}", en=f"there is no kind {kind}"))
    return known


@get("/records/{kind:str}", guards=may(Permission.RECORD_SEE), summary="Records of a kind")
async def list_records(
    request: Call, kind: FromPath[str], q: FromQuery[str] = "", limit: Limit = 50, offset: Offset = 0
) -> RecordPage:
    """Records whose id or data contains a text, by id. A list of people is a look at them."""
    platform, caller, known = platform_of(request), caller_in(request), kind_of(request, kind)

    def find() -> list[Record]:
        with platform.store.read() as tx:
            return tx.records.find(kind, q, limit, offset, caller.place)

    items = [_view(known, record, caller) for record in await asyncio.to_thread(find)]
    if any(personal_fields(known, item.data) for item in items):
        await look(platform, caller, f"{kind}:*", f"list of {len(items)}")
    return RecordPage(items=items, limit=limit, offset=offset)


@get("/records/{kind:str}/{identity:str}", guards=may(Permission.RECORD_SEE), summary="One record")
async def get_record(request: Call, kind: FromPath[str], identity: FromPath[str]) -> Response[RecordView]:
    """The current version; its number is the ``ETag``. A look at personal fields is logged."""
    known, record = await _seen(request, kind, identity)
    view = _view(known, record, caller_in(request))
    await _log_look(request, known, record, view.data)
    return _answer(view)


@get("/records/{kind:str}/{identity:str}/history", guards=may(Permission.RECORD_SEE), summary="All versions")
async def get_history(request: Call, kind: FromPath[str], identity: FromPath[str]) -> list[RecordView]:
    """Every version, newest first."""
    platform, caller, known = platform_of(request), caller_in(request), kind_of(request, kind)

    def read() -> list[Record]:
        with platform.store.read() as tx:
            versions = tx.records.history(kind, identity)
            if not versions or not all(lies_within(tx, version, caller) for version in versions[:1]):
                raise _missing(kind, identity)
            return versions

    views = [_view(known, version, caller) for version in await asyncio.to_thread(read)]
    await look(platform, caller, f"{kind}:{identity}", "history")
    return views


@put(
    "/records/{kind:str}/{identity:str}",
    guards=may(Permission.RECORD_SEE, Permission.RECORD_EDIT),
    summary="Add or change a record",
)
async def put_record(
    request: Call,
    kind: FromPath[str],
    identity: FromPath[str],
    data: JSONBody[dict[str, Any]],
    if_match: IfMatch = None,
) -> Response[RecordView]:
    """Add, or replace the version named by ``If-Match``. Fields the caller may not see stay as they are."""
    platform, caller, known = platform_of(request), caller_in(request), kind_of(request, kind)
    _check_id(identity)
    _check_writable(known, data, caller)

    def change(tx: Transaction) -> Record:
        present = tx.records.get(kind, identity)
        _check_version(present, if_match)
        kept = {} if present is None else _unseen(known, present, caller)
        record = _record(kind, identity, {**kept, **data}, caller, platform.clock.now())
        if not all(lies_within(tx, r, caller) for r in (present, record) if r):
            raise ProblemError("forbidden", _OUTSIDE)
        return keep(tx, platform.spine.catalogue.record_kinds, record)

    try:
        stored = await platform.intake.call(change)
    except BadRecordError as error:
        faults = [FieldFault(f"/{p.field}", p.message) for p in error.problems]
        raise ProblemError("invalid", errors=faults) from error
    return _answer(_view(known, stored, caller), 201 if stored.version == 1 else 200)


@delete(
    "/records/{kind:str}/{identity:str}",
    guards=may(Permission.RECORD_SEE, Permission.RECORD_EDIT),
    summary="Delete a record",
)
async def delete_record(
    request: Call, kind: FromPath[str], identity: FromPath[str], if_match: IfMatch = None
) -> None:
    """Delete the version named by ``If-Match``; its history stays."""
    platform, caller = platform_of(request), caller_in(request)
    kind_of(request, kind)

    def change(tx: Transaction) -> Record:
        present = tx.records.get(kind, identity)
        if present is None or not lies_within(tx, present, caller):
            raise _missing(kind, identity)
        _check_version(present, if_match)
        gone = msgspec.structs.replace(present, deleted=True, at=platform.clock.now(), by=caller.ref)
        return keep(tx, platform.spine.catalogue.record_kinds, gone)

    await platform.intake.call(change)


async def _seen(request: Call, kind: str, identity: str) -> tuple[RecordKind, Record]:
    platform, caller, known = platform_of(request), caller_in(request), kind_of(request, kind)

    def read() -> Record:
        with platform.store.read() as tx:
            record = tx.records.get(kind, identity)
            if record is None or not lies_within(tx, record, caller):
                raise _missing(kind, identity)
            return record

    return known, await asyncio.to_thread(read)


async def _log_look(request: Call, kind: RecordKind, record: Record, shown: dict[str, Any]) -> None:
    fields = personal_fields(kind, shown)
    if fields:
        await look(platform_of(request), caller_in(request), record.ref, ",".join(fields))


def _view(kind: RecordKind, record: Record, caller: Caller) -> RecordView:
    return RecordView(
        kind=record.kind,
        id=record.id,
        version=record.version,
        data=visible(kind, record.data, caller),
        at=record.at,
        by=record.by,
        deleted=record.deleted,
    )


def _answer(view: RecordView, status: int = 200) -> Response[RecordView]:
    return Response(view, status_code=status, headers={"etag": f'"{view.version}"'})


def _record(kind: str, identity: str, data: dict[str, Any], caller: Caller, now: int) -> Record:
    present = {name: value for name, value in data.items() if value is not None}
    return Record(kind=kind, id=identity, version=0, data=present, at=now, by=caller.ref)


def _unseen(kind: RecordKind, present: Record, caller: Caller) -> dict[str, Any]:
    shown = visible(kind, present.data, caller)
    return {name: value for name, value in present.data.items() if name not in shown}


def _check_writable(kind: RecordKind, data: dict[str, Any], caller: Caller) -> None:
    hidden = [name for name in data if name in kind.field and name not in visible(kind, data, caller)]
    if hidden:
        faults = [
            FieldFault(f"/{name}", Text(zh="无权填写", en="may not be written by you")) for name in hidden
        ]
        raise ProblemError("forbidden", errors=faults)


def _check_id(identity: str) -> None:
    if len(identity) > MAX_ID or not identity.isprintable() or identity != identity.strip():
        raise ProblemError("invalid", Text(zh="编号不合规", en="this cannot be an id"))


def _check_version(present: Record | None, if_match: str | None) -> None:
    if present is None and if_match is None:
        return
    if if_match is None:
        raise ProblemError("version-needed", _NEED_VERSION)
    named = if_match.strip().removeprefix("W/").strip('"')
    if present is None or (named != "*" and named != str(present.version)):
        raise ProblemError("changed")


def _missing(kind: str, identity: str) -> ProblemError:
    return ProblemError("not-found", Text(zh=f"没有 {kind} {identity}", en=f"there is no {kind} {identity}"))


_OUTSIDE = Text(zh="不在您的辖区", en="this lies outside your place")
_NEED_VERSION = Text(
    zh="请用 If-Match 注明您修改的版本", en="name the version you change with If-Match, as given by ETag"
)

ROUTES: list[Any] = [list_kinds, list_records, get_record, get_history, put_record, delete_record]
