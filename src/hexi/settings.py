"""The settings of an installation: one TOML file, then ``HEXI_*`` variables over it.

A variable names a key by its path: ``HEXI_LISTEN__PORT=8080`` is ``port`` under ``[listen]``. Every
key is checked before anything starts; ``SettingsError`` lists everything that is wrong at once.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from hexi.kernel.clock import DAY, Duration, format_duration, parse_duration
from hexi.kernel.directory import WAYS

CONFIG_VARIABLE = "HEXI_CONFIG"
PREFIX = "HEXI_"
RESERVED = frozenset({CONFIG_VARIABLE, "HEXI_LANG"})
"""Variables that are not settings."""

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class SettingsError(Exception):
    """Settings that cannot be used; each line names the place, the key and what is expected."""


class Span(int):
    """A duration in milliseconds that was written as text: ``"5s"``."""

    __slots__ = ()


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of settings."""


Port = Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 takes a free one.")]
Count = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]


class Listen(Table, frozen=True):
    """Where the platform listens."""

    host: Annotated[str, Meta(description="Address to listen on; 0.0.0.0 for every network.")] = "127.0.0.1"
    port: Port = 8700
    tls_cert: Annotated[Path | None, Meta(description="PEM certificate chain, to speak HTTPS itself.")] = None
    tls_key: Annotated[Path | None, Meta(description="PEM private key of tls_cert.")] = None


class Database(Table, frozen=True):
    """Where cases, deadlines, notices and records are kept."""

    url: Annotated[
        str | None,
        Meta(description="postgresql://... of a PostgreSQL 15+; left out: SQLite in data_dir."),
    ] = None
    url_file: Annotated[Path | None, Meta(description="File that holds the URL, when it has a password.")] = (
        None
    )


class ChannelSettings(Table, frozen=True):
    """How one way to people (call, sms, app, mail, group, webhook, desk) goes out."""

    use: Annotated[
        Literal["webhook", "apprise", "inbox", "console"],
        Meta(description="webhook: signed POST; apprise: chat, mail, SMS gateways; inbox: in the app."),
    ]
    url: Annotated[
        str | None,
        Meta(description="Where to send: a webhook's address, or an Apprise URL with {to} for the person."),
    ] = None
    secret: Annotated[str | None, Meta(description="Key that signs a webhook's body.")] = None
    secret_file: Annotated[Path | None, Meta(description="File that holds the secret.")] = None
    limit: Annotated[Positive | None, Meta(description="Most notices a second; SOS go first.")] = None
    timeout: Annotated[Span, Meta(description="An attempt that takes longer has failed.")] = Span(10_000)


class Limits(Table, frozen=True):
    """What one sender may ask of the platform."""

    body: Annotated[
        Count,
        Meta(description="Bytes of one request to the API; 2 MiB holds a full batch of 2 KB each."),
    ] = 2 * 1024 * 1024
    file: Annotated[
        Count, Meta(description="Bytes of one evidence file; 16 MiB holds a telephone's largest photo.")
    ] = 16 * 1024 * 1024
    batch: Annotated[
        Count,
        Meta(description="Signals in one request; a batch is one commit, and a cry waits behind it."),
    ] = 1_000
    rate: Annotated[Count, Meta(description="Requests a second of one token; SOS are never refused.")] = 500
    logins: Annotated[Count, Meta(description="Failed log-ins of one login or address in 15 minutes.")] = 10
    connections: Annotated[
        Count,
        Meta(description="Connections of one address; with tls_proxy, and from this machine, not counted."),
    ] = 500
    screens: Annotated[Count, Meta(description="Screens that listen for changes at the same time.")] = 1_000


class Log(Table, frozen=True):
    """What is written about the running platform; never personal text."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level written.")
    ] = "info"
    form: Annotated[
        Literal["auto", "json", "text"], Meta(description="auto: text on a terminal, JSON lines elsewhere.")
    ] = "auto"


class Settings(Table, frozen=True):
    """Everything an installation can be told."""

    data_dir: Annotated[Path, Meta(description="Folder of the database, evidence files and the secret.")] = (
        Path("var")
    )
    base_url: Annotated[
        str | None,
        Meta(
            description="How people reach the platform, for links in notices; left out: the listen address."
        ),
    ] = None
    tls_proxy: Annotated[
        bool, Meta(description="A proxy before the platform speaks TLS and sets X-Forwarded-Proto.")
    ] = False
    packs: Annotated[
        tuple[Path, ...], Meta(description="Folders of scenario packs beside the built-in ones.")
    ] = ()
    seen_horizon: Annotated[
        Span, Meta(description="How long the identity of a signal is remembered to recognise a repeat.")
    ] = Span(30 * DAY)
    secret_file: Annotated[
        Path | None,
        Meta(description="File with the secret that signs links and sessions; left out: made in data_dir."),
    ] = None
    listen: Listen = Listen()
    database: Database = Database()
    channels: dict[str, ChannelSettings] = {}
    limits: Limits = Limits()
    log: Log = Log()

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the platform."""
        return self.listen.host in LOOPBACK

    @property
    def address(self) -> str:
        """The address of the first page: base_url, else made of the listening address."""
        if self.base_url:
            return self.base_url.rstrip("/")
        scheme = "https" if self.listen.tls_cert else "http"
        host = f"[{self.listen.host}]" if ":" in self.listen.host else self.listen.host
        return f"{scheme}://{host}:{self.listen.port}"

    def database_url(self) -> str:
        """The database to open, in SQLAlchemy's form; SettingsError when its file cannot be read."""
        if self.database.url_file:
            return read_secret(self.database.url_file)
        return self.database.url or f"sqlite:///{self.data_dir / 'hexi.sqlite'}"


def load_settings(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the file (given, else HEXI_CONFIG, else ./hexi.toml if there) and the variables over it.

    Relative paths of the file are taken from its folder. SettingsError names everything wrong.
    """
    environ = os.environ if environ is None else environ
    path = config or _path_of(environ)
    values = _read_file(path) if path else {}
    overlay, wrong = _from_environment(environ)
    _complain([f"{path}: {line}" for line in _faults(values)] + wrong)
    merged = _merge(_rebase(values, path.parent.resolve(), Settings) if path else {}, overlay)
    where = path or f"{PREFIX}*"
    _complain([f"{where}: {line}" for line in _missing(merged)])
    settings = msgspec.convert(merged, Settings, strict=False, dec_hook=_read_value)
    _complain([f"{where}: {line}" for line in _contradictions(settings)])
    return settings


def _complain(wrong: list[str]) -> None:
    if wrong:
        raise SettingsError("\n".join(wrong))


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


def read_secret(path: Path) -> str:
    """The first line of a secret's file; SettingsError when it is missing or empty."""
    try:
        secret = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot read the secret: {error}") from error
    if not secret:
        raise SettingsError(f"{path}: the secret's file is empty")
    return secret


def channel_secret(channel: ChannelSettings) -> str | None:
    """The secret of a channel, from its file when it names one."""
    return read_secret(channel.secret_file) if channel.secret_file else channel.secret


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
        elif Path in _leaves(hint) and isinstance(value, str):
            based[name] = str(folder / value)
        elif Path in _leaves(hint) and isinstance(value, list):
            based[name] = [str(folder / v) if isinstance(v, str) else v for v in value]
    return based


def key_types(table: type[Table]) -> dict[str, Any]:
    """Key and annotated type of everything in a table."""
    hints = get_type_hints(table, include_extras=True)
    return {name: hints[name] for name in table.__struct_fields__}


def table_of(hint: Any) -> type[Table] | None:
    """The table a key opens, directly or by name (``channels.<way>``); None for a plain value."""
    if isinstance(hint, type) and issubclass(hint, Table):
        return hint
    return table_of(get_args(hint)[1]) if is_named(hint) else None


def is_named(hint: Any) -> bool:
    """Whether the key holds one table per name."""
    return get_origin(hint) is dict


def _leaves(hint: Any) -> set[Any]:
    arguments = [a for a in get_args(hint) if isinstance(a, type) or get_args(a)]
    if get_origin(hint) is Literal or not arguments:
        return {hint}
    return set().union(*(_leaves(a) for a in arguments)) - {NoneType}


def _faults(values: Mapping[str, Any], table: type[Table] = Settings, at: str = "") -> list[str]:
    """Every key of a file's table that is not known or whose value is not what it should be."""
    known = key_types(table)
    wrong = []
    for name, value in values.items():
        key = f"{at}{name}"
        if name not in known:
            wrong.append(f"{key}: there is no such setting{_did_you_mean(name, known, at)}")
        elif table_of(known[name]) is None:
            wrong += _value_faults(key, value, known[name], strict=True)
        else:
            wrong += _table_faults(key, value, known[name])
    return wrong


def _table_faults(key: str, value: Any, hint: Any) -> list[str]:
    inner = table_of(hint)
    if inner is None or not isinstance(value, dict):
        return [f"{key}: expected a table [{key}], got {value!r}"]
    if is_named(hint):
        return [line for name, part in value.items() for line in _table_faults(f"{key}.{name}", part, inner)]
    return _faults(value, inner, f"{key}.")


def _value_faults(key: str, value: Any, hint: Any, *, strict: bool) -> list[str]:
    try:
        msgspec.convert(value, hint, strict=strict, dec_hook=_read_value)
    except msgspec.ValidationError:
        return [f"{key}: expected {expected(hint)}, got {value!r}"]
    return []


def expected(hint: Any) -> str:
    """What a key wants, in words: ``a whole number, at least 1``."""
    bare = _bare(hint)
    options = [o for o in get_args(bare) if o is not NoneType]
    if get_origin(bare) is Literal:
        words = "one of " + ", ".join(f'"{option}"' for option in options)
    elif get_origin(bare) is tuple:
        words = "a list of paths"
    elif options:
        words = expected(options[0])
    else:
        words = _WORDS[bare]
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


def _missing(values: Mapping[str, Any]) -> list[str]:
    """Channels without the keys that have no default."""
    needed = [f.name for f in msgspec.structs.fields(ChannelSettings) if f.required]
    channels = values.get("channels", {})
    return [
        f"channels.{way}: {name} is missing; expected {expected(key_types(ChannelSettings)[name])}"
        for way, channel in channels.items()
        for name in needed
        if name not in channel
    ]


def _did_you_mean(name: str, known: Iterable[str], at: str = "") -> str:
    close = get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean {at}{close[0]}?" if close else f"; there are {', '.join(sorted(known))}"


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
        value = _split(environ[variable]) if get_origin(_bare(hint)) is tuple else environ[variable]
        wrong += _value_faults(variable, value, hint, strict=False)
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
            raise KeyError(_did_you_mean(name.upper(), [key.upper() for key in known], above))
        hint = known[name]
    if table_of(hint):
        raise KeyError(f"; it is a table: name one of its keys, such as {_first_key(path, hint)}")
    return hint


def _first_key(path: list[str], hint: Any) -> str:
    names = [*path, "sms"] if is_named(hint) else path
    table = table_of(hint)
    return PREFIX + "__".join([*names, *(key_types(table) if table else ())][: len(names) + 1]).upper()


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _split(text: str) -> list[str]:
    return [part for part in text.split(os.pathsep) if part]


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = _merge(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged


def _read_value(wanted: type, value: Any) -> Any:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    if wanted is Span and isinstance(value, str):
        return Span(parse_duration(value))
    expected = "a path" if wanted is Path else "a duration such as '5s'"
    raise ValueError(f"expected {expected}, got {value!r}")


def _contradictions(settings: Settings) -> list[str]:
    wrong = []
    if (settings.listen.tls_cert is None) != (settings.listen.tls_key is None):
        wrong.append("listen: tls_cert and tls_key belong together; give both or neither")
    if settings.database.url and settings.database.url_file:
        wrong.append("database: give url or url_file, not both")
    if settings.base_url and not settings.base_url.startswith(("http://", "https://")):
        wrong.append("base_url: should start with http:// or https://")
    for way, channel in settings.channels.items():
        if way not in WAYS:
            wrong.append(f"channels.{way}: there is no such way{_did_you_mean(way, WAYS)}")
        wrong += [f"channels.{way}: {line}" for line in _channel_faults(channel)]
    return wrong


def _channel_faults(channel: ChannelSettings) -> list[str]:
    wrong = []
    if channel.use in {"webhook", "apprise"} and not channel.url:
        wrong.append(f'use = "{channel.use}" needs a url')
    if channel.secret and channel.secret_file:
        wrong.append("give secret or secret_file, not both")
    return wrong


def plain(value: Any) -> Any:
    """A setting as TOML and JSON write it: durations as text, paths as text."""
    if isinstance(value, Span):
        return format_duration(Duration(value))
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    return value
