"""The shape of the tables, read from their types: keys, what each expects, how a value is read."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from msgspec import Meta

from hexi.kernel.clock import Duration, format_duration, parse_duration
from hexi.settings.base import Span, Table


def key_types(table: type[Table]) -> dict[str, Any]:
    """Key and annotated type of everything in a table."""
    hints = get_type_hints(table, include_extras=True)
    return {name: hints[name] for name in table.__struct_fields__}


def table_of(hint: Any) -> type[Table] | None:
    """The table a key opens: directly, by name (``channels.<way>``) or as a list; None for a plain value."""
    hint = bare(hint)
    if isinstance(hint, type) and issubclass(hint, Table):
        return hint
    if is_listed(hint):
        return table_of(get_args(hint)[0])
    return table_of(get_args(hint)[1]) if get_origin(hint) is dict else None


def is_named(hint: Any) -> bool:
    """Whether the key holds one table per name."""
    return get_origin(hint) is dict and table_of(hint) is not None


def is_listed(hint: Any) -> bool:
    """Whether the key holds a list of tables."""
    hint = bare(hint)
    return get_origin(hint) is tuple and isinstance(of := get_args(hint)[0], type) and issubclass(of, Table)


def leaves(hint: Any) -> set[Any]:
    """The plain types a value may have."""
    arguments = [a for a in get_args(hint) if isinstance(a, type) or get_args(a)]
    if get_origin(hint) is Literal or not arguments:
        return {hint}
    return set().union(*(leaves(a) for a in arguments)) - {NoneType}


def expected(hint: Any) -> str:
    """What a key wants, in words: ``a whole number, at least 1``."""
    inner = bare(hint)
    options = [o for o in get_args(inner) if o is not NoneType]
    if get_origin(inner) is Literal:
        words = "one of " + ", ".join(f'"{option}"' for option in options)
    elif get_origin(inner) is tuple:
        words = "a list of paths" if Path in leaves(inner) else "a list of texts in quotes"
    elif get_origin(inner) is dict:
        words = "a table of texts in quotes"
    elif options:
        words = expected(options[0])
    else:
        words = _WORDS[inner]
    return words + _bounds(hint)


_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text in quotes",
    Path: "a path in quotes",
    Span: 'a duration such as "90s", "15m" or "30d"',
}


def _bounds(hint: Any) -> str:
    metas = [part for part in get_args(hint) if isinstance(part, Meta)]
    words = [f"at least {m.ge}" for m in metas if m.ge is not None]
    words += [f"at most {m.le}" for m in metas if m.le is not None]
    words += [f"more than {m.gt}" for m in metas if m.gt is not None]
    return "".join(f", {word}" for word in words)


def bare(hint: Any) -> Any:
    """The type without its annotations."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def did_you_mean(name: str, known: Iterable[str], at: str = "") -> str:
    """The hint beside an unknown name: the nearest known one, else all."""
    close = get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean {at}{close[0]}?" if close else f"; there are {', '.join(sorted(known))}"


def read_value(wanted: type, value: Any) -> Any:
    """A path or duration from its text; what msgspec asks for types of our own."""
    if wanted is Path and isinstance(value, str):
        return Path(value)
    if wanted is Span and isinstance(value, str):
        return Span(parse_duration(value))
    want = "a path" if wanted is Path else "a duration such as '5s'"
    raise ValueError(f"expected {want}, got {value!r}")


def plain(value: Any) -> Any:
    """A setting as TOML and JSON write it: durations as text, paths as text."""
    if isinstance(value, Span):
        return format_duration(Duration(value))
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    return value
