"""``hexi settings``: what is in force, and a documented example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import msgspec
import typer
from msgspec import Meta

from hexi.cli import common
from hexi.settings import (
    PREFIX,
    ChannelSettings,
    MqttLink,
    Settings,
    Table,
    expected,
    is_listed,
    is_named,
    key_types,
    plain,
    table_of,
)
from hexi.settings.shape import bare

_SECRET = frozenset({"secret", "url", "ping_url"})
_EXAMPLES: dict[str, Any] = {
    "base_url": "https://hexi.example.org",
    "packs": ["/etc/hexi/packs"],
    "secret_file": "/etc/hexi/secret",
    "tls_cert": "/etc/hexi/cert.pem",
    "tls_key": "/etc/hexi/key.pem",
    "url_file": "/etc/hexi/database-url",
    "limit": 5.0,
    "ping_url": "https://watch.example.org/ping/hexi-hexi",
    "backups": "/var/backups/hexi",
    "folder": "/srv/hexi/archive",
}
_NAMED = {"channels": "<way>", "archive.kinds": "<kind>", "mqtt": "<link>"}
"""What stands for the name in the path of a table that there may be several of."""
_CHANNELS: dict[str, dict[str, Any]] = {
    "app": {"use": "inbox"},
    "sms": {"use": "webhook", "url": "https://sms.example.org/send", "secret_file": "/etc/hexi/sms-secret"},
    "group": {"use": "apprise", "url": "dingtalk://{to}", "limit": 0.3, "timeout": "15s"},
}


class Key:
    """One setting as the reference lists it."""

    def __init__(self, path: str, hint: Any, default: Any) -> None:
        self.path, self.hint, self.default = path, hint, default

    @property
    def meaning(self) -> str:
        """Its sentence in the settings' own words."""
        return next((m.description for m in _metas(self.hint) if m.description), "")

    @property
    def expects(self) -> str:
        """What it wants, in words."""
        return expected(self.hint)

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        if ".<kind>." in self.path or "[]" in self.path or get_origin(bare(self.hint)) is dict:
            return ""
        named = self.path.replace("<way>", "sms").replace("<link>", "gate")
        return PREFIX + named.replace(".", "__").upper()


def _metas(hint: Any) -> Iterator[Meta]:
    for part in get_args(hint):
        if isinstance(part, Meta):
            yield part
        elif get_args(part):
            yield from _metas(part)


def keys(table: type[Table] = Settings, at: str = "") -> Iterator[Key]:
    """Every setting there is, in the order of the example."""
    defaults = {f.name: f.default for f in msgspec.structs.fields(table)}
    for name, hint in key_types(table).items():
        inner = table_of(hint)
        if inner is None:
            yield Key(f"{at}{name}", hint, defaults[name])
        else:
            named = f".{_NAMED.get(at + name, '<name>')}" if is_named(hint) else ""
            yield from keys(inner, f"{at}{name}{'[]' if is_listed(hint) else named}.")


def example() -> str:
    """A settings file with every key, its meaning and its default; what is optional is commented out."""
    lines = ["# Settings of hexi. Every line may be left out; HEXI_* variables go over this file."]
    table = ""
    for key in keys():
        head, _, name = key.path.rpartition(".")
        if head.endswith((">", "[]")):
            continue
        if head != table:
            table = head
            lines += ["", f"[{head}]"]
        lines += [f"# {key.meaning}", _line(name, key.default)]
    return "\n".join([*lines, "", *_KINDS, "", *_channel_lines(), "", *_mqtt_lines()]) + "\n"


def _line(name: str, default: Any) -> str:
    if default is None or default == ():
        return f"# {name} = {toml(_EXAMPLES.get(name, 'postgresql://hexi@db/hexi'))}"
    return f"{name} = {toml(plain(default))}"


_KINDS = (
    '# [archive.kinds."vital.*"]: what holds for some kinds of signal alone, by name or beginning.',
    '[archive.kinds."vital.*"]',
    'keep = "90d"',
    'body = "numbers"',
)


def _channel_lines() -> Iterator[str]:
    yield "# [channels.<way>]: how call, sms, app, mail, group, webhook and desk go out to people."
    for key in keys(ChannelSettings):
        yield f"# {key.path}: {key.meaning}"
    for way, values in _CHANNELS.items():
        yield f"[channels.{way}]"
        yield from (f"{name} = {toml(value)}" for name, value in values.items())


def _mqtt_lines() -> Iterator[str]:
    yield "# [mqtt.<link>]: a broker that devices send to, and what their messages mean; docs/how-to/mqtt.md."
    for key in keys(MqttLink):
        yield f"# {key.path}: {key.meaning}"
    yield from _MQTT


_MQTT = (
    "[mqtt.gate]",
    'host = "broker.example.org"',
    "tls = true",
    "[[mqtt.gate.topics]]",
    'template = "hexi/radar/{device}/fall"',
    'kind = "radar.fall"',
    'id = "{data.seq}"',
)


def toml(value: Any) -> str:
    """A plain value as TOML writes it, which is how JSON writes it too."""
    return msgspec.json.encode(value).decode()


def in_force(of: Settings) -> dict[str, Any]:
    """The settings as plain values, with secrets hidden."""
    return _plain_table(of)


def _plain_table(table: Table) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in table.__struct_fields__:
        value = getattr(table, name)
        values[name] = "(hidden)" if value and name in _SECRET else _plain_value(value)
    return values


def _plain_value(value: Any) -> Any:
    if isinstance(value, Table):
        return _plain_table(value)
    if isinstance(value, dict):
        return {name: _plain_value(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_plain_value(part) for part in value]
    return plain(value)


def _print_table(values: dict[str, Any], at: str = "") -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            _print_table(value, f"{at}{name}.")
        elif value is not None:
            common.out.print(f"{at}{name} = {toml(value)}", highlight=False, markup=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("settings")(show_settings)


def show_settings(
    as_example: Annotated[bool, typer.Option("--example", help="Print a documented settings file.")] = False,
    as_json: common.AsJson = False,
) -> None:
    """Show the settings in force, secrets hidden, or a documented example."""
    if as_example:
        typer.echo(example(), nl=False)
        return
    values = in_force(common.settings())
    if as_json:
        common.print_json(values)
    else:
        _print_table(values)
