"""Promises about kinds of record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hexi.adapters.packs.check.item import Whole
from hexi.adapters.packs.problem import Problem, problem_at, with_suggestion
from hexi.kernel.record import Field, FieldType, RecordKind
from hexi.kernel.text import Text


def records_are_whole(whole: Whole) -> Iterator[Problem]:
    """A kind of record can be listed, filled in, imported and followed to what it points to."""
    first: dict[str, Path] = {}
    for source in whole.sources:
        for file, kind in source.records.items():
            other = first.setdefault(kind.id, file)
            if other != file:
                message = Text(zh=f"{kind.id} 已写在 {other}", en=f"{kind.id} is already in {other}")
                yield problem_at(file, "id", message)
            for where, said in (*_names(file, kind), *_fields(kind, whole), *_headers(kind)):
                yield problem_at(file, where, said)


def _names(file: Path, kind: RecordKind) -> Iterator[tuple[str, Text]]:
    if file.stem != kind.id:
        yield "id", Text(zh=f"文件名应为 {kind.id}.toml", en=f"the file should be called {kind.id}.toml")
    named = kind.field.get(kind.name_field)
    if named is None:
        message = Text(zh=f"没有字段 {kind.name_field}", en=f"there is no field {kind.name_field}")
        yield "name_field", with_suggestion(message, kind.name_field, kind.field)


def _fields(kind: RecordKind, whole: Whole) -> Iterator[tuple[str, Text]]:
    for name, field in kind.field.items():
        for key, message in _field(field, whole):
            yield f"field.{name}.{key}", message


def _field(field: Field, whole: Whole) -> Iterator[tuple[str, Text]]:
    if field.type is FieldType.CHOICE and not field.choices:
        yield "choices", Text(zh="没有写可选项", en="a choice needs choices")
    if field.type is FieldType.REF and field.ref is None:
        yield "ref", Text(zh="没有写指向哪种记录", en="a reference needs ref, the kind it points to")
    if field.ref is not None and field.ref not in whole.records:
        message = Text(zh=f"没有记录 {field.ref}", en=f"there is no kind of record {field.ref}")
        yield "ref", with_suggestion(message, field.ref, whole.records)


def _headers(kind: RecordKind) -> Iterator[tuple[str, Text]]:
    """A column header of an import means one field."""
    first: dict[str, str] = {}
    for name, field in kind.field.items():
        for header in dict.fromkeys((name, field.label.zh, field.label.en.lower(), *field.aliases)):
            other = first.setdefault(header, name)
            if other != name:
                message = Text(zh=f"表头“{header}”也指 {other}", en=f"the header {header} also means {other}")
                yield f"field.{name}", message
