"""Bad days, end to end: the real platform on a real folder, with real receivers at the other end."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.peers.receivers import Answer, Receiver, receiving

from hexi.app import App, open_app
from hexi.kernel.case import Case
from hexi.kernel.ports import CaseFilter, Known, StoreError
from hexi.kernel.record import Record
from hexi.kernel.signal import Signal
from hexi.settings import ChannelSettings, Settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PACK = """
id = "bad"
title = { zh = "坏日子", en = "Bad days" }
[kinds."bad.alarm"]
title = { zh = "报警", en = "Alarm" }
from = ["http"]
"""
SCENARIO = """
id = "bad.alarm"
title = { zh = "报警", en = "Alarm" }
[signal]
kinds = ["bad.alarm"]
[case]
severity = "extreme"
deadlines = { acknowledged = "2s", closed = "1h" }
[[response]]
role = "family"
tell = ["subject.contacts"]
by = ["call", "app", "sms"]
text = { zh = "报警：{subject}。回复 1。", en = "Alarm: {subject}. Reply 1." }
"""
RECORDS: dict[tuple[str, str], dict[str, Any]] = {
    ("person", "E1"): {"name": "王秀英", "street": "120103007"},
    ("contact", "K1"): {"name": "女儿", "person": "E1", "phone": "+8613800000011"},
    ("roster", "district"): {"name": "区台", "level": "district", "place": "120103", "phone": "+86110"},
}


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform looks after itself every tenth of a second, so that no test waits for it."""
    monkeypatch.setattr("hexi.app.upkeep.EVERY", 0.1)


def settings(folder: Path, **ways: Receiver) -> Settings:
    packs = folder / "packs" / "bad"
    if not packs.exists():
        (packs / "catalogue").mkdir(parents=True)
        (packs / "pack.toml").write_text(PACK)
        (packs / "catalogue" / "alarm.toml").write_text(SCENARIO)
    channels = {
        way: ChannelSettings(use="webhook", url=receiver.url, secret=SECRET, timeout=300)
        for way, receiver in ways.items()
    }
    return Settings(data_dir=folder / "data", packs=(folder / "packs",), channels=channels)


@asynccontextmanager
async def running(told: Settings) -> AsyncIterator[App]:
    app = open_app(told)
    with app.store.write() as tx:
        for (kind, identity), data in RECORDS.items():
            tx.records.put(Record(kind=kind, id=identity, version=0, data=data, at=1, by="test"))
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


def alarm(app: App, identity: str, kind: str = "bad.alarm", **data: Any) -> Signal:
    now = app.platform.clock.now()
    return Signal(id=identity, source="test", kind=kind, received=now, subject="person:E1", data=data)


async def press(app: App, identity: str = "s1", kind: str = "bad.alarm") -> str:
    [taken] = await app.platform.intake.submit([alarm(app, identity, kind)])
    assert taken.case_id
    return taken.case_id


def cases(app: App, scenario: str) -> list[Case]:
    with app.store.read() as tx:
        rows = tx.cases.find(CaseFilter(scenario=scenario), 100)
        return [case for case in (tx.cases.get(row.id) for row in rows) if case]


async def until(holds: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 -- what is waited for is in the database
            await asyncio.sleep(0.02)


# The disk is full


@contextmanager
def tiny_disk(folder: Path) -> Iterator[Path]:
    """A disk of eight megabytes."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk of eight megabytes: mounting is for root only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as filler:
        for size in (65_536, 4_096):
            try:
                while True:
                    filler.write(b"x" * size)
            except OSError:
                continue


def limit_pages(app: App, pages: int) -> None:
    """No more pages than these for the database, until told otherwise."""
    with app.store.write() as tx:
        tx.link.driver.execute(f"PRAGMA max_page_count = {pages}")


async def send_much(app: App, taken: list[Signal]) -> StoreError:
    """Send until the platform says that it cannot; what it took is noted."""
    for number in range(2_000):
        batch = [alarm(app, f"{number}-{i}", "heartbeat", filling="x" * 500) for i in range(20)]
        try:
            await app.platform.intake.submit(batch)
        except StoreError as error:
            return error
        taken += batch
    raise AssertionError("the disk never filled up")


async def a_full_disk(app: App, full: Callable[[], None], free: Callable[[], None]) -> None:
    taken: list[Signal] = []
    full()
    assert (await send_much(app, taken)).kind == "full"
    cry = [alarm(app, f"cry-{i}") for i in range(3)]
    refused = []
    for signal in cry:
        try:
            await app.platform.intake.submit([signal])
        except StoreError as error:
            refused.append(error.kind)
    assert set(refused) <= {"full"}
    free()
    results = [(await app.platform.intake.submit([signal]))[0] for signal in cry]
    assert [r.fate for r in results].count("accepted") == len(refused)
    assert len({r.case_id for r in results}) == 1
    with app.store.write() as tx:
        assert set(tx.signals.claim(taken)) <= {Known.REPEAT}


def test_a_full_disk_refuses_aloud_and_recovers(tmp_path: Path) -> None:
    async def day(folder: Path) -> None:
        async with receiving() as way, running(settings(folder, call=way, sms=way, app=way)) as app:
            await a_full_disk(app, lambda: fill_up(folder), (folder / "filler").unlink)
            await until(lambda: len({c.headers["idempotency-key"] for c in way.calls}) >= 3)
            await until(lambda: cases(app, "core.technical"))

    with tiny_disk(tmp_path / "disk") as folder:
        asyncio.run(day(folder))


def test_a_database_that_may_not_grow_refuses_aloud_and_recovers(tmp_path: Path) -> None:
    async def day() -> None:
        async with receiving() as way, running(settings(tmp_path, call=way, sms=way, app=way)) as app:
            await a_full_disk(app, lambda: limit_pages(app, 1), lambda: limit_pages(app, 2**31))
            await until(lambda: len(way.calls) >= 3)

    asyncio.run(day())


# The database is locked


def test_a_database_locked_for_three_seconds_delays_and_loses_nothing(tmp_path: Path) -> None:
    hold = (
        "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
        "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); time.sleep(3); c.execute('ROLLBACK')"
    )

    async def day() -> None:
        async with receiving() as way, running(settings(tmp_path, call=way, app=way, sms=way)) as app:
            path = next(p for p in (tmp_path / "data").iterdir() if p.suffix in {".db", ".sqlite"})
            other = await asyncio.create_subprocess_exec(
                sys.executable, "-c", hold, str(path), stdout=asyncio.subprocess.PIPE
            )
            assert other.stdout
            await other.stdout.readline()
            began = time.monotonic()
            pressed = await asyncio.gather(*(press(app, f"s{i}") for i in range(20)))
            assert len(set(pressed)) == 1
            assert 2 < time.monotonic() - began < 6
            await until(lambda: len(way.calls) >= 3, 2)
            assert await other.wait() == 0

    asyncio.run(day())


# Channels misbehave


def family(receiver: Receiver) -> list[str]:
    """The idempotency keys under which the daughter was called."""
    return [call.headers["idempotency-key"] for call in receiver.calls if call.json["role"] == "family"]


def test_one_way_hangs_one_errs_and_the_third_is_not_delayed(tmp_path: Path) -> None:
    async def day(hangs: Receiver, errs: Receiver, works: Receiver) -> None:
        async with running(settings(tmp_path, call=hangs, sms=errs, app=works)) as app:
            began = time.monotonic()
            case = await press(app)
            await until(lambda: works.calls, 2)
            assert works.calls[0].at - began < 1
            await until(lambda: len(family(errs)) >= 2 and len(family(hangs)) >= 2)
            assert (len(set(family(errs))), len(set(family(hangs)))) == (1, 1)
            with app.store.read() as tx:
                found = tx.cases.get(case)
            assert found
            handed = {n.way for n in found.notices.values() if "L1" in n.rungs and n.role == "family"}
            assert handed == {"app"}

    async def play() -> None:
        async with (
            receiving(lambda _: Answer(after=None)) as hangs,
            receiving(lambda _: Answer(500)) as errs,
            receiving() as works,
        ):
            await day(hangs, errs, works)

    asyncio.run(play())


def test_a_way_that_lies_does_not_stop_the_climb(tmp_path: Path) -> None:
    """Every call is answered with 200 and nobody ever hears of it: the desk is told on time."""

    async def day() -> None:
        async with receiving() as liar, running(settings(tmp_path, call=liar, app=liar, sms=liar)) as app:
            case = await press(app)
            await until(lambda: [c for c in liar.calls if c.json["role"] == "duty"], 5)
            [found] = cases(app, "bad.alarm")
            assert found.id == case
            assert found.promises["acknowledged"].missed
            assert {rung for n in found.notices.values() for rung in n.rungs} == {"L0", "L1"}

    asyncio.run(day())


# The wall clock is stepped


class Wall:
    """The machine's clocks, with hands on the wall one."""

    def __init__(self) -> None:
        self.hours = 0

    def time_ns(self) -> int:
        return time.time_ns() + self.hours * 3_600 * 10**9

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


@pytest.mark.parametrize("hours", [1, -1])
def test_a_stepped_wall_clock_is_reported_and_moves_no_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    wall = Wall()
    monkeypatch.setattr("hexi.adapters.clock.time", wall)

    async def day() -> None:
        async with receiving() as way, running(settings(tmp_path, call=way, app=way, sms=way)) as app:
            await press(app)
            began = time.monotonic()
            wall.hours = hours
            await until(lambda: cases(app, "core.technical"), 2)
            assert time.monotonic() - began < 1.9
            assert not cases(app, "bad.alarm")[0].promises["acknowledged"].missed
            await until(lambda: cases(app, "bad.alarm")[0].promises["acknowledged"].missed, 4)
            [found] = cases(app, "bad.alarm")
            assert 2_000 <= (found.promises["acknowledged"].missed or 0) - found.opened_at <= 2_500
            assert abs(app.platform.clock.now() - time.time() * 1000) < 1_000
            assert len(cases(app, "core.technical")) == 1

    asyncio.run(day())


def test_a_clock_set_back_while_we_were_down_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = Wall()
    monkeypatch.setattr("hexi.adapters.clock.time", wall)

    async def day() -> None:
        async with running(settings(tmp_path)) as app:
            await until(lambda: remembered(app), 4)
        wall.hours = -1
        async with running(settings(tmp_path)) as app:
            await until(lambda: cases(app, "core.technical"), 4)
            [found] = cases(app, "core.technical")
            with app.store.read() as tx:
                data = tx.cases.log(found.id)[0].body["signal"]["data"]
            assert -3_700_000 < data["milliseconds"] < -3_500_000

    asyncio.run(day())


def remembered(app: App) -> str | None:
    with app.store.read() as tx:
        return tx.settings.get("clock.last")


# A scenario file is broken while running


def test_a_broken_scenario_file_leaves_the_old_one_and_is_shown(tmp_path: Path) -> None:
    async def day() -> None:
        told = settings(tmp_path)
        file = tmp_path / "packs" / "bad" / "catalogue" / "alarm.toml"
        async with running(told) as app:
            before = app.platform.spine.catalogue.scenarios["bad.alarm"].version
            file.write_text(SCENARIO.replace('"extreme"', '"terrible"'))
            await until(lambda: cases(app, "core.technical"))
            assert app.platform.spine.catalogue.scenarios["bad.alarm"].version == before
            assert await press(app)
            [technical] = cases(app, "core.technical")
            with app.store.read() as tx:
                data = tx.cases.log(technical.id)[0].body["signal"]["data"]
            assert "alarm.toml" in str(data)
            file.write_text(SCENARIO.replace('"extreme"', '"severe"'))
            await until(lambda: app.platform.spine.catalogue.scenarios["bad.alarm"].version != before)
            assert app.platform.spine.catalogue.scenarios["bad.alarm"].case.severity == "severe"

    asyncio.run(day())


def test_a_scenario_file_that_vanishes_leaves_its_open_cases_in_hand(tmp_path: Path) -> None:
    async def day() -> None:
        async with receiving() as way, running(settings(tmp_path, call=way, app=way, sms=way)) as app:
            case = await press(app)
            (tmp_path / "packs" / "bad" / "catalogue" / "alarm.toml").unlink()
            await until(lambda: "bad.alarm" not in app.platform.spine.catalogue.scenarios)
            await until(lambda: cases(app, "bad.alarm")[0].promises["acknowledged"].missed, 5)
            act = Signal(
                id="a1",
                source="web",
                kind="act.closed",
                received=app.platform.clock.now(),
                subject=f"case:{case}",
                data={"by": "user:desk", "outcome": "好"},
            )
            assert [t.fate for t in await app.platform.intake.submit([act])] == ["accepted"]

    asyncio.run(day())
