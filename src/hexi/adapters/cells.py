"""The cells of a table: how the value of each type of field is written, and read however people write it."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime
from typing import Any

import msgspec

from hexi.kernel.record import Field, FieldType
from hexi.kernel.text import Text

CLEAR = frozenset({"(清空)", "（清空）", "(clear)"})
"""What a cell says to empty a field; an empty cell leaves it as it is."""

_TRUE = frozenset({"是", "有", "y", "yes", "true", "t", "1", "√", "✓", "对", "已签"})
_FALSE = frozenset({"否", "无", "n", "no", "false", "f", "0", "×", "✗", "x", "错", "未签"})
_DATE = re.compile(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?(?:[ T]00:00(?::00)?)?")
_EXPONENT = re.compile(r"\d(?:\.\d+)?E\+\d+", re.IGNORECASE)
_AS_TEXT = re.compile(r'="([^"]*)"')
_ITEM = re.compile(r"[;；|\n]")
_PLAIN_ITEM = re.compile(r"[;；|\n、,，]")
_WAY = re.compile(r"([a-z]+)[:：](.+)", re.DOTALL)
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


class CellError(Exception):
    """A cell that cannot be read, in both languages."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.message = Text(zh=zh, en=en)


def tidy(raw: Any) -> str:
    """A cell as text: numbers without a trailing .0, dates as ISO, no blanks around, no protecting quote."""
    if isinstance(raw, bool):
        return "1" if raw else "0"
    if isinstance(raw, float) and raw.is_integer():
        return str(int(raw))
    if isinstance(raw, datetime):
        return raw.date().isoformat() if raw.time() == datetime.min.time() else raw.isoformat()
    if raw is None:
        return ""
    text = str(raw).strip().strip("\ufeff\u200b")
    wrapped = _AS_TEXT.fullmatch(text)
    if wrapped:
        return wrapped.group(1)
    return text[1:] if text.startswith("'") and text[1:2] in _DANGEROUS else text


def read_cell(name: str, field: Field, raw: Any) -> Any:
    """The value of a field from a cell; CellError says what is wrong. Empty gives None."""
    text = tidy(raw)
    if not text:
        return None
    reader = _READERS.get(field.type, _read_text)
    if field.type is FieldType.LIST:
        return _LISTS.get(name, _read_items)(text)
    return reader(field, text)


def _half_width(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _read_text(_: Field, text: str) -> str:
    return text


def _read_code(_: Field, text: str) -> str:
    if _EXPONENT.fullmatch(text):
        raise CellError(
            "表格软件把号码改成了科学计数，请把该列设为文本后重新填写",
            "the spreadsheet turned the number into scientific notation; format the column as text",
        )
    return _half_width(text)


def _read_integer(_: Field, text: str) -> int:
    try:
        return int(_half_width(text))
    except ValueError:
        raise CellError("应为整数", "should be a whole number") from None


def _read_number(_: Field, text: str) -> float:
    try:
        return float(_half_width(text).replace(",", ""))
    except ValueError:
        raise CellError("应为数字", "should be a number") from None


def _read_bool(_: Field, text: str) -> bool:
    word = _half_width(text).lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise CellError("应为是或否", "should be yes or no")


def _read_date(_: Field, text: str) -> str:
    match = _DATE.fullmatch(_half_width(text))
    try:
        if match:
            return date(*(int(part) for part in match.groups())).isoformat()
    except ValueError:
        pass
    raise CellError("应为日期，如 1948-05-01", "should be a date such as 1948-05-01")


def _read_choice(field: Field, text: str) -> str:
    word = text.lower()
    for key, label in field.choices.items():
        if word in {key.lower(), label.zh, label.en.lower()}:
            return key
    zh = "、".join(label.zh for label in field.choices.values())
    en = ", ".join(label.en for label in field.choices.values())
    raise CellError(f"应为其中之一：{zh}", f"should be one of {en}")


def _read_hours(_: Field, text: str) -> str:
    return _half_width(text)


def _read_json(_: Field, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise CellError("应为 JSON", "should be JSON") from None


def _read_items(text: str) -> list[Any]:
    if text.startswith("["):
        return _read_json_list(text)
    return [part.strip() for part in _PLAIN_ITEM.split(text) if part.strip()]


def _read_json_list(text: str) -> list[Any]:
    try:
        return msgspec.json.decode(text, type=list[Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise CellError("应为 JSON 列表", "should be a list in JSON") from None


def _read_addresses(text: str) -> list[Any]:
    if text.startswith("["):
        return _read_json_list(text)
    found = []
    for part in (p.strip() for p in _ITEM.split(text)):
        match = _WAY.fullmatch(part)
        if match:
            found.append({"by": match.group(1), "to": match.group(2).strip()})
        elif part:
            raise CellError(
                f"“{part}”应为 方式:地址，如 call:+8613800000000;app:E00001",
                f'"{part}" should be way:address, such as call:+8613800000000;app:E00001',
            )
    return found


def _read_shifts(text: str) -> list[Any]:
    """``W1@08:00-20:00;W2@20:00-08:00``; a part without ``@`` goes on with the hours before it."""
    if text.startswith("["):
        return _read_json_list(text)
    found: list[dict[str, str]] = []
    for part in (p.strip() for p in _ITEM.split(text) if p.strip()):
        person, at, hours = part.partition("@")
        if at:
            found.append({"person": person.strip(), "hours": hours.strip()})
        elif found and ":" in part:
            found[-1]["hours"] += f"; {part}"
        else:
            found.append({"person": part, "hours": "24/7"})
    return found


_READERS = {
    FieldType.PHONE: _read_code,
    FieldType.REF: _read_code,
    FieldType.INTEGER: _read_integer,
    FieldType.NUMBER: _read_number,
    FieldType.BOOL: _read_bool,
    FieldType.DATE: _read_date,
    FieldType.CHOICE: _read_choice,
    FieldType.HOURS: _read_hours,
    FieldType.JSON: _read_json,
}
_LISTS = {"addresses": _read_addresses, "shifts": _read_shifts}


def write_cell(field: Field, value: Any, language: str) -> str | int | float:
    """A value as people and ``read_cell`` read it; a number stays a number."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return {"zh": ("否", "是"), "en": ("no", "yes")}.get(language, ("否", "是"))[value]
    if isinstance(value, int | float):
        return value
    if field.type is FieldType.CHOICE and value in field.choices:
        return field.choices[value].get(language)
    if isinstance(value, list):
        return _write_items(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _write_items(items: list[Any]) -> str:
    parts = [_write_item(item) for item in items]
    if any(part is None or "\n" in part or _ambiguous(item) for item, part in zip(items, parts, strict=True)):
        return msgspec.json.encode(items).decode()
    return ";".join(part for part in parts if part)


def _write_item(item: Any) -> str | None:
    if isinstance(item, str):
        return item
    if isinstance(item, dict) and item.keys() == {"by", "to"}:
        return f"{item['by']}:{item['to']}"
    if isinstance(item, dict) and item.keys() == {"person", "hours"}:
        return f"{item['person']}@{item['hours']}"
    return None


def _ambiguous(item: Any) -> bool:
    """Whether a plain form would be read back as something else."""
    if isinstance(item, str):
        return bool(_PLAIN_ITEM.search(item)) or item.startswith("[") or item != item.strip()
    return bool(_ITEM.search(str(item.get("to", ""))))


def protect(cell: str | float) -> str | float:
    """Text that a spreadsheet would run as a formula, made harmless by a leading quote."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_DANGEROUS) else cell
