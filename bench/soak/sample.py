"""What is looked at every minute."""

from __future__ import annotations

import http.client
import os
import re
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from bench._report import percentile
from bench.race.doors import HOST
from bench.soak.district import Hexi

Sample = dict[str, float]
_LINE = re.compile(r"^(hexi_\w+)(?:\{[^}]*\})? ([-+0-9.eE]+|NaN)$", re.MULTILINE)
_KEPT = ("hexi_intake_queue", "hexi_outbox_waiting", "hexi_mqtt_unacknowledged", "hexi_deadlines_pending")


class Sampler:
    """Remembers the last look, for what is counted up."""

    def __init__(self, hexi: Hexi) -> None:
        self._hexi = hexi
        self._began = time.monotonic()
        self._last: Sample = {}
        self._at = self._began

    def look(self, waits: Iterable[tuple[float, float]], calls: Iterable[float]) -> Sample:
        """``waits`` of batches (when, seconds) and seconds to first ``calls`` since the last look."""
        now = time.monotonic()
        fresh = [seconds for at, seconds in waits if at > self._at]
        found = {"minute": (now - self._began) / 60, **self._process(now), **self._metrics()}
        found |= _spread("commit ms", fresh) | _spread("first call ms", list(calls))
        self._at = now
        return found | self._sizes()

    def _process(self, now: float) -> Sample:
        folder = Path(f"/proc/{self._hexi.pid}")
        try:
            status = (folder / "status").read_text(encoding="ascii")
            fields = (folder / "stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
            files = len(list((folder / "fd").iterdir()))
        except OSError:
            return {}
        used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        before = self._last if self._last.get("pid") == self._hexi.pid else {"cpu": 0.0}
        self._last = {"pid": self._hexi.pid, "cpu": used}
        return {
            "pid": self._hexi.pid,
            "MiB": int(status.split("VmRSS:")[1].split()[0]) / 1024,
            "cpu %": (used - before["cpu"]) / max(0.1, now - self._at) * 100,
            "files": files,
        }

    def _metrics(self) -> Sample:
        """Backlogs, and how late deadlines were since the start of the process."""
        connection = http.client.HTTPConnection(HOST, self._hexi.port, timeout=10)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()
        sums: Sample = {}
        for name, value in _LINE.findall(text):
            sums[name] = sums.get(name, 0.0) + float(value)
        found = {name.removeprefix("hexi_"): sums[name] for name in _KEPT if name in sums}
        late = "hexi_deadline_lateness_seconds"
        if sums.get(f"{late}_count"):
            found["deadline ms late, mean"] = sums[f"{late}_sum"] / sums[f"{late}_count"] * 1000
        return found

    def _sizes(self) -> Sample:
        file = self._hexi.database
        wal = file.with_name(file.name + "-wal")
        return {
            "database MiB": file.stat().st_size / 1024**2,
            "wal MiB": wal.stat().st_size / 1024**2 if wal.exists() else 0.0,
        }


def _spread(name: str, seconds: list[float]) -> Sample:
    if not seconds:
        return {}
    ms = [value * 1000 for value in seconds]
    return {f"{name}, p50": statistics.median(ms), f"{name}, p99": percentile(ms, 99)}


def show(sample: Sample) -> str:
    """One line."""
    return ", ".join(f"{name} {value:,.1f}" for name, value in sample.items() if name != "pid")
