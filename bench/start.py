"""Starting, checking, memory and screens: `python -m bench.start`.

``hexi check`` on 250 scenarios as a whole command; the first page of a ``hexi serve`` with 20,000 elders;
its idle processor time; its memory after ten minutes of traffic; one change on 500 open screens.
"""

from __future__ import annotations

import http.client
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench._report import beside, percentile, show
from bench._serving import Serving, quiet, serving

from hexi.adapters.packs.scaffold import new_scenario
from hexi.kernel.clock import MINUTE
from hexi.kernel.signal import Signal
from hexi.protocols import cloudevents
from hexi.sim.district import generate
from hexi.sim.traffic import Traffic, homes_of

SMOKE = "--smoke" in sys.argv
ELDERS = 100 if SMOKE else 20_000
SCENARIOS = 20 if SMOKE else 250
SCREENS = 20 if SMOKE else 500
READINGS = 2_000 if SMOKE else 100_000
SETTLE = 0.2 if SMOKE else 5.0
ROUNDS = 3 if SMOKE else 10


def check(folder: Path) -> float:
    """Seconds of the whole command on so many scenario files."""
    for number in range(SCENARIOS):
        new_scenario(f"street_care.scene_{number}", folder)
    began = time.perf_counter()
    command = [sys.executable, "-m", "hexi", "check", str(folder)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def first_page(running: Serving) -> float:
    """Seconds from the start of the process until the log-in page has come."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", running.port)
    connection.request("GET", "/login")
    page = connection.getresponse()
    body = page.read()
    if page.status != 200 or b"<form" not in body:
        raise SystemExit(f"the first page answers {page.status}")
    return running.started + time.monotonic() - began


def idle(running: Serving) -> float:
    """Percent of one core that a platform uses to which nothing is sent, once it has settled."""
    time.sleep(SETTLE)
    cpu, wall = running.cpu(), time.monotonic()
    time.sleep(4 * SETTLE)
    return (running.cpu() - cpu) / (time.monotonic() - wall) * 100


def load(running: Serving) -> None:
    """Ten minutes of the district's own devices, and as many readings of others as an hour brings."""
    connection = running.connect()
    now = time.time_ns() // 1_000_000
    sent = [signal for _, signal in Traffic(homes_of(generate(1, ELDERS))).stream(now - 10 * MINUTE, now)]
    sent += [quiet(number, now, "device.heartbeat") for number in range(READINGS)]
    for start in range(0, len(sent), 500):
        running.post(connection, cloudevents.encode_batch(sent[start : start + 500]))
    beside("   signals of the district's own devices among what is sent", len(sent) - READINGS, "")


class Screens:
    """Open streams of changes, read by one loop."""

    def __init__(self, running: Serving, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._open = [self._listen(running) for _ in range(count)]

    def _listen(self, running: Serving) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", running.port))
        head = ("GET /api/v1/changes HTTP/1.1", "host: 127.0.0.1", f"authorization: Bearer {running.token}")
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        if b" 200 " not in connection.recv(4096):
            raise SystemExit("the stream of changes does not open")
        connection.settimeout(0)
        self._selector.register(connection, selectors.EVENT_READ)
        return connection

    def until_all(self, case: bytes, limit: float = 10.0) -> float:
        """The monotonic time at which the last screen has read of the case."""
        left, until = set(self._open), time.monotonic() + limit
        while left and time.monotonic() < until:
            for key, _ in self._selector.select(0.1):
                if isinstance(key.fileobj, socket.socket) and case in key.fileobj.recv(65_536):
                    left.discard(key.fileobj)
        if left:
            raise SystemExit(f"{len(left)} screens heard nothing")
        return time.monotonic()

    def close(self) -> None:
        """Close every screen."""
        for connection in self._open:
            connection.close()


def changes(running: Serving) -> list[float]:
    """Milliseconds from sending a cry until the last open screen has read of its case."""
    screens, connection, waits = Screens(running, SCREENS), running.connect(), []
    for number in range(ROUNDS):
        now = time.time_ns() // 1_000_000
        cry = Signal(
            id=f"screen-{number}", source="gw/1", kind="bench.sos", received=now, subject=f"person:Q{number}"
        )
        began = time.monotonic()
        (answer,) = running.post(connection, cloudevents.encode_batch([cry]))
        waits.append((screens.until_all(answer["case"].encode()) - began) * 1000)
        time.sleep(0.2)
    screens.close()
    return waits


def main() -> None:
    """Print every figure."""
    with tempfile.TemporaryDirectory() as name:
        show(f"hexi check on {SCENARIOS} scenarios, whole command", check(Path(name)), 1.0, "s")
    with serving(generate(1, ELDERS)) as running:
        show(f"first page of hexi serve, {ELDERS:,} elders", first_page(running), 3.0, "s")
        beside("memory after the start", running.rss(), "MiB")
        show("idle processor of the whole hexi serve, of one core", idle(running), 1.0, "%")
        load(running)
        show(f"memory with {ELDERS:,} elders after the traffic", running.rss(), 250, "MiB")
        waits = changes(running)
        show(f"a change on {SCREENS} open screens, the last one, worst of {ROUNDS}", max(waits), 200, "ms")
        beside("   the same, p50", percentile(waits, 50), "ms")


if __name__ == "__main__":
    main()
