"""What is wrong with a file of a pack, said in both languages, with the line where it stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import msgspec

from hexi.kernel.scenario import PROMISES, Severity
from hexi.kernel.text import Text

Severeness = Literal["error", "warning"]

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_AT = re.compile(r"^(?P<said>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_TOML_LINE = re.compile(r" \(at line (\d+), column \d+\)$")


class Problem(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One thing that is wrong. ``where`` is a path such as ``response[1].tell``; ``line`` counts from 1."""

    file: str
    where: str = ""
    line: int | None = None
    message: Text
    level: Severeness = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        where = f" {self.where}:" if self.where else ""
        return f"{place}:{where} {self.message.zh} / {self.message.en}"


def problem_at(
    file: Path, where: str, message: Text, *, level: Severeness = "error", source: str | None = None
) -> Problem:
    """A problem at a path inside a file; the line is looked up in the file's text."""
    return Problem(
        file=str(file), where=where, line=line_of(_text_of(file, source), where), message=message, level=level
    )


def _text_of(file: Path, source: str | None) -> str:
    if source is not None:
        return source
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def line_of(text: str, where: str) -> int | None:
    """The line of a path such as ``response[1].tell``, or of the nearest table above it."""
    lines = text.splitlines()
    found, end = None, len(lines)
    for name, index in _steps(where):
        at = _line_of_key(lines[:end], found or 0, name, index)
        if at is None:
            break
        found, end = at, _end_of_table(lines[:end], at, name)
    return None if found is None else found + 1


def _steps(where: str) -> Iterator[tuple[str, int]]:
    """``a[1].b`` as (a, 1), (b, 0); dots inside quotes belong to the name."""
    for part in re.findall(r'"[^"]*"(?:\[\d+\])?|[^."]+', where):
        pieces = _STEP.findall(part) if not part.startswith('"') else [(part.split('"')[1], "")]
        names = [name for name, _ in pieces if name]
        numbers = [int(number) for _, number in pieces if number.isdigit()]
        if names:
            yield names[0], numbers[0] if numbers else 0


def _line_of_key(lines: list[str], start: int, name: str, index: int) -> int | None:
    """The header of a table, else the header of one inside it, else an assignment."""
    key = rf"""["']?{re.escape(name)}["']?"""
    within = rf"""\s*\[\[?(?:[\w."-]+\.)?{key}"""
    for pattern, number in (
        (rf"{within}\s*\]", index),
        (rf"{within}\.", 0),
        (rf"(?:.*[{{,\s])?{key}\s*=", 0),
    ):
        hits = [n for n in range(start, len(lines)) if re.match(pattern, lines[n])]
        if len(hits) > number:
            return hits[number]
    return None


def _end_of_table(lines: list[str], at: int, name: str) -> int:
    """Where the next table begins that does not lie inside this one."""
    if not lines[at].lstrip().startswith("["):
        return at + 1
    inside = re.compile(rf"""\s*\[\[?(?:[\w."-]+\.)?["']?{re.escape(name)}["']?\.""")
    later = (n for n in range(at + 1, len(lines)) if lines[n].startswith("[") and not inside.match(lines[n]))
    return next(later, len(lines))


def did_you_mean(word: str, known: Iterable[str]) -> Text | None:
    """A suggestion for a mistyped word."""
    close = get_close_matches(word, sorted(set(known)), n=1, cutoff=0.6)
    return Text(zh=f"，是不是 {close[0]}？", en=f"; did you mean {close[0]}?") if close else None


def with_suggestion(message: Text, word: str, known: Iterable[str]) -> Text:
    """The message with a suggestion after it, when there is a close one."""
    hint = did_you_mean(word, known)
    return Text(zh=message.zh + hint.zh, en=message.en + hint.en) if hint else message


def broken_toml(file: Path, error: Exception) -> Problem:
    """The problem of a file that is not TOML, or cannot be read at all."""
    said = str(error)
    line = _TOML_LINE.search(said) if isinstance(error, tomllib.TOMLDecodeError) else None
    message = Text(zh=f"文件读不懂：{said}", en=f"the file cannot be read: {said}")
    return Problem(file=str(file), line=int(line.group(1)) if line else None, message=message)


def wrong_form(file: Path, error: Exception, form: type[msgspec.Struct], source: str) -> Problem:
    """The problem of a table that is not of the wanted form, in plain words with a suggestion."""
    match = _AT.match(str(error))
    assert match is not None
    path = (match["path"] or "").removeprefix("$").removeprefix(".")
    where, message = _explain(match["said"], path, form)
    return problem_at(file, where, message, source=source)


def _explain(said: str, path: str, form: type[msgspec.Struct]) -> tuple[str, Text]:
    quoted = re.findall(r"[`'\"]([^`'\"]*)[`'\"]", said)
    word = quoted[0] if quoted else ""
    if "unknown field" in said:
        message = Text(zh=f"没有 {word} 这个键", en=f"there is no key {word}")
        return _join(path, word), with_suggestion(message, word, keys_at(form, path))
    if "missing required field" in said:
        return path, Text(zh=f"缺少 {word}", en=f"{word} is missing")
    if "Invalid enum value" in said:
        message = Text(zh=f"不认识 {word}", en=f"{word} is not one of the allowed values")
        return path, with_suggestion(message, word, [*Severity, "all", "share", "count", "percentile"])
    if said.startswith("case.deadlines"):
        return _join("case.deadlines", word), with_suggestion(
            Text(zh=f"没有 {word} 这个时限（有 {'、'.join(PROMISES)}）", en=said), word, PROMISES
        )
    return path, _translate(said)


def _translate(said: str) -> Text:
    expected = re.match(r"Expected `(.+?)`, got `(.+?)`", said)
    if expected:
        return Text(
            zh=f"应为 {expected[1]}，却是 {expected[2]}", en=f"should be {expected[1]}, is {expected[2]}"
        )
    if "both languages" in said:
        return Text(zh="中文 zh 和英文 en 都要写", en=said)
    if "duration" in said:
        return Text(zh=f"不是时长（写 90s、15m、4h、1h30m、2d）：{said}", en=said)
    return Text(zh=f"写法不对：{said}", en=said)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def keys_at(form: type[msgspec.Struct], path: str) -> list[str]:
    """The keys that the form knows at a path, as they are written in TOML."""
    here: type[msgspec.Struct] | None = form
    for name in re.findall(r"[^.\[\]]+", re.sub(r"\[[^\]]*\]", "", path)):
        types = {f.encode_name: f.type for f in msgspec.structs.fields(here)} if here else {}
        here = _struct_in(types.get(name))
    return [f.encode_name for f in msgspec.structs.fields(here)] if here else []


def _struct_in(kind: object) -> type[msgspec.Struct] | None:
    """The struct inside ``X | None``, ``tuple[X, ...]`` or ``dict[str, X]``."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    inner = (_struct_in(argument) for argument in getattr(kind, "__args__", ()))
    return next((found for found in inner if found), None)
