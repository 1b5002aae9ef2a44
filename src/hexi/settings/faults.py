"""What is wrong with given settings, each fault with its key and what is expected there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from hexi.kernel.directory import WAYS
from hexi.settings.archive import archive_faults
from hexi.settings.base import Table
from hexi.settings.mqtt import mqtt_faults
from hexi.settings.shape import (
    did_you_mean,
    expected,
    is_listed,
    is_named,
    key_types,
    read_value,
    table_of,
)
from hexi.settings.tables import ChannelSettings, Settings
from hexi.settings.watch import watch_faults


def refuse_exposure(settings: Settings) -> str | None:
    """Why the platform must not listen as told: plain HTTP where others can reach it. None when it may."""
    if settings.loopback or settings.tls_proxy or settings.listen.tls_cert:
        return None
    return (
        f"不能在 {settings.listen.host} 上用明文 HTTP 服务：请设置 listen.tls_cert 和 listen.tls_key，"
        "或在 TLS 代理之后设置 tls_proxy = true。"
        f" / Refusing plain HTTP on {settings.listen.host}: set listen.tls_cert and listen.tls_key, or "
        "tls_proxy = true behind a TLS proxy."
    )


def faults(values: Mapping[str, Any], table: type[Table] = Settings, at: str = "") -> list[str]:
    """Every key of a file's table that is not known or whose value is not what it should be."""
    known = key_types(table)
    wrong = []
    for name, value in values.items():
        key = f"{at}{name}"
        if name not in known:
            wrong.append(f"{key}: there is no such setting{did_you_mean(name, known, at)}")
        elif table_of(known[name]) is None:
            wrong += value_faults(key, value, known[name], strict=True)
        else:
            wrong += _table_faults(key, value, known[name])
    return wrong


def _table_faults(key: str, value: Any, hint: Any) -> list[str]:
    inner = table_of(hint)
    if inner and is_listed(hint):
        return _list_faults(key, value, inner)
    if inner is None or not isinstance(value, dict):
        return [f"{key}: expected a table [{key}], got {value!r}"]
    if is_named(hint):
        return [line for name, part in value.items() for line in _table_faults(f"{key}.{name}", part, inner)]
    return faults(value, inner, f"{key}.")


def _list_faults(key: str, value: Any, table: type[Table]) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        return [f"{key}: expected tables [[{key}]], got {value!r}"]
    return [line for n, part in enumerate(value, 1) for line in faults(part, table, f"{key}[{n}].")]


def value_faults(key: str, value: Any, hint: Any, *, strict: bool) -> list[str]:
    """What is wrong with one value; nothing when it is what its key expects."""
    try:
        msgspec.convert(value, hint, strict=strict, dec_hook=read_value)
    except msgspec.ValidationError:
        return [f"{key}: expected {expected(hint)}, got {value!r}"]
    return []


def missing(values: Mapping[str, Any]) -> list[str]:
    """Named tables, and tables in lists, without the keys that have no default."""
    return list(_missing(values, Settings, ""))


def _missing(values: Mapping[str, Any], table: type[Table], at: str) -> Iterator[str]:
    known = key_types(table)
    for field in msgspec.structs.fields(table):
        if field.required and field.name not in values:
            yield f"{at}: {field.name} is missing; expected {expected(known[field.name])}"
    for name, value in values.items():
        inner = table_of(known[name])
        for key, part in _parts(name, value, known[name]) if inner else ():
            yield from _missing(part, inner or table, f"{at}.{key}".lstrip("."))


def _parts(name: str, value: Any, hint: Any) -> list[tuple[str, Any]]:
    """The tables that a key holds, with their names."""
    if is_listed(hint):
        return [(f"{name}[{n}]", part) for n, part in enumerate(value, 1)]
    return [(f"{name}.{way}", part) for way, part in value.items()] if is_named(hint) else [(name, value)]


def contradictions(settings: Settings) -> list[str]:
    """Keys that are each right and do not go together."""
    wrong = []
    if (settings.listen.tls_cert is None) != (settings.listen.tls_key is None):
        wrong.append("listen: tls_cert and tls_key belong together; give both or neither")
    if settings.database.url and settings.database.url_file:
        wrong.append("database: give url or url_file, not both")
    if settings.base_url and not settings.base_url.startswith(("http://", "https://")):
        wrong.append("base_url: should start with http:// or https://")
    for way, channel in settings.channels.items():
        if way not in WAYS:
            wrong.append(f"channels.{way}: there is no such way{did_you_mean(way, WAYS)}")
        wrong += [f"channels.{way}: {line}" for line in _channel_faults(channel)]
    return [
        *wrong,
        *archive_faults(settings.archive),
        *mqtt_faults(settings.mqtt),
        *watch_faults(settings.watch),
    ]


def _channel_faults(channel: ChannelSettings) -> list[str]:
    wrong = []
    if channel.use in {"webhook", "apprise"} and not channel.url:
        wrong.append(f'use = "{channel.use}" needs a url')
    if channel.secret and channel.secret_file:
        wrong.append("give secret or secret_file, not both")
    return wrong
