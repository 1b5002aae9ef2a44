"""Bad days of the archive in the running platform: its disk is full, a file of it is damaged."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.contract.archive_world import everywhere
from tests.scenario.test_bad_days import cases, fill_up, running, settings, tiny_disk, until

from hexi.app import App
from hexi.kernel.clock import HOUR
from hexi.kernel.signal import Signal
from hexi.settings import Archive, Settings
from hexi.settings.base import Span


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive is worked on every tenth of a second."""
    monkeypatch.setattr("hexi.app.archiver.EVERY", 0.1)


def told(folder: Path, archive: Path) -> Settings:
    return replace(settings(folder), archive=Archive(folder=archive))


def seed(app: App, hours: int = 6, each: int = 50) -> set[str]:
    """Signals of some hours that are older than the hot window."""
    now = app.platform.clock.now()
    batch = [
        Signal(
            id=f"old-{hour}-{n}",
            source="test",
            kind="heartbeat",
            received=now - (50 + hour) * HOUR,
            subject=f"device:D{n}",
            data={"rate": n, "filling": f"{n * hour * 7919:040d}"},
        )
        for hour in range(hours, 0, -1)
        for n in range(each)
    ]
    with app.store.write() as tx:
        tx.signals.claim(batch)
        for signal in batch:
            tx.signals.add(signal, None)
    return {signal.id for signal in batch}


def trouble(app: App, about: str = "platform:archive") -> list[str]:
    """The technical cases about something, and whether they have ended."""
    return [
        f"{case.subject} {'open' if case.is_open else 'ended'}"
        for case in cases(app, "core.technical")
        if str(case.subject).startswith(about)
    ]


def files(archive: Path) -> list[Path]:
    return sorted(archive.glob("day=*/*.parquet"))


def old(app: App, archive: Path) -> dict[str, int]:
    return {k: n for k, n in everywhere(app.store, archive).items() if k.startswith("old-")}


def test_a_full_disk_stops_archiving_and_nothing_is_lost(tmp_path: Path) -> None:
    async def day(archive: Path) -> None:
        fill_up(archive)
        async with running(told(tmp_path, archive)) as app:
            sent = seed(app)
            await until(lambda: trouble(app) == ["platform:archive open"], 60)
            assert old(app, archive) == dict.fromkeys(sent, 1)
            assert files(archive) == []
            (archive / "filler").unlink()
            await until(lambda: trouble(app) == ["platform:archive ended"], 60)
            assert len(files(archive)) == 6
            assert old(app, archive) == dict.fromkeys(sent, 1)

    with tiny_disk(tmp_path / "disk") as folder:
        asyncio.run(day(folder))


def test_a_damaged_file_is_a_case_that_names_it_and_ends_when_it_is_put_back(tmp_path: Path) -> None:
    async def day(archive: Path) -> None:
        always = Archive(folder=archive, check=Span(1))
        async with running(replace(settings(tmp_path), archive=always)) as app:
            sent = seed(app)
            await until(lambda: len(files(archive)) == 6, 60)
            victim = files(archive)[2]
            good = victim.read_bytes()
            victim.write_bytes(good[:40] + b"?" + good[41:])
            name = f"platform:{victim.relative_to(archive)}"
            await until(lambda: trouble(app, "platform:day=") == [f"{name} open"], 60)
            victim.write_bytes(good)
            await until(lambda: trouble(app, "platform:day=") == [f"{name} ended"], 60)
            assert old(app, archive) == dict.fromkeys(sent, 1)

    asyncio.run(day(tmp_path / "archive"))
