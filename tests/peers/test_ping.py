"""The dead man's handle: a real server outside hears from us while all is well, and only then."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hexi.app import open_app
from hexi.app.wellness import _what_is_late, trouble
from hexi.kernel.deadline import Deadline, DeadlineKind
from hexi.kernel.response import Notice
from hexi.settings import Settings, Span, Watch

PATIENCE = 60


class Outside:
    """Who listens outside, and how often it was asked."""

    def __init__(self, status):
        self.status, self.asked = status, 0
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outside.asked += 1
                self.send_response(outside.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/ping/hexi"


@contextmanager
def outside(status=200):
    somebody = Outside(status)
    thread = threading.Thread(target=somebody.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield somebody
    finally:
        somebody.server.shutdown()
        thread.join()
        somebody.server.server_close()


@asynccontextmanager
async def running(folder, url, patience=2_000):
    watch = Watch(ping_url=url, every=Span(50), timeout=Span(patience))
    app = open_app(Settings(data_dir=folder, watch=watch))
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


async def until(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 -- what it waits for happens elsewhere
            await asyncio.sleep(0.02)


def pings(app, result):
    return app.metrics.registry.get_sample_value("hexi_pings_total", {"result": result}) or 0


def test_somebody_outside_hears_again_and_again_that_all_is_well(tmp_path):
    async def main():
        with outside() as somebody:
            async with running(tmp_path, somebody.url) as app:
                await until(lambda: somebody.asked >= 3)
                assert pings(app, "sent") >= 2
                assert app.metrics.registry.get_sample_value("hexi_well") == 1

    asyncio.run(main())


def test_when_the_writer_hangs_the_pings_stop_and_come_back_with_it(tmp_path):
    async def main():
        released = threading.Event()
        with outside() as somebody:
            async with running(tmp_path, somebody.url, patience=500) as app:
                await until(lambda: somebody.asked >= 1)
                hanging = asyncio.create_task(app.platform.intake.call(lambda _: released.wait()))
                await until(lambda: pings(app, "withheld") >= 1)
                heard = somebody.asked
                assert app.metrics.registry.get_sample_value("hexi_well") == 0
                await until(lambda: pings(app, "withheld") >= 3)
                assert somebody.asked == heard
                released.set()
                await hanging
                await until(lambda: somebody.asked > heard)

    asyncio.run(main())


def test_a_far_side_that_hangs_costs_its_timeout_and_nothing_else(tmp_path):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
            async with running(tmp_path, url, patience=200) as app:
                await until(lambda: pings(app, "failed") >= 2)
                assert await app.platform.intake.call(lambda tx: tx.settings.get("watch.last"))

    asyncio.run(main())


@pytest.mark.parametrize("status", [302, 404, 500])
def test_whoever_answers_otherwise_has_not_heard(tmp_path, status):
    async def main():
        with outside(status) as somebody:
            async with running(tmp_path, somebody.url) as app:
                await until(lambda: pings(app, "failed") >= 1)
                assert pings(app, "sent") == 0

    asyncio.run(main())


def test_without_an_address_nobody_is_asked_and_wellness_is_still_looked_at(tmp_path):
    async def main():
        async with running(tmp_path, None) as app:
            await until(lambda: app.metrics.registry.get_sample_value("hexi_well") == 1)
            assert pings(app, "sent") == pings(app, "failed") == 0

    asyncio.run(main())


def test_overdue_deadlines_and_unsent_notices_are_not_well(tmp_path):
    app = open_app(Settings(data_dir=tmp_path))
    now = app.platform.clock.now()
    assert _what_is_late(app.platform) is None
    notice = Notice(
        id="N1", case_id="C1", step="s", role="duty", recipient="roster:district", name="", way="sms",
        address="1", text="", language="zh", t0=now - 90_000, next_at=now - 90_000,
    )  # fmt: skip
    with app.store.write() as tx:
        tx.notices.add(notice)
    assert _what_is_late(app.platform) == "notices are owed and not sent"
    with app.store.write() as tx:
        tx.deadlines.arm([Deadline(key="k", due_at=now - 20_000, kind=DeadlineKind.PROMISE, case_id="C1")])
    assert _what_is_late(app.platform) == "deadlines are overdue"
    app.store.close()


def test_a_platform_that_has_not_begun_is_not_well(tmp_path):
    async def main():
        app = open_app(Settings(data_dir=tmp_path))
        assert await trouble(app.platform, Span(500)) == "the platform is stopping"
        app.store.close()

    asyncio.run(main())
