"""Put the platform together from its settings, start it and stop it."""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import NamedTuple

from hexi import __version__
from hexi.adapters.channels import OpenChannel, WaysOut
from hexi.adapters.clock import DatabaseClock, SystemClock
from hexi.adapters.durable import create_private
from hexi.adapters.files import FileStore
from hexi.adapters.geo import read_index
from hexi.adapters.metrics import Metrics
from hexi.adapters.packs.load import Loaded, load_packs
from hexi.adapters.sql import SqlStore, open_store
from hexi.adapters.sql.pulse import measure
from hexi.app import drill
from hexi.app.archiver import Archiver
from hexi.app.brokers import Brokers
from hexi.app.days import DayKeeper
from hexi.app.drill import Outside
from hexi.app.gauges import connect_gauges
from hexi.app.member import Member, this_process
from hexi.app.ping import Ping
from hexi.app.recall import Recall
from hexi.app.roles import ALL_ROLES, Role, in_order
from hexi.app.services import Running, Service
from hexi.app.upkeep import Renewal, Upkeep
from hexi.app.watcher import MetricsWatcher
from hexi.app.ways import WayWatch
from hexi.kernel.clock import Clock
from hexi.kernel.ports import StoreError
from hexi.kernel.response import Notice
from hexi.settings import ChannelSettings, Settings, read_secret
from hexi.spine.hub import Hub
from hexi.spine.intake import Intake
from hexi.spine.links import Links
from hexi.spine.platform import Platform
from hexi.spine.senders import Senders
from hexi.spine.spine import Spine
from hexi.spine.work import Share

_INBOX = ChannelSettings(use="inbox")
_ALWAYS = ("app", "desk")
"""Ways that end on our own screens, so they need no setting."""

_IN_A_DEMO = ("app", "call", "sms", "desk", "mail", "group")


class Manner(NamedTuple):
    """How this process runs: as a demo or not, which of the platform's jobs are its own, or only stand by."""

    demo: bool = False
    roles: AbstractSet[Role] = ALL_ROLES
    standby: bool = False


_WHOLE = Manner()


class App:
    """A composed platform; ``start`` and ``stop`` on one event loop."""

    def __init__(
        self, settings: Settings, store: SqlStore, loaded: Loaded, clock: Clock, manner: Manner
    ) -> None:
        self.settings = settings
        self.store = store
        self.loaded = loaded
        self.metrics = Metrics(__version__)
        told = _channels(settings, demo=manner.demo)
        self._ways = WaysOut(told, _secret_of(settings), clock)
        drill.divert(self._ways.channels, Outside(told, _secret_of(settings), clock, store), settings.drill)
        secret = _secret(settings)
        with store.read() as tx:
            locator = read_index(tx)
        spine = Spine(store, clock, loaded.catalogue(), locator, random.SystemRandom())
        hub, links = Hub(), Links(secret, settings.address)
        watcher = MetricsWatcher(self.metrics)
        intake = Intake(spine, hub, self._hand, watcher)
        self.senders = Senders(self._ways.channels, intake.receipt, clock, links, self._ways.trunks)
        self.platform = Platform(
            store=store,
            clock=clock,
            spine=spine,
            intake=intake,
            hub=hub,
            files=FileStore(settings.data_dir / "files"),
            locator=locator,
            links=links,
            secret=secret,
            base_url=settings.address,
            demo=manner.demo,
            version=__version__,
        )
        ways = WayWatch(self.platform, self.metrics, self._ways.channels.keys())
        self.senders.watch(watcher.attempted, ways.attempted)
        self.roles = manner.roles
        self.member = self._membership(clock, manner)
        """This process among others; None when it is alone."""
        self._services: list[tuple[Role | None, Service]] = [
            (None, Renewal(self.platform, loaded, settings)),
            (Role.CLOCK, Upkeep(self.platform, loaded, settings)),
            (Role.INTAKE, Brokers(self.platform, settings, self.metrics, self.member)),
            (Role.CLOCK, Ping(self.platform, settings.watch, self.metrics)),
            (Role.CLOCK, DayKeeper(store.days)),
            (Role.CLOCK, Archiver(self.platform, settings)),
            (Role.SENDERS, ways),
            (Role.SENDERS, Recall(store, self.senders)),
        ]
        """What runs beside the writer, each where its role is played; without a role: in every process."""
        connect_gauges(self.metrics, self.platform, store, settings)
        self._running = Running()

    def _membership(self, clock: Clock, manner: Manner) -> Member | None:
        """Among several processes nothing is done before this one is known to be there."""
        if not isinstance(clock, DatabaseClock):
            return None
        secret, roles = self.platform.secret, in_order(manner.roles)
        me = this_process(roles, secret, clock.now(), standby=manner.standby, version=__version__)
        self.platform.spine.use(share=Share(name=me.id, ticks=False, sends=False, rests=True))
        return Member(self.platform, self.store, clock, me, self._play)

    def _play(self, roles: Sequence[str]) -> None:
        """From now on do the work of these roles, and no other."""
        playing = frozenset(map(Role, roles))
        share = Share(
            name=self.member.name if self.member else None,
            ticks=Role.CLOCK in playing,
            sends=Role.SENDERS in playing,
            rests=not playing,
        )
        self.platform.spine.use(share=share)
        self.platform.intake.recall()
        for number, (role, service) in enumerate(self._services):
            wanted = role is None or role in playing
            if wanted:
                self._running.begin(number, service)
            else:
                self._running.end(number)

    def _hand(self, notices: Sequence[Notice]) -> None:
        self.senders.hand(notices)

    def _players(self, role: Role) -> float:
        """How many processes play a role."""
        if self.member is None:
            return float(role in self.roles)
        return sum(role in process.playing for process in self.member.living())

    def _pending(self) -> float:
        try:
            with self.store.read() as tx:
                return tx.deadlines.pending()
        except StoreError:
            return math.nan  # the other metrics are wanted most when the store is in trouble

    def wrap_channels(self, wrap: Callable[[OpenChannel], OpenChannel]) -> None:
        """Put something before every channel; the demo's people answer there."""
        for way, channel in self._ways.channels.items():
            self._ways.channels[way] = wrap(channel)

    async def start(self) -> None:
        """Begin to commit, to send and to look after itself."""
        self.metrics.watch(
            queue=lambda: self.platform.intake.backlog,
            outbox=lambda: self.senders.on_the_way,
            screens=lambda: self.platform.hub.listeners,
            deadlines=self._pending,
        )
        for role in Role:
            self.metrics.processes(role, partial(self._players, role))
        await self.platform.intake.start()
        await self.senders.run()
        if self.member is None:
            self._play(in_order(self.roles))
            return
        try:
            await self.member.join()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Commit and send what is on its way, then let go. Nothing owed is lost: it is in the outbox."""
        await self._running.stop()
        self.platform.hub.close()
        await self.senders.stop()
        await self.platform.intake.stop()
        if self.member:
            await self.member.leave()
        await self._ways.close()
        self.store.close()


def open_app(settings: Settings, manner: Manner = _WHOLE, clock: Clock | None = None) -> App:
    """Open the store and read the packs; StoreError or SettingsError when that cannot be."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    loaded = load_packs(settings.packs)
    store = open_store(settings.database_url(), loaded.catalogue().record_kinds)
    return App(settings, store, loaded, clock or _clock(store), manner)


def _clock(store: SqlStore) -> Clock:
    """Where several processes may work together, the database's clock is everybody's."""
    if store.dialect == "sqlite":
        return SystemClock()
    clock = DatabaseClock()
    with store.alone() as tx:
        for _ in range(3):
            measure(tx, clock)
    return clock


def _channels(settings: Settings, *, demo: bool) -> dict[str, ChannelSettings]:
    own = _IN_A_DEMO if demo else _ALWAYS
    return {**dict.fromkeys(own, _INBOX), **settings.channels}


def _secret_of(settings: Settings) -> Callable[[str], str | None]:
    """The secret of each channel, from its setting or its file."""

    def find(way: str) -> str | None:
        told = settings.channels.get(way)
        if told is None:
            return None
        return read_secret(told.secret_file) if told.secret_file else told.secret

    return find


def _secret(settings: Settings) -> str:
    """The installation's own secret, made once."""
    if settings.secret_file:
        return read_secret(settings.secret_file)
    path = settings.data_dir / "secret"
    if not path.exists():
        create_private(path, f"{secrets.token_urlsafe(32)}\n".encode())
    return read_secret(path)
