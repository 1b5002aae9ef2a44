"""A real site for tests: the real store, spine and intake behind a real uvicorn on a free port."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from typing import Any

import httpx
import msgspec
import uvicorn

from hexi.adapters.clock import SystemClock
from hexi.adapters.files import FileStore
from hexi.adapters.geo import PlaceIndex
from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import open_store
from hexi.connectors.tokens import digest_of
from hexi.kernel.access import Account, Token
from hexi.kernel.record import Record
from hexi.kernel.response import Notice
from hexi.protocols import cloudevents
from hexi.settings import ChannelSettings, Limits, Settings
from hexi.spine.hub import Hub
from hexi.spine.intake import Intake
from hexi.spine.links import Links
from hexi.spine.platform import Platform
from hexi.spine.spine import Spine
from hexi.web.access.passwords import hash_password
from hexi.web.site import build_site

CATALOGUE = load_packs().catalogue()
SECRET = "0123456789abcdef0123456789abcdef"
WEBHOOK = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="
STREET, OTHER_STREET = "410802001", "410802002"
COMMUNITY, OTHER_COMMUNITY = STREET + "001", OTHER_STREET + "001"
PASSWORD = "correct horse battery"
PASSWORD_HASH = hash_password(PASSWORD)

PEOPLE: dict[tuple[str, str], dict[str, Any]] = {
    ("person", "E1"): {
        "name": "王秀英",
        "phone": "+8613800000001",
        "street": STREET,
        "community": COMMUNITY,
        "medical_note": "心脏病",
        "door_code": "4711",
        "steward": "W1",
    },
    ("person", "E2"): {"name": "李大山", "street": OTHER_STREET, "community": OTHER_COMMUNITY},
    ("person", "W1"): {"name": "张管家", "phone": "+8613800000002", "street": STREET},
    ("contact", "C1"): {"name": "王女", "person": "E1", "phone": "+8613800000003", "relation": "女儿"},
    ("device", "D1"): {"name": "吊坠", "type": "pendant", "owner": "person:E1"},
    ("device", "D2"): {"name": "吊坠", "type": "pendant", "owner": "person:E2"},
    ("roster", "district"): {"name": "区值班台", "level": "district", "place": "410802", "phone": "110"},
}

TOKENS = {
    "gateway": Token(name="gateway", hash="", sources=("gateway/*",)),
    "any": Token(name="any", hash=""),
    "actor": Token(name="actor", hash="", scope="signals acts"),
    "program": Token(name="program", hash="", scope="api"),
    "watcher": Token(name="watcher", hash="", scope="api:leader"),
    "gone": Token(name="gone", hash="", active=False),
}

ACCOUNTS = [
    Account(login="root", name="管理员", hash=PASSWORD_HASH, role="admin"),
    Account(login="desk", name="值班员", hash=PASSWORD_HASH, role="operator", person="W1"),
    Account(login="street", name="街道", hash=PASSWORD_HASH, role="operator", place=OTHER_STREET),
    Account(login="boss", name="领导", hash=PASSWORD_HASH, role="leader"),
    Account(login="gone", name="离职", hash=PASSWORD_HASH, role="admin", active=False),
]


class World:
    """The platform and the address at which it answers."""

    def __init__(self, folder: Path, settings: Settings, *, demo: bool, base_url: str) -> None:
        self.settings = settings
        self.database = folder / "hexi.sqlite"
        self.store = open_store(f"sqlite:///{self.database}", CATALOGUE.record_kinds)
        clock = SystemClock()
        spine = Spine(self.store, clock, CATALOGUE, PlaceIndex([]), SystemRandom())
        hub = Hub()
        self.notices: list[Notice] = []
        self.platform = Platform(
            store=self.store,
            clock=clock,
            spine=spine,
            intake=Intake(spine, hub, self.notices.extend),
            hub=hub,
            files=FileStore(folder / "files"),
            locator=PlaceIndex([]),
            links=Links(SECRET, base_url),
            secret=SECRET,
            base_url=base_url,
            demo=demo,
            version="test",
        )
        self._fill()
        self.site = build_site(self.platform, settings)
        self.url = ""

    def _fill(self) -> None:
        with self.store.write() as tx:
            for (kind, identity), data in PEOPLE.items():
                tx.records.put(Record(kind=kind, id=identity, version=0, data=data, at=1, by="user:test"))
            for name, token in TOKENS.items():
                tx.access.put_token(msgspec.structs.replace(token, hash=digest_of(f"secret-{name}")))
            for account in ACCOUNTS:
                tx.access.put_account(account)

    def client(self, token: str | None = None, **headers: str) -> httpx.Client:
        """A program's client, with a token or without."""
        if token:
            headers["authorization"] = f"Bearer secret-{token}"
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=20)

    @contextmanager
    def browser(self, login: str | None = None) -> Iterator[httpx.Client]:
        """A person's browser: cookies, the CSRF token in its header, logged in if wished."""
        with self.client(accept="text/html") as client:
            client.get("/login")
            client.headers["x-csrftoken"] = client.cookies["csrftoken"]
            client.headers["origin"] = self.url
            if login:
                answer = client.post("/login", data={"login": login, "password": PASSWORD})
                assert answer.status_code == 303, answer.text
            client.headers["accept"] = "application/json"
            yield client

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Run until told to stop."""
        self.loop = asyncio.get_running_loop()
        await self.platform.intake.start()
        config = uvicorn.Config(self.site, log_level="error", lifespan="off", access_log=False)
        server = uvicorn.Server(config)
        listening = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        serving = asyncio.create_task(server.serve([listening]))
        ready.set()
        await stop.wait()
        self.platform.hub.close()
        server.should_exit = True
        server.force_exit = True
        await serving
        await self.platform.intake.stop()


@contextmanager
def running(
    folder: Path,
    *,
    demo: bool = False,
    limits: Limits | None = None,
    base_url: str = "http://127.0.0.1:8700",
) -> Iterator[World]:
    """A world that runs until the block ends."""
    channel = ChannelSettings(use="webhook", url="http://127.0.0.1:9/", secret=WEBHOOK)
    settings = Settings(data_dir=folder, limits=limits or Limits(), channels={"sms": channel})
    world = World(folder, settings, demo=demo, base_url=base_url)
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(world.serve(ready, stop)))
    thread.start()
    assert ready.wait(20)
    try:
        yield world
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        world.store.close()


def event(identity: str = "m1", **changes: Any) -> dict[str, Any]:
    """A pendant's cry as a CloudEvent; ``...`` leaves an attribute out."""
    said = {
        "specversion": "1.0",
        "id": identity,
        "source": "gateway/7",
        "type": "pendant.sos",
        "subject": "device:D1",
        "data": {"battery": 80},
    }
    return {name: value for name, value in {**said, **changes}.items() if value is not ...}


def send(client: httpx.Client, said: Any, kind: str | None = None, **headers: str) -> httpx.Response:
    """POST one event, or a list of them as a batch."""
    content = said if isinstance(said, bytes) else msgspec.json.encode(said)
    chosen = kind or (cloudevents.BATCH if isinstance(said, list) else cloudevents.STRUCTURED)
    return client.post("/api/v1/signals", content=content, headers={"content-type": chosen, **headers})
