"""Records: the generic, versioned data that packs keep, described by TOML, not by Python."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from hexi.kernel.clock import Instant, parse_duration
from hexi.kernel.hours import parse_hours
from hexi.kernel.text import Text

MAX_TEXT = 4_000

NOTE = "note"
"""The kind of the words said about a case. They belong to it alone, so they do not move the revision."""


class FieldType(StrEnum):
    """What a field holds; each has a form control, a cell format and a check."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOL = "bool"
    DATE = "date"
    CHOICE = "choice"
    PHONE = "phone"
    REF = "ref"
    DURATION = "duration"
    HOURS = "hours"
    LIST = "list"
    JSON = "json"


class Privacy(StrEnum):
    """Personal-data class of a field (Personal Information Protection Law: 28 for sensitive)."""

    PUBLIC = "public"
    PERSONAL = "personal"
    SENSITIVE = "sensitive"


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One field of a kind of record."""

    label: Text
    type: FieldType = FieldType.TEXT
    privacy: Privacy = msgspec.field(default=Privacy.PUBLIC, name="class")
    required: bool = False
    ref: str | None = None
    choices: dict[str, Text] = {}
    help: Text | None = None
    aliases: tuple[str, ...] = ()
    """Other column headers under which imports may carry the field."""


class RecordKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kind of record: its fields in the order of its form."""

    id: str
    title: Text
    name_field: str = "name"
    field: dict[str, Field]

    def refs(self) -> list[tuple[str, str]]:
        """(field, kind it points to) for every reference."""
        return [(name, f.ref) for name, f in self.field.items() if f.ref]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one record."""

    kind: str
    id: str
    version: int
    data: dict[str, Any]
    at: Instant
    by: str
    deleted: bool = False

    @property
    def ref(self) -> str:
        """How other things name it: ``person:E00001``."""
        return f"{self.kind}:{self.id}"


class Whereabouts(NamedTuple):
    """What a record lies in: the codes of its street and community, else the person it belongs to."""

    codes: frozenset[str] = frozenset()
    owner: str | None = None


def whereabouts(record: Record) -> Whereabouts:
    """Whose district a record is part of; nobody's when nothing says so.

    A community's official code begins with its street's, so the street is known by it too.
    """
    data = record.data
    if record.kind == "place":
        return Whereabouts(frozenset({record.id[:9], record.id[:12]}))
    if "street" in data or "community" in data:
        street, community = data.get("street"), data.get("community")
        codes = [street, community, community[:9] if isinstance(community, str) else None]
        return Whereabouts(frozenset(code for code in codes if isinstance(code, str) and code))
    if isinstance(data.get("place"), str):
        return Whereabouts(frozenset({data["place"][:9], data["place"][:12]}))
    owner = data.get("person") or data.get("owner")
    return Whereabouts(owner=owner.removeprefix("person:") if isinstance(owner, str) else None)


class Problem(msgspec.Struct, frozen=True):
    """Something wrong with one field, said in both languages."""

    field: str
    message: Text


def ref_of(kind: str, identity: str) -> str:
    """``("person", "E1")`` -> ``"person:E1"``."""
    return f"{kind}:{identity}"


def split_ref(ref: str) -> tuple[str, str]:
    """``"person:E1"`` -> ``("person", "E1")``; ValueError for anything else."""
    kind, colon, identity = ref.partition(":")
    if not colon or not kind or not identity:
        raise ValueError(f"not a reference: {ref!r} (write kind:id)")
    return kind, identity


def check_record(kind: RecordKind, data: Mapping[str, Any]) -> list[Problem]:
    """Everything wrong with a record's data; empty when it may be stored."""
    problems = [
        Problem(name, Text(zh="没有这个字段", en="there is no such field"))
        for name in data
        if name not in kind.field
    ]
    for name, field in kind.field.items():
        problems += [Problem(name, message) for message in _check_value(field, data.get(name))]
    return problems


def _check_value(field: Field, value: Any) -> list[Text]:
    if value is None or value == "":
        return [Text(zh="必填", en="is required")] if field.required else []
    check = _CHECKS.get(field.type)
    if check is None:
        return []
    message = check(field, value)
    return [message] if message else []


def _text(_: Field, value: Any) -> Text | None:
    if not isinstance(value, str):
        return Text(zh="应为文字", en="should be text")
    if len(value) > MAX_TEXT:
        return Text(zh=f"超过 {MAX_TEXT} 字", en=f"is longer than {MAX_TEXT} characters")
    if "\x00" in value:
        return Text(zh="含有空字符", en="contains a null character")
    return None


def _number(field: Field, value: Any) -> Text | None:
    wanted = int if field.type is FieldType.INTEGER else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        return Text(zh="应为数字", en="should be a number")
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 -- NaN is not itself
        return Text(zh="应为有限的数字", en="should be a finite number")
    return None


def _bool(_: Field, value: Any) -> Text | None:
    return None if isinstance(value, bool) else Text(zh="应为是或否", en="should be true or false")


def _date(_: Field, value: Any) -> Text | None:
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        return Text(zh="应为日期，如 1948-05-01", en="should be a date such as 1948-05-01")
    return None


def _choice(field: Field, value: Any) -> Text | None:
    if value in field.choices:
        return None
    zh = "、".join(f"{key}（{label.zh}）" for key, label in field.choices.items())
    return Text(zh=f"应为其中之一：{zh}", en="should be one of " + ", ".join(field.choices))


def _phone(_: Field, value: Any) -> Text | None:
    digits = str(value).replace(" ", "").replace("-", "").removeprefix("+")
    if digits.isascii() and digits.isdigit() and 3 <= len(digits) <= 15:
        return None
    return Text(
        zh="应为电话号码，如 +8613800000000", en="should be a telephone number such as +8613800000000"
    )


def _ref(_: Field, value: Any) -> Text | None:
    if isinstance(value, str) and value.strip() and len(value) <= 200:
        return None
    return Text(zh="应为编号", en="should be an id")


def _list(_: Field, value: Any) -> Text | None:
    return None if isinstance(value, list) else Text(zh="应为列表", en="should be a list")


def _duration(_: Field, value: Any) -> Text | None:
    try:
        parse_duration(value)
    except (TypeError, ValueError):
        return Text(zh="应为时长，如 5m", en="should be a duration such as 5m")
    return None


def _hours(_: Field, value: Any) -> Text | None:
    try:
        parse_hours(value)
    except (TypeError, ValueError):
        return Text(
            zh="应为开放时间，如 Mo-Fr 08:00-18:00",
            en="should be opening hours such as Mo-Fr 08:00-18:00 or 24/7",
        )
    return None


_CHECKS = {
    FieldType.TEXT: _text,
    FieldType.LONG_TEXT: _text,
    FieldType.INTEGER: _number,
    FieldType.NUMBER: _number,
    FieldType.BOOL: _bool,
    FieldType.DATE: _date,
    FieldType.CHOICE: _choice,
    FieldType.PHONE: _phone,
    FieldType.REF: _ref,
    FieldType.DURATION: _duration,
    FieldType.HOURS: _hours,
    FieldType.LIST: _list,
}
