"""systemd: the units are right by its own judgement, and it is told the truth about the platform."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.peers.bundling import free_port

from hexi.app import open_app
from hexi.app.notify import announce, watchdog_period
from hexi.kernel.ports import StoreError
from hexi.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "deploy" / "systemd"
MOST_EXPOSED = 15
"""Tenths of systemd's scale, on which 100 is no protection at all."""

PATIENCE = 60


@pytest.fixture
def units(tmp_path):
    """The units with a program that is there, and the template as one of its roles."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    for file in UNITS.iterdir():
        text = file.read_text().replace("/opt/hexi/current/bin/hexi", "/bin/true")
        (tmp_path / file.name).write_text(text)
    shutil.copy(tmp_path / "hexi@.service", tmp_path / "hexi@clock.service")
    return tmp_path


def analyze(folder, *words):
    done = subprocess.run(
        ["systemd-analyze", *words], cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    return done.returncode, done.stdout + done.stderr


def test_the_units_are_what_systemd_understands(units):
    names = ("hexi.service", "hexi@clock.service", "hexi-backup.service", "hexi-backup.timer")
    assert analyze(units, "verify", *(f"./{name}" for name in names)) == (0, "")


@pytest.mark.parametrize("name", ["hexi.service", "hexi@clock.service", "hexi-backup.service"])
def test_the_units_are_hardened(units, name):
    told = (f"--threshold={MOST_EXPOSED}", "--no-pager", f"./{name}")
    code, said = analyze(units, "security", "--offline=yes", *told)
    assert code == 0, said


@pytest.mark.parametrize("name", ["hexi.service", "hexi@.service"])
def test_the_service_is_restarted_whatever_happens(name):
    lines = set((UNITS / name).read_text().splitlines())
    assert {"Type=notify", "Restart=always", "StartLimitIntervalSec=0", "WatchdogSec=60"} <= lines


@contextmanager
def listening(address):
    """systemd's end of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(address)
        end.settimeout(PATIENCE)
        yield lambda: end.recv(4_096).decode()


def test_a_server_says_when_it_answers_that_it_lives_and_that_it_stops(tmp_path):
    port = free_port()
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
    settings = {"HEXI_DATA_DIR": str(tmp_path / "data"), "HEXI_LISTEN__PORT": str(port)}
    with listening(told["NOTIFY_SOCKET"]) as heard:
        process = subprocess.Popen(
            [sys.executable, "-m", "hexi", "serve"],
            cwd=tmp_path,
            env=os.environ | told | settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert heard() == "READY=1"
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE) as answer:
                assert answer.status == 200
            assert [heard(), heard(), heard()] == ["WATCHDOG=1"] * 3
            process.send_signal(signal.SIGTERM)
            while (last := heard()) == "WATCHDOG=1":
                pass
            assert last == "STOPPING=1"
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()


class Systemd:
    """Counts what comes through an abstract socket, as systemd's own may be."""

    def __init__(self):
        self.end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.end.bind("")
        name = self.end.getsockname()[1:].decode()
        self.environ = {"NOTIFY_SOCKET": f"@{name}", "WATCHDOG_USEC": "40000"}

    def count(self):
        """How many signs of life came since the last time."""
        found = 0
        while True:
            try:
                found += self.end.recv(100) == b"WATCHDOG=1"
            except BlockingIOError:
                return found


async def signs(systemd, least):
    """Wait until so many signs of life have come."""
    async with asyncio.timeout(PATIENCE):
        found = 0
        while found < least:
            await asyncio.sleep(0.02)
            found += systemd.count()


def test_a_hanging_writer_gives_no_sign_of_life(tmp_path):
    async def main():
        app, systemd, released = open_app(Settings(data_dir=tmp_path)), Systemd(), threading.Event()
        await app.start()
        alive = asyncio.create_task(announce(app.platform.intake, systemd.environ))
        await signs(systemd, 3)
        begun = threading.Event()
        hanging = asyncio.create_task(app.platform.intake.call(lambda _: (begun.set(), released.wait())))
        await asyncio.to_thread(begun.wait)
        await asyncio.sleep(0.2)
        systemd.count()  # the last one may have been under way
        await asyncio.sleep(0.5)
        assert systemd.count() == 0
        released.set()
        await hanging
        await signs(systemd, 3)
        alive.cancel()
        await app.stop()
        systemd.end.close()

    asyncio.run(main())


def test_a_writer_whose_store_refuses_still_lives(tmp_path, monkeypatch):
    async def main():
        app, systemd = open_app(Settings(data_dir=tmp_path)), Systemd()
        await app.start()

        def refuse(_):
            raise StoreError("no space left", kind="full")

        monkeypatch.setattr(app.platform.spine, "process", refuse)
        alive = asyncio.create_task(announce(app.platform.intake, systemd.environ))
        await signs(systemd, 3)
        alive.cancel()
        await app.stop()
        systemd.end.close()

    asyncio.run(main())


def test_the_watchdog_of_another_process_is_not_ours():
    assert watchdog_period({"WATCHDOG_USEC": "60000000"}) == 30
    assert watchdog_period({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}) is None
    assert watchdog_period({}) is None
