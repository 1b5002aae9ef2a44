"""A mosquitto of our own on 127.0.0.1, for benchmarks and tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

FAST = """
allow_anonymous true
set_tcp_nodelay true
persistence true
persistence_location {folder}/
autosave_interval 5
max_queued_messages 0
max_inflight_messages 2000
"""


def find() -> str | None:
    """The broker's program, if it is installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Broker:
    """A broker that can be stopped, killed and started again on the same port and folder."""

    def __init__(
        self, folder: Path, settings: str = FAST, listener: str = "listener {port} 127.0.0.1"
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.file = folder / "mosquitto.conf"
        said = f"user root\n{listener}\n{settings}".replace("{port}", str(self.port))
        self.file.write_text(said.replace("{folder}", str(folder)))
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "mosquitto.log"

    def start(self) -> Self:
        program = find()
        assert program, "mosquitto is not installed"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([program, "-c", self.file], stdout=log, stderr=log)
        end = time.monotonic() + 30
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < end, self.log.read_text()
                time.sleep(0.02)
            else:
                return self

    def stop(self) -> None:
        """Let it save and end."""
        if self.process:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def kill(self) -> None:
        """As a power cut would, save that the disk keeps what was written."""
        if self.process:
            self.process.kill()
            self.process.wait(60)
            self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
