"""The tables of settings: every key with its type, its default and its meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from hexi.kernel.clock import DAY
from hexi.settings.archive import Archive
from hexi.settings.base import Count, Port, Positive, Span, Table, read_secret
from hexi.settings.mqtt import MqttLink
from hexi.settings.servers import spread
from hexi.settings.watch import Watch

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Ports(Table, frozen=True):
    """Where a process without screens listens, by the first of its roles in this order."""

    intake: Port = 8701
    clock: Port = 8702
    senders: Port = 8703


class Listen(Table, frozen=True):
    """Where the platform listens."""

    host: Annotated[str, Meta(description="Address to listen on; 0.0.0.0 for every network.")] = "127.0.0.1"
    port: Port = 8700
    tls_cert: Annotated[Path | None, Meta(description="PEM certificate chain, to speak HTTPS itself.")] = None
    tls_key: Annotated[Path | None, Meta(description="PEM private key of tls_cert.")] = None
    ports: Ports = Ports()


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


class DrillSettings(Table, frozen=True):
    """What becomes of the notices of an exercise or an installer's test; they are marked in any case."""

    send: Annotated[
        Literal["mark", "sink"],
        Meta(description="mark: to the real people; sink: signed and sent to a receiver of our own."),
    ] = "sink"


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
    channels: dict[str, ChannelSettings] = {}  # noqa: RUF012 -- msgspec copies it
    mqtt: dict[str, MqttLink] = {}  # noqa: RUF012
    limits: Limits = Limits()
    log: Log = Log()
    watch: Watch = Watch()
    archive: Archive = Archive()
    drill: DrillSettings = DrillSettings()

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

    @property
    def archive_dir(self) -> Path:
        """The folder of the archive."""
        return self.archive.folder or self.data_dir / "archive"

    def database_url(self) -> str:
        """The database to open, in SQLAlchemy's form; SettingsError when its file cannot be read."""
        if self.database.url_file:
            return spread(read_secret(self.database.url_file))
        return spread(self.database.url or f"sqlite:///{self.data_dir / 'hexi.sqlite'}")


def channel_secret(channel: ChannelSettings) -> str | None:
    """The secret of a channel, from its file when it names one."""
    return read_secret(channel.secret_file) if channel.secret_file else channel.secret
