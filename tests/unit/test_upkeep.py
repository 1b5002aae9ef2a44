"""What the platform drops by itself, whole, while it runs."""

from __future__ import annotations

import asyncio

from tests.contract.make import a_signal

from hexi.adapters.sql.forget import AT_ONCE
from hexi.app.compose import open_app
from hexi.kernel.clock import DAY, SECOND
from hexi.settings import Settings

MANY = 2 * AT_ONCE + 7
OLD, YOUNG = "radar-old", "radar-young"


def _fill(store, now, horizon):
    past = now - horizon - SECOND
    with store.write() as tx:
        tx.signals.claim([a_signal(str(n), source=OLD, received=past) for n in range(MANY)])
        tx.signals.claim([a_signal(str(n), source=YOUNG, received=now) for n in range(5)])
        for key, until in (("past", past), ("recent", now - SECOND), ("open", None)):
            tx.cases.fold(key, "C1", now)
            if until:
                tx.cases.release_fold(key, until)
        tx.access.put_session("expired", "amy", now - SECOND)
        tx.access.put_session("live", "amy", now + DAY)


def _left(store):
    def one(sql):
        return [row[0] for row in tx.link.plain(sql)]

    with store.read() as tx:
        return (
            one("SELECT DISTINCT source FROM seen"),
            one('SELECT "key" FROM fold ORDER BY "key"'),
            one("SELECT digest FROM session"),
        )


async def _until(happened, seconds):
    async with asyncio.timeout(seconds):
        while not happened():  # noqa: ASYNC110 -- the store tells nobody
            await asyncio.sleep(0.05)


def test_what_is_long_past_goes_whole_in_one_look_and_nothing_else(tmp_path):
    async def run():
        settings = Settings(data_dir=tmp_path)
        app = open_app(settings)
        _fill(app.store, app.platform.clock.now(), settings.seen_horizon)
        await app.start()
        try:
            await _until(lambda: _left(app.store)[2] == ["live"], 20)
            assert _left(app.store) == ([YOUNG], ["open", "recent"], ["live"])
        finally:
            await app.stop()

    asyncio.run(run())
