"""Reading the settings: one TOML file, then ``HEXI_*`` variables over it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

import msgspec

from hexi.settings.base import SettingsError, Table
from hexi.settings.faults import contradictions, faults, missing, value_faults
from hexi.settings.shape import bare, did_you_mean, is_named, key_types, leaves, read_value, table_of
from hexi.settings.tables import Settings

CONFIG_VARIABLE = "HEXI_CONFIG"


PREFIX = "HEXI_"


RESERVED = frozenset({CONFIG_VARIABLE, "HEXI_LANG"})
"""Variables that are not settings."""


def load_settings(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file (given, else HEXI_CONFIG, else ./hexi.toml if there) and the variables over it.

    Relative paths of the file are taken from its folder. SettingsError names everything wrong.
    """
    environ = os.environ if environ is None else environ
    path = config or _path_of(environ)
    values = _read_file(path) if path else {}
    overlay, wrong = _from_environment(environ)
    _complain([f"{path}: {line}" for line in faults(values)] + wrong)
    merged = _merge(_rebase(values, path.parent.resolve(), Settings) if path else {}, overlay)
    where = path or f"{PREFIX}*"
    _complain([f"{where}: {line}" for line in missing(merged)])
    settings = msgspec.convert(merged, Settings, strict=False, dec_hook=read_value)
    _complain([f"{where}: {line}" for line in contradictions(settings)])
    return settings


def _complain(wrong: list[str]) -> None:
    if wrong:
        raise SettingsError("\n".join(wrong))


def _path_of(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return Path("hexi.toml") if Path("hexi.toml").is_file() else None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from error


def _rebase(values: dict[str, Any], folder: Path, table: type[Table]) -> dict[str, Any]:
    """Relative paths of a file are meant from its own folder."""
    based = dict(values)
    for name, hint in key_types(table).items():
        value = values.get(name)
        inner = table_of(hint)
        if inner and isinstance(value, dict):
            named = is_named(hint)
            based[name] = (
                {k: _rebase(v, folder, inner) if isinstance(v, dict) else v for k, v in value.items()}
                if named
                else _rebase(value, folder, inner)
            )
        elif Path in leaves(hint) and isinstance(value, str):
            based[name] = str(folder / value)
        elif Path in leaves(hint) and isinstance(value, list):
            based[name] = [str(folder / v) if isinstance(v, str) else v for v in value]
    return based


def _from_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in RESERVED:
            continue
        path = variable.removeprefix(PREFIX).lower().split("__")
        try:
            hint = _find(path)
        except KeyError as error:
            wrong.append(f"{variable}: there is no such setting{error.args[0]}")
            continue
        value = _split(environ[variable]) if get_origin(bare(hint)) is tuple else environ[variable]
        wrong += value_faults(variable, value, hint, strict=False)
        _place(values, path, value)
    return values, wrong


def _place(values: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        values = values.setdefault(name, {})
    values[path[-1]] = value


def _find(path: list[str]) -> Any:
    """The type of the key at a path; KeyError with a hint when there is none."""
    hint: Any = Settings
    names = list(path)
    for depth, name in enumerate(names):
        if is_named(hint):
            hint = table_of(hint)
            continue
        table = table_of(hint)
        known = key_types(table) if table else {}
        if name not in known:
            above = PREFIX + "".join(f"{part.upper()}__" for part in path[:depth])
            raise KeyError(did_you_mean(name.upper(), [key.upper() for key in known], above))
        hint = known[name]
    if table_of(hint):
        raise KeyError(f"; it is a table: name one of its keys, such as {_first_key(path, hint)}")
    return hint


def _first_key(path: list[str], hint: Any) -> str:
    names = [*path, "sms"] if is_named(hint) else path
    table = table_of(hint)
    return PREFIX + "__".join([*names, *(key_types(table) if table else ())][: len(names) + 1]).upper()


def _split(text: str) -> list[str]:
    return [part for part in text.split(os.pathsep) if part]


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = _merge(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged
