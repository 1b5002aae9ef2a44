"""What runs beside the writer: it is begun again after a fault, and after a rest."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from tests.peers.mqtt_world import until

from hexi.adapters.archive.plan import Report
from hexi.app import archiver
from hexi.app.archiver import Archiver
from hexi.app.compose import open_app
from hexi.app.roles import Role
from hexi.app.services import keep_going
from hexi.settings import Settings
from hexi.spine.intake import OverloadedError
from hexi.spine.platform import Platform


class Frail:
    """Fails at its first runs, then goes on."""

    def __init__(self, failures):
        self.left = failures
        self.standing = asyncio.Event()

    async def run(self):
        if self.left:
            self.left -= 1
            raise ValueError("a fault of our own")
        self.standing.set()
        await asyncio.Event().wait()


def test_a_service_that_fails_is_logged_and_begun_again():
    async def play():
        frail = Frail(2)
        task = asyncio.create_task(keep_going(frail, again=0))
        async with asyncio.timeout(20):
            await frail.standing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with structlog.testing.capture_logs() as said:
        asyncio.run(play())
    assert [line["service"] for line in said] == ["Frail", "Frail"]


def test_a_service_that_has_nothing_to_do_ends():
    class Idle:
        async def run(self):
            return

    asyncio.run(asyncio.wait_for(keep_going(Idle()), 20))


class Slow:
    """Needs a while to end; says how many of its runs there were at once."""

    def __init__(self):
        self.runs = self.most = self.begun = 0
        self.may_end = asyncio.Event()

    async def run(self):
        self.runs += 1
        self.begun += 1
        self.most = max(self.most, self.runs)
        try:
            await asyncio.Event().wait()
        finally:
            await self.may_end.wait()
            self.runs -= 1


def _playing(app, *roles):
    app._play(roles)
    return asyncio.sleep(0)


def test_a_role_given_back_soon_begins_when_its_last_run_has_ended(tmp_path):
    async def play():
        app = open_app(Settings(data_dir=tmp_path))
        slow = Slow()
        app._services = [(Role.CLOCK, slow)]
        await app.start()
        await until(lambda: slow.begun == 1)
        for _ in range(3):
            await _playing(app)
            await _playing(app, Role.CLOCK)
        assert (slow.begun, slow.runs) == (1, 1)
        slow.may_end.set()
        await until(lambda: slow.begun == 2)
        slow.may_end.clear()
        await _playing(app)
        stopping = asyncio.create_task(app.stop())
        await asyncio.sleep(0.05)
        assert slow.runs == 1
        assert not stopping.done()
        slow.may_end.set()
        async with asyncio.timeout(20):
            await stopping
        assert (slow.runs, slow.most) == (0, 1)

    asyncio.run(play())


class Full:
    """An intake that can take nothing yet, and says what it was asked to take."""

    def __init__(self):
        self.refuses = True
        self.kinds = []

    async def submit(self, signals):
        if self.refuses:
            self.refuses = False
            raise OverloadedError("200000 signals are waiting")
        self.kinds += [signal.kind for signal in signals]


class Bare:
    """As much of a platform as telling of trouble needs."""

    report = Platform.report

    def __init__(self):
        self.intake = Full()
        self.clock = self

    def now(self):
        return 1


@pytest.fixture
def bare(monkeypatch):
    """An archiver without a store, whose rounds follow each other at once."""
    monkeypatch.setattr(archiver, "EVERY", 0.0)
    monkeypatch.setattr(archiver, "plan_of", lambda platform, settings, stop: stop)
    monkeypatch.setattr(archiver, "_damaged", lambda _: ["rotten"])
    return Bare()


def test_trouble_with_the_archive_is_told_once_the_platform_can_take_it(bare, monkeypatch):
    def fail(_):
        raise ValueError("a fault of our own")

    monkeypatch.setattr(archiver, "_work", fail)

    async def play():
        task = asyncio.create_task(Archiver(bare, Settings()).run())
        await until(lambda: bare.intake.kinds or task.done())
        assert not task.done()
        task.cancel()

    asyncio.run(play())
    assert bare.intake.kinds == ["tech.archive_failed"]


def test_a_damaged_file_that_was_recorded_and_not_told_is_told(bare, monkeypatch):
    rounds = []
    monkeypatch.setattr(archiver, "_work", lambda _: rounds.append(1) or Report())

    async def play():
        task = asyncio.create_task(Archiver(bare, Settings()).run())
        await until(lambda: len(rounds) >= 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(play())
    assert bare.intake.kinds.count("tech.archive_damaged") == 1  # refused at first, told later, and once


def test_a_standby_that_plays_again_works_on_the_archive_again(bare, monkeypatch):
    begun = []

    def work(stop):
        begun.append(stop.is_set())
        stop.wait(0.2)
        return Report()

    monkeypatch.setattr(archiver, "_work", work)

    async def play(one, turns):
        task = asyncio.create_task(one.run())
        await until(lambda: len(begun) >= turns)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def play_twice():
        one = Archiver(bare, Settings())
        await play(one, 1)
        del begun[1:]
        await play(one, 2)

    asyncio.run(play_twice())
    assert begun[:2] == [False, False]
