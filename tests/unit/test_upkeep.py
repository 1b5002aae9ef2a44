"""What the platform drops by itself, whole, while it runs."""

from __future__ import annotations

import asyncio

from tests.contract.make import a_signal

from hexi.adapters.packs.folder import IN_FORCE, digest
from hexi.adapters.sql import SqlStore
from hexi.adapters.sql.forget import AT_ONCE
from hexi.app.compose import open_app
from hexi.app.upkeep import Renewal
from hexi.kernel.clock import DAY, SECOND
from hexi.kernel.ports import CaseFilter, StoreError
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


SCENARIO = """
id = "mine.knock"
title = { zh = "敲门", en = "A knock" }
[signal]
kinds = ["door.knock"]
[case]
severity = "minor"
[[response]]
role = "duty"
tell = ["district.duty"]
by = ["desk"]
text = { zh = "有人敲门。", en = "Somebody knocks." }
"""


def _pack(tmp_path):
    """A pack of one scenario: its folder and the scenario's file."""
    pack = tmp_path / "mine"
    (pack / "catalogue").mkdir(parents=True)
    (pack / "pack.toml").write_text('id = "mine"\ntitle = { zh = "我", en = "Mine" }\nowner = "x"\n')
    file = pack / "catalogue" / "knock.toml"
    file.write_text(SCENARIO)
    return pack, file


def test_it_says_by_which_files_the_platform_works(tmp_path):
    pack, file = _pack(tmp_path)

    async def run():
        app = open_app(Settings(data_dir=tmp_path / "data", packs=(pack,)))

        def said():
            with app.store.read() as tx:
                return tx.settings.get(IN_FORCE)

        await app.start()
        try:
            await _until(lambda: said() == digest((pack,)), 60)
            good = said()
            file.write_text(SCENARIO.replace("[case]", "[case"))
            await _until(lambda: _open_technical(app.store), 60)
            assert said() == good != digest((pack,))
            file.write_text(SCENARIO.replace("A knock", "Somebody knocks"))
            await _until(lambda: said() == digest((pack,)), 60)
        finally:
            await app.stop()

    asyncio.run(run())


def test_a_change_that_met_a_store_in_trouble_is_in_force_at_the_next_look(tmp_path, monkeypatch):
    pack, file = _pack(tmp_path)
    settings = Settings(data_dir=tmp_path / "data", packs=(pack,))
    app = open_app(settings)
    app._services = []
    renewal = Renewal(app.platform, app.loaded, settings)
    real, failed = SqlStore.use_record_kinds, []

    def once(store, kinds):
        if not failed:
            raise failed.append(1) or StoreError("away", kind="broken")
        real(store, kinds)

    monkeypatch.setattr(SqlStore, "use_record_kinds", once)

    async def run():
        await app.start()
        try:
            renewal._rounds = 1
            file.write_text(SCENARIO.replace("A knock", "Somebody knocks"))
            for _ in range(2):
                await renewal._guarded(renewal._packs)
        finally:
            await app.stop()

    asyncio.run(run())
    assert failed
    assert app.platform.spine.catalogue.scenarios["mine.knock"].title.en == "Somebody knocks"


def test_a_map_that_could_not_be_read_is_read_at_the_next_look(tmp_path, monkeypatch):
    settings = Settings(data_dir=tmp_path / "data")
    app = open_app(settings)
    renewal = Renewal(app.platform, app.loaded, settings)
    renewal._revision -= 1
    real, read = renewal._read_map, []

    def once():
        read.append(1)
        if len(read) == 1:
            raise StoreError("away", kind="broken")
        return real()

    monkeypatch.setattr(renewal, "_read_map", once)

    async def run():
        for _ in range(3):
            await renewal._guarded(renewal._map)

    asyncio.run(run())
    app.store.close()
    assert len(read) == 2


def _open_technical(store):
    with store.read() as tx:
        return tx.cases.count(CaseFilter(open=True, scenario="core.technical"))
