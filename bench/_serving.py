"""A real ``hexi serve`` in a process of its own, with records put in before it starts."""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import open_store
from hexi.connectors.tokens import digest_of
from hexi.kernel.access import Token
from hexi.kernel.record import Record
from hexi.kernel.signal import Signal
from hexi.protocols import cloudevents
from hexi.sim.district import fill

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOST = "127.0.0.1"

_PACK = 'id = "bench"\ntitle = { zh = "测量", en = "Benchmark" }\n[kinds."bench.sos"]\nsos = true\n'
_PACK += 'title = { zh = "测量呼救", en = "Benchmark cry" }\n[kinds."bench.quiet"]\n'
_PACK += 'title = { zh = "测量读数", en = "Benchmark reading" }\n'
_SCENARIO = """
id = "bench.cry"
title = { zh = "测量呼救", en = "A benchmark's cry" }
[signal]
kinds = ["bench.sos"]
sos = true
matter = "bench"
[case]
severity = "extreme"
deadlines = { acknowledged = "1h", closed = "4h" }
[[response]]
role = "family"
tell = ["subject.contacts"]
by = ["webhook"]
text = { zh = "{subject} 呼救。回复 1 表示正赶去。", en = "{subject} cries. Reply 1 if on your way." }
"""


@dataclass
class Serving:
    """A running platform as a sender and a screen see it."""

    process: subprocess.Popen[str]
    url: str
    folder: Path
    token: str
    started: float
    """Seconds from the start of the process until it said that it is up."""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(urlsplit(self.url).port or 0)

    def connect(self) -> http.client.HTTPConnection:
        """A connection that stays."""
        return http.client.HTTPConnection(HOST, self.port, timeout=60)

    def post(self, connection: http.client.HTTPConnection, body: bytes) -> list[dict[str, str]]:
        """Send a batch and read the answer to each signal; RuntimeError when it was not taken."""
        head = {"content-type": cloudevents.BATCH, "authorization": f"Bearer {self.token}"}
        connection.request("POST", "/api/v1/signals", body, head)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 202:
            raise RuntimeError(f"{response.status}: {answer[:200]!r}")
        results: list[dict[str, str]] = msgspec.json.decode(answer)["results"]
        return results

    def rss(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quiet(number: int, at: int, kind: str = "bench.quiet") -> Signal:
    """A reading that nobody answers to."""
    return Signal(
        id=f"q{number}",
        source=f"gw/{number % 50}",
        kind=kind,
        received=at,
        time=at,
        subject=f"device:B{number % 1000:05}",
        data={"battery": 80, "rssi": -70, "n": number},
    )


def write_settings(folder: Path) -> Path:
    """A settings file with every limit out of the way and the webhook way open."""
    pack = folder / "packs" / "bench"
    (pack / "catalogue").mkdir(parents=True)
    (pack / "pack.toml").write_text(_PACK, encoding="utf-8")
    (pack / "catalogue" / "cry.toml").write_text(_SCENARIO, encoding="utf-8")
    path = folder / "hexi.toml"
    path.write_text(
        f'data_dir = "var"\npacks = ["{folder / "packs"}"]\n[listen]\nport = 0\n'
        f'[channels.webhook]\nuse = "webhook"\nurl = "{{to}}"\nsecret = "{SECRET}"\n'
        '[limits]\nrate = 100000\nbatch = 5000\n[log]\nlevel = "error"\n',
        encoding="utf-8",
    )
    return path


def furnish(folder: Path, records: Iterable[Record]) -> str:
    """Put records and a token into the store of a platform that does not run yet."""
    data = folder / "var"
    data.mkdir(exist_ok=True)
    store = open_store(f"sqlite:///{data / 'hexi.sqlite'}", load_packs().catalogue().record_kinds)
    fill(store, records)
    token = secrets.token_urlsafe(16)
    with store.write() as tx:
        tx.access.put_token(Token(name="bench", hash=digest_of(token), scope="signals acts api:admin"))
    store.close()
    return token


def start(folder: Path, config: Path, token: str) -> Serving:
    """Start and wait until it says where it is."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "hexi", "--lang", "en", "--config", str(config), "serve"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    assert process.stdout
    for line in process.stdout:
        if "http://" in line:
            url = "http://" + line.split("http://")[1].split()[0]
            return Serving(process, url, folder, token, time.monotonic() - began)
    raise RuntimeError("hexi serve ended before it was up")


@contextmanager
def serving(records: Iterable[Record] = ()) -> Iterator[Serving]:
    """A platform on an empty folder with these records, stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="hexi-bench-") as name:
        folder = Path(name)
        config = write_settings(folder)
        running = start(folder, config, furnish(folder, records))
        try:
            yield running
        finally:
            running.process.send_signal(signal.SIGINT)
            running.process.wait(30)
