"""A real platform behind a real server, and a real Chromium, for the tests of the screens."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from hexi.adapters.geo import read_index
from hexi.app.compose import App, Manner, open_app
from hexi.kernel.access import Account
from hexi.kernel.case import Case
from hexi.kernel.ports import CaseFilter, Transaction
from hexi.kernel.signal import Signal
from hexi.settings import Settings
from hexi.sim.district import fill, generate
from hexi.web.access.passwords import hash_password
from hexi.web.screens.shell import STATIC
from hexi.web.site import build_site

T = TypeVar("T")
CHROMIUM = Path("/usr/bin/chromium")
ARGS = [
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
]
HERO, PASSWORD = "E00001", "correct horse battery"
ROOT = Path(__file__).resolve().parents[2]


def compile_locale() -> None:
    """Compile the translations as ``make assets`` does; an incomplete one fails here."""
    spec = importlib.util.spec_from_file_location("assets", ROOT / "tools" / "assets.py")
    assert spec
    assert spec.loader
    assets = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(assets)
    assets.compile_locale()


class World:
    """A running platform with a small synthetic district and nobody who answers by himself."""

    def __init__(self, app: App, base: str, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.base = base
        self._loop = loop
        self._numbers = iter(range(1, 1_000_000))

    def read(self, question: Callable[[Transaction], T]) -> T:
        with self.app.store.read() as tx:
            return question(tx)

    def change(self, change: Callable[[Transaction], T]) -> T:
        return self._run(self.app.platform.intake.call(change))

    def signal(self, kind: str, subject: str, **data: Any) -> str:
        """Send a signal; returns the case it went to."""
        signal = Signal(
            id=f"test-{next(self._numbers)}",
            source="test",
            kind=kind,
            received=self.app.platform.clock.now(),
            subject=subject,
            data=data,
        )
        (taken,) = self._run(self.app.platform.intake.submit([signal]))
        return taken.case_id or ""

    def act(self, case_id: str, act: str, by: str, **data: Any) -> None:
        self.signal(f"act.{act}", f"case:{case_id}", by=by, via="app", **data)

    def case(self, case_id: str) -> Case:
        found = self.read(lambda tx: tx.cases.get(case_id))
        assert found is not None
        return found

    def drop_lines(self) -> None:
        """End every event stream, as a restart would."""
        self._loop.call_soon_threadsafe(self.app.platform.hub.close)

    def close_all(self) -> None:
        """End every open case, so that each test begins with an empty queue."""
        for row in self.read(lambda tx: tx.cases.find(CaseFilter(open=True), 500)):
            self.act(row.id, "false_alarm", "user:test", reason="end of a test")

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(_await(coroutine), self._loop).result(10)

    @contextmanager
    def client(self, login: str | None = None) -> Iterator[httpx.Client]:
        """A person's requests: cookies, CSRF token, logged in if wished."""
        headers = {"accept": "text/html", "accept-language": "zh", "origin": self.base}
        with httpx.Client(base_url=self.base, headers=headers, trust_env=False, timeout=20) as client:
            client.get("/login" if login else "/demo")
            client.headers["x-csrftoken"] = client.cookies.get("csrftoken", "")
            if login:
                answer = client.post("/login", data={"login": login, "password": PASSWORD})
                assert answer.status_code == 303, answer.text
            yield client


async def _await(awaitable: Any) -> Any:
    return await awaitable


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self._ready(f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}")


class _Host(threading.Thread):
    """The platform in a thread of its own."""

    def __init__(self, app: App) -> None:
        super().__init__(daemon=True)
        self.app = app
        self.ready = threading.Event()
        self.base = ""
        self.loop: asyncio.AbstractEventLoop | None = None
        site = build_site(app.platform, app.settings)
        config = uvicorn.Config(site, port=0, log_config=None, ws="none", timeout_graceful_shutdown=5)
        self.server = _Server(config, self._is_ready)

    def _is_ready(self, base: str) -> None:
        self.base = base
        self.ready.set()

    def run(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self.app.start()
        await self.server.serve()
        await self.app.stop()

    def stop(self) -> None:
        assert self.loop
        self.server.should_exit = True
        self.loop.call_soon_threadsafe(self.app.platform.hub.close)
        self.join(20)


@contextmanager
def running(folder: Path, *, demo: bool, **settings: Any) -> Iterator[World]:
    """A platform with a small district and three accounts."""
    compile_locale()
    app = open_app(Settings(data_dir=folder, **settings), Manner(demo=demo))
    fill(app.store, generate(1, 30), watched=set(), since=app.platform.clock.now())
    with app.store.read() as tx:
        app.platform.spine.use(locator=read_index(tx))
    with app.store.write() as tx:
        for account in ACCOUNTS:
            tx.access.put_account(account)
    host = _Host(app)
    host.start()
    assert host.ready.wait(20)
    assert host.loop
    try:
        yield World(app, host.base, host.loop)
    finally:
        host.stop()


_HASH = hash_password(PASSWORD)
ACCOUNTS = [
    Account(login="desk", name="值班员甲", hash=_HASH, role="operator"),
    Account(login="steward", name="管家", hash=_HASH, role="worker", person="W001"),
    Account(login="boss", name="领导", hash=_HASH, role="leader"),
]


@contextmanager
def playing() -> Iterator[Playwright]:
    """Playwright; the test is skipped aloud where Chromium or the browser libraries are missing."""
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}")
    if not (STATIC / "vendor" / "htmx.js").exists():
        pytest.skip("no browser libraries; run make assets")
    with sync_playwright() as playwright:
        yield playwright


def chromium(playwright: Playwright, *extra: str) -> Browser:
    """Debian's Chromium."""
    return playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*ARGS, *extra])


class Watch:
    """What went wrong on a page behind its surface."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.wrong: list[str] = []
        context.on("request", lambda r: self._outside(r.url, base))
        context.on("console", lambda m: self.wrong.append(m.text) if m.type == "error" else None)
        context.on("weberror", lambda e: self.wrong.append(str(e.error)))

    def _outside(self, url: str, base: str) -> None:
        if not url.startswith((base, "data:", "blob:")):
            self.wrong.append(f"asked outside: {url}")


def until(holds: Callable[[], bool], seconds: float = 5) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def rows_of(page: Page) -> list[str]:
    """The cases in the order in which the queue shows them."""
    found = page.locator("#queue-list a[data-case]").all()
    return [row.get_attribute("data-case") or "" for row in found]
