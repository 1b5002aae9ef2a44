"""mosquitto for one contestant: the same settings for all of them."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HOST = "127.0.0.1"
_SETTINGS = """\
listener {port} 127.0.0.1
allow_anonymous true
user root
persistence true
persistence_location {folder}/
autosave_interval 5
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 1000
log_type error
"""
"""Persistent queues without a limit, no Nagle delay, and 1,000 messages on their way to one client."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, limit: float = 60.0) -> None:
    """Until somebody listens there; TimeoutError when nobody does."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens on port {port}")


def program() -> str | None:
    """mosquitto, where it is installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Broker:
    """A broker that can be stopped and started again with its queues."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(_SETTINGS.format(port=self.port, folder=folder), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Listen."""
        found = program()
        if found is None:
            raise RuntimeError("mosquitto is not installed")
        self._process = subprocess.Popen([found, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        wait_for_port(self.port)

    def stop(self) -> None:
        """End in an orderly way, keeping queues and sessions."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)
