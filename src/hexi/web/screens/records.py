"""Records of every kind: list, search, add, change, history; forms come from the kind itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException, PermissionDeniedException
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from hexi.kernel.access import Look
from hexi.kernel.ports import CaseFilter, Transaction
from hexi.kernel.record import Field, Privacy, Record, RecordKind
from hexi.spine.records import BadRecordError, keep
from hexi.web.access.guards import may
from hexi.web.access.looks import lies_within, personal_fields, visible
from hexi.web.access.permissions import Caller, Permission
from hexi.web.screens.forms import as_text, cells, controls, editable, parse_form, sensitive, suggestions
from hexi.web.screens.names import Names
from hexi.web.screens.shell import Screens, Visit, speak, visitor_of
from hexi.web.screens.words import gettext, mark, say

PAGE_SIZE = 50
_CHANGED = mark("Somebody else has changed this record meanwhile. Look at it again before you save.")
_TAKEN = mark("This number is taken.")
_NEEDED = mark("A number is needed.")
_COLUMNS = 4
_PLAIN = frozenset({"text", "phone", "choice", "ref", "bool", "integer", "hours", "duration", "date"})


@get("/records", guards=may(Permission.RECORD_SEE), sync_to_thread=True)
def kinds(request: Visit, screens: NamedDependency[Screens]) -> Response[str]:
    """Every kind of record and how many there are."""
    speak(request)
    place = visitor_of(request).place
    with screens.platform.store.read() as tx:
        found = [
            (k.id, say(k.title), tx.records.count(k.id, place=place))
            for k in screens.catalogue.record_kinds.values()
        ]
    return screens.page(request, "kinds.html", kinds=found)


@get(["/people", "/devices"], guards=may(Permission.RECORD_SEE))
async def well_known(
    request: Visit, screens: NamedDependency[Screens], text: FromQuery[str] = "", page: FromQuery[int] = 1
) -> Response[str]:
    """People and devices have short addresses of their own."""
    kind = "person" if request.url.path == "/people" else "device"
    return await _list(request, screens, kind, text, page)


@get("/records/{kind:str}", guards=may(Permission.RECORD_SEE))
async def record_list(
    request: Visit,
    screens: NamedDependency[Screens],
    kind: FromPath[str],
    text: FromQuery[str] = "",
    page: FromQuery[int] = 1,
) -> Response[str]:
    """Records of a kind that contain a text."""
    return await _list(request, screens, kind, text, page)


async def _list(request: Visit, screens: Screens, kind: str, text: str, page: int) -> Response[str]:
    speak(request)
    known, caller = _kind(screens, kind), visitor_of(request)
    with screens.platform.store.read() as tx:
        skip = max(0, page - 1) * PAGE_SIZE
        records = tx.records.find(kind, text.strip(), PAGE_SIZE, skip, caller.place)
        total = tx.records.count(kind, text.strip(), caller.place)
        columns = [(name, say(f.label)) for name, f in known.field.items() if _listed(f)]
        shown = [c for c in columns if c[0] in editable(known, caller)][:_COLUMNS]
        rows = [_list_row(known, record, caller, (shown, Names(tx))) for record in records]
    await _log_looks(screens, caller, [(f"{kind}:*", f"list of {len(rows)}")] if rows else [])
    pages: dict[str, Any] = {"page": page, "pages": -(-total // PAGE_SIZE), "total": total}
    template = "parts/record_rows.html" if request.headers.get("hx-request") else "records.html"
    return screens.page(
        request, template, kind=known, columns=shown, rows=rows, text=text, **pages, **_rights(caller)
    )


def _list_row(
    kind: RecordKind, record: Record, caller: Caller, means: tuple[list[tuple[str, str]], Names]
) -> tuple[str, list[str]]:
    columns, names = means
    data = visible(kind, record.data, caller)
    read = {label: text for label, text, _ in cells(kind, {n: data.get(n) for n, _ in columns}, names)}
    return record.id, [read.get(label, "") for _, label in columns]


@get(["/people/{identity:str}", "/devices/{identity:str}"], guards=may(Permission.RECORD_SEE))
async def well_known_one(
    request: Visit, screens: NamedDependency[Screens], identity: FromPath[str]
) -> Response[str]:
    """One person or device."""
    kind = "person" if request.url.path.startswith("/people") else "device"
    return await _one(request, screens, kind, identity)


@get("/records/{kind:str}/{identity:str}", guards=may(Permission.RECORD_SEE))
async def record(
    request: Visit, screens: NamedDependency[Screens], kind: FromPath[str], identity: FromPath[str]
) -> Response[str]:
    """One record with what hangs on it."""
    return await _one(request, screens, kind, identity)


async def _one(request: Visit, screens: Screens, kind: str, identity: str) -> Response[str]:
    speak(request)
    known, caller = _kind(screens, kind), visitor_of(request)
    with screens.platform.store.read() as tx:
        found = _found(tx, kind, identity, caller)
        data = visible(known, found.data, caller)
        covered = [] if request.query_params.get("show") else sensitive(known, data)
        data = {name: value for name, value in data.items() if name not in covered}
        names = Names(tx)
        values: dict[str, Any] = {
            "cells": cells(known, data, names),
            "related": _related(screens, tx, found),
            "cases": _cases(screens, tx, found),
            "signals": [(s, c) for s, c in tx.signals.recent(found.ref, 10)],
            "heard": tx.heard.last(found.ref) if kind == "device" else None,
            "by": names.of(found.by),
            "covered": [say(known.field[name].label) for name in covered],
        }
    fields = personal_fields(known, data)
    await _log_looks(screens, caller, [(found.ref, ",".join(fields))] if fields else [])
    return screens.page(request, "record.html", kind=known, record=found, **values, **_rights(caller))


def _related(screens: Screens, tx: Transaction, record: Record) -> list[dict[str, Any]]:
    """Records of other kinds that point here: a person's contacts and devices."""
    found = []
    for kind in screens.catalogue.record_kinds.values():
        for name, ref in kind.refs():
            linked = tx.records.linked(kind.id, name, record.id)[:20] if ref == record.kind else []
            if ref == record.kind and (linked or kind.id in {"contact", "device"}):
                rows = [
                    (
                        r.id,
                        str(r.data.get("name") or r.id),
                        str(r.data.get("relation") or r.data.get("type") or ""),
                    )
                    for r in linked
                ]
                found.append(
                    {
                        "kind": kind.id,
                        "title": say(kind.title),
                        "field": name,
                        "label": say(kind.field[name].label),
                        "rows": rows,
                    }
                )
    return found


def _cases(screens: Screens, tx: Transaction, record: Record) -> list[tuple[str, str, int, str]]:
    if record.kind not in {"person", "device"}:
        return []
    wanted = CaseFilter(subject=record.ref) if record.kind == "person" else CaseFilter(device=record.ref)
    rows = tx.cases.find(wanted, 10)
    return [(row.id, say(screens.catalogue.title(row.scenario)), row.opened_at, row.state) for row in rows]


@get("/records/{kind:str}/{identity:str}/history", guards=may(Permission.RECORD_SEE))
async def history(
    request: Visit, screens: NamedDependency[Screens], kind: FromPath[str], identity: FromPath[str]
) -> Response[str]:
    """Every version, and what changed in it."""
    speak(request)
    known, caller = _kind(screens, kind), visitor_of(request)
    with screens.platform.store.read() as tx:
        _found(tx, kind, identity, caller)
        versions = tx.records.history(kind, identity)
        names = Names(tx)
        lines = [
            (v, names.of(v.by), _changes(known, caller, v, older))
            for v, older in zip(versions, [*versions[1:], None], strict=True)
        ]
    await _log_looks(screens, caller, [(f"{kind}:{identity}", "history")])
    return screens.page(request, "history.html", kind=known, identity=identity, lines=lines)


def _changes(
    kind: RecordKind, caller: Caller, version: Record, older: Record | None
) -> list[tuple[str, str, str]]:
    now = visible(kind, version.data, caller)
    before = visible(kind, older.data, caller) if older else {}
    return [
        (say(kind.field[name].label), as_text(before.get(name)), as_text(now.get(name)))
        for name in kind.field
        if now.get(name) != before.get(name)
    ]


@get(
    "/records/{kind:str}/new", guards=may(Permission.RECORD_SEE, Permission.RECORD_EDIT), sync_to_thread=True
)
def new_record(request: Visit, screens: NamedDependency[Screens], kind: FromPath[str]) -> Response[str]:
    """An empty form; fields named in the address are filled in."""
    speak(request)
    known = _kind(screens, kind)
    given = {name: value for name, value in request.query_params.items() if name in known.field}
    return _form(request, screens, known, {"data": given, "identity": "", "version": 0})


@get("/records/{kind:str}/{identity:str}/edit", guards=may(Permission.RECORD_SEE, Permission.RECORD_EDIT))
async def edit_record(
    request: Visit, screens: NamedDependency[Screens], kind: FromPath[str], identity: FromPath[str]
) -> Response[str]:
    """The form of a record; opening it is a look at its personal fields."""
    speak(request)
    known, caller = _kind(screens, kind), visitor_of(request)
    with screens.platform.store.read() as tx:
        found = _found(tx, kind, identity, caller)
    fields = personal_fields(known, visible(known, found.data, caller))
    await _log_looks(screens, caller, [(found.ref, ",".join(fields))] if fields else [])
    return _form(
        request, screens, known, {"data": found.data, "identity": identity, "version": found.version}
    )


def _form(
    request: Visit,
    screens: Screens,
    kind: RecordKind,
    filled: Mapping[str, Any],
    errors: Mapping[str, str] | None = None,
) -> Response[str]:
    caller = visitor_of(request)
    shown = editable(kind, caller)
    fields = controls(kind, filled["data"], errors or {}, shown)
    with screens.platform.store.read() as tx:
        choices = {ref: suggestions(tx, _kind(screens, ref), "", caller) for _, ref in kind.refs()}
    return screens.page(
        request,
        "record_form.html",
        422 if errors else 200,
        kind=kind,
        fields=fields,
        suggestions=choices,
        identity=filled["identity"],
        record_version=filled["version"],
        errors=errors or {},
        id_error=(errors or {}).get("id", ""),
    )


@get("/records/{kind:str}/suggest", guards=may(Permission.RECORD_SEE), sync_to_thread=True)
def suggest(
    request: Visit, screens: NamedDependency[Screens], kind: FromPath[str], text: FromQuery[str] = ""
) -> Response[str]:
    """Options for a field that points to a record."""
    known = _kind(screens, kind)
    with screens.platform.store.read() as tx:
        options = suggestions(tx, known, text, visitor_of(request))
    return screens.page(request, "parts/options.html", options=options)


@post("/records/{kind:str}", guards=may(Permission.RECORD_SEE, Permission.RECORD_EDIT))
async def save(
    request: Visit, screens: NamedDependency[Screens], kind: FromPath[str]
) -> Response[str] | Redirect:
    """Add or change a record; what is wrong is said beside its field."""
    speak(request)
    known, caller = _kind(screens, kind), visitor_of(request)
    form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    identity, version = form.get("id", "").strip(), int(form.get("version") or 0)
    data = parse_form(known, form, editable(known, caller))
    problem = _id_problem(identity)
    if not problem:
        problem = await _store(
            screens,
            caller,
            Record(kind=kind, id=identity, version=version, data=data, at=screens.now(), by=caller.ref),
        )
    if problem:
        filled = {"data": data, "identity": identity if version else "", "version": version}
        return _form(request, screens, known, filled, problem)
    return Redirect(address(kind, identity), status_code=303)


def _id_problem(identity: str) -> dict[str, str]:
    return {} if identity and len(identity) <= 200 and "/" not in identity else {"id": gettext(_NEEDED)}


async def _store(screens: Screens, caller: Caller, record: Record) -> dict[str, str]:
    """Store the next version if nobody was faster; returns what is wrong, by field."""
    kinds = screens.catalogue.record_kinds

    def change(tx: Transaction) -> dict[str, str]:
        present = tx.records.get(record.kind, record.id)
        if (present.version if present else 0) != record.version:
            return {"id": gettext(_CHANGED if record.version else _TAKEN)}
        kept = _hidden(kinds[record.kind], present, caller)
        stored = msgspec.structs.replace(record, data={**kept, **record.data})
        if not all(lies_within(tx, one, caller) for one in (present, stored) if one):
            raise PermissionDeniedException
        keep(tx, kinds, stored)
        return {}

    try:
        return await screens.platform.intake.call(change)
    except BadRecordError as error:
        return {problem.field: say(problem.message) for problem in error.problems}


def _hidden(kind: RecordKind, present: Record | None, caller: Caller) -> dict[str, Any]:
    """What the caller may not see stays as it was."""
    if present is None:
        return {}
    shown = editable(kind, caller)
    return {name: value for name, value in present.data.items() if name not in shown}


def address(kind: str, identity: str) -> str:
    """Where a record is shown."""
    short = {"person": "/people", "device": "/devices"}.get(kind)
    return f"{short}/{identity}" if short else f"/records/{kind}/{identity}"


def _kind(screens: Screens, kind: str) -> RecordKind:
    known = screens.catalogue.record_kinds.get(kind)
    if known is None:
        raise NotFoundException
    return known


def _found(tx: Transaction, kind: str, identity: str, caller: Caller) -> Record:
    record = tx.records.get(kind, identity)
    if record is None or not lies_within(tx, record, caller):
        raise NotFoundException
    return record


def _rights(caller: Caller) -> dict[str, bool]:
    return {"may_edit": caller.may(Permission.RECORD_EDIT)}


async def _log_looks(screens: Screens, caller: Caller, looks: list[tuple[str, str]]) -> None:
    entries = [Look(at=screens.now(), by=caller.ref, record=ref, what=what) for ref, what in looks]

    def log(tx: Transaction) -> None:
        for entry in entries:
            tx.access.looked(entry)

    if entries:
        await screens.platform.intake.call(log)


def _listed(field: Field) -> bool:
    """Whether a list may show a field: short, and nothing sensitive."""
    return field.type.value in _PLAIN and field.privacy is not Privacy.SENSITIVE
