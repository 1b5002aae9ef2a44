"""Forms of records, made from their kinds: controls out, typed data back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from hexi.kernel.ports import Transaction
from hexi.kernel.record import Field, FieldType, Privacy, RecordKind
from hexi.web.access.looks import visible
from hexi.web.access.permissions import Caller
from hexi.web.screens.names import Names
from hexi.web.screens.words import gettext, mark, say

_YES, _NO = mark("yes"), mark("no")
_INPUTS = {
    FieldType.INTEGER: "number",
    FieldType.NUMBER: "number",
    FieldType.DATE: "date",
    FieldType.PHONE: "tel",
}
SUGGESTED = 12
_LONG = frozenset({FieldType.LONG_TEXT, FieldType.LIST, FieldType.JSON})


class Control(NamedTuple):
    """One control of a form."""

    name: str
    label: str
    type: str
    value: str
    required: bool
    help: str
    choices: list[tuple[str, str]]
    ref: str
    error: str
    sensitive: bool
    step: str

    @property
    def wide(self) -> bool:
        """Takes a whole line."""
        return self.type == "area"


def controls(
    kind: RecordKind, data: Mapping[str, Any], errors: Mapping[str, str], shown: frozenset[str]
) -> list[Control]:
    """The controls of a form, in the order of the kind; only those the visitor may see."""
    return [
        _control(name, field, data.get(name), errors.get(name, ""))
        for name, field in kind.field.items()
        if name in shown
    ]


def editable(kind: RecordKind, caller: Caller) -> frozenset[str]:
    """The fields that a visitor may see, and so may change."""
    return frozenset(visible(kind, dict.fromkeys(kind.field), caller))


def sensitive(kind: RecordKind, data: Mapping[str, Any]) -> list[str]:
    """The filled fields of the sensitive class."""
    filled = [name for name, value in data.items() if value not in (None, "") and name in kind.field]
    return [name for name in filled if kind.field[name].privacy is Privacy.SENSITIVE]


def _control(name: str, field: Field, value: Any, error: str) -> Control:
    return Control(
        name=name,
        label=say(field.label),
        type=_type(field),
        value=as_text(value),
        required=field.required,
        help=say(field.help),
        choices=[(code, say(label)) for code, label in field.choices.items()],
        ref=field.ref or "",
        error=error,
        sensitive=field.privacy is Privacy.SENSITIVE,
        step="any" if field.type is FieldType.NUMBER else "1",
    )


def _type(field: Field) -> str:
    if field.type is FieldType.BOOL:
        return "check"
    if field.type is FieldType.CHOICE:
        return "choice"
    return "area" if field.type in _LONG else _INPUTS.get(field.type, "text")


def as_text(value: Any) -> str:
    """A value as a control holds it; lists have one item on a line."""
    if value is None or value == "":
        return ""
    if isinstance(value, list | tuple):
        return "\n".join(item if isinstance(item, str) else _json(item) for item in value)
    if isinstance(value, dict):
        return _json(value)
    return str(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def parse_form(kind: RecordKind, form: Mapping[str, str], shown: frozenset[str]) -> dict[str, Any]:
    """The data of a submitted form; what cannot be read stays text, for the check to name."""
    parsed = {
        name: _parse(field, form.get(name, "").strip()) for name, field in kind.field.items() if name in shown
    }
    return {name: value for name, value in parsed.items() if value is not None}


def _parse(field: Field, text: str) -> Any:
    if field.type is FieldType.BOOL:
        return bool(text)
    if not text:
        return None
    if field.type in {FieldType.INTEGER, FieldType.NUMBER}:
        return _number(field, text)
    if field.type is FieldType.LIST:
        return [_item(line.strip()) for line in text.splitlines() if line.strip()]
    return _item(text) if field.type is FieldType.JSON else text


def _number(field: Field, text: str) -> int | float | str:
    try:
        return int(text) if field.type is FieldType.INTEGER else float(text)
    except ValueError:
        return text


def _item(line: str) -> Any:
    if not line.startswith(("{", "[")):
        return line
    try:
        return json.loads(line)
    except ValueError:
        return line


def cells(kind: RecordKind, data: Mapping[str, Any], names: Names) -> list[tuple[str, str, str]]:
    """(label, what to read, address to follow) of every filled field."""
    return [
        (say(field.label), *_cell(field, data[name], names))
        for name, field in kind.field.items()
        if data.get(name) not in (None, "", [])
    ]


def _cell(field: Field, value: Any, names: Names) -> tuple[str, str]:
    if field.type is FieldType.BOOL:
        return gettext(_YES if value else _NO), ""
    if field.type is FieldType.CHOICE and value in field.choices:
        return say(field.choices[value]), ""
    if field.ref:
        return names.of(f"{field.ref}:{value}"), f"/records/{field.ref}/{value}"
    text = as_text(value)
    return (text if len(text) < 400 else text[:400] + "…"), ""


def suggestions(tx: Transaction, kind: RecordKind, text: str, caller: Caller) -> list[tuple[str, str]]:
    """Records that a reference may point to; names of people only from within the caller's place."""
    public = "name" in kind.field and kind.field["name"].privacy is Privacy.PUBLIC
    found = tx.records.find(kind.id, text, SUGGESTED, place=None if public else caller.place)
    return [(record.id, str(record.data.get("name") or record.id)) for record in found]
