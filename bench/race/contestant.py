"""What a contestant is: prepared in a folder, started, stopped, killed, and a door for signals."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.race.broker import Broker
from bench.race.doors import FarDoor, MqttDoor
from bench.race.judge import Judge

import hexi

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hexi-race"
"""Where programs are set up once; nothing of a run is kept there."""


PROBES = tuple(f"RACE-{number}" for number in range(800_000, 800_400))
"""Callers by whom it is found out whether signals come through; each calls once."""


@dataclass(frozen=True)
class Terms:
    """What every contestant is told before it starts."""

    escalate_after: float
    """Seconds after which an alarm of the kind ``watched`` is told a second time."""

    beat: float
    """Seconds between the beats of a device; three missed are silence."""

    devices: int
    people: int


@dataclass
class Arena:
    """What a contestant runs in: a folder, a broker, a judge and the terms; all its own."""

    folder: Path
    judge: Judge
    broker: Broker | None
    terms: Terms


class Program:
    """A child with a process group of its own, so that it can be killed with all its helpers."""

    def __init__(self, command: Sequence[str], folder: Path, log: str = "program.log") -> None:
        self.log = folder / log
        self._offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                command, cwd=folder, stdout=out, stderr=out, start_new_session=True, env=_environment()
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_for(self, said: Callable[[str], bool], limit: float = 90.0) -> str:
        """Until a line of its log satisfies ``said``; RuntimeError when it ends or never says so."""
        until = time.monotonic() + limit
        while time.monotonic() < until:
            with self.log.open("rb") as stream:
                stream.seek(self._offset)
                lines = stream.read().decode(errors="replace").splitlines()
            for line in lines:
                if said(line):
                    return line
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"{self._process.args!r} did not get ready: {lines[-12:]}")

    def stop(self) -> None:
        """Ask it to end; what does not within 30 s is killed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        self.kill()

    def kill(self) -> None:
        """kill -9, helpers included."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)


def _environment() -> dict[str, str]:
    """The same hexi as ours, one time zone, and nobody's warnings."""
    root = str(Path(hexi.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": root, "TZ": "UTC", "PYTHONWARNINGS": "ignore"}


class Contestant(ABC):
    """One program, or several that belong together, in one setting."""

    name: ClassVar[str]
    setting: ClassVar[str]
    """``default``, or what its documentation offers for keeping what it has taken."""

    speaks_mqtt: ClassVar[bool] = True
    cannot: ClassVar[Mapping[str, str]] = {}
    """Heat -> why it is left out."""

    patience: ClassVar[float] = 0.0
    """Seconds for which it may rightly say nothing."""

    returns: ClassVar[float] = 6.0
    """Seconds after which it must have come back to its broker, or of itself, to count as coming back."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self._programs: list[Program] = []

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot run here; None when it can."""
        return None

    @classmethod
    @abstractmethod
    def version(cls) -> str:
        """What exactly is running."""

    @abstractmethod
    def prepare(self) -> None:
        """Write its configuration, once, before the first start."""

    def start(self) -> None:
        """Run for the first time, until a signal has come through."""
        self.launch()
        if self.speaks_mqtt:
            self._probe()

    @abstractmethod
    def launch(self) -> None:
        """Run its programs until they say that they are up."""

    def _probe(self) -> None:
        """Whoever says that it is up may not have subscribed yet."""
        judge, door = self.arena.judge, self.far_door("probe")()
        until = time.monotonic() + 60
        for name in PROBES:
            if judge.arrivals(PROBES):
                break
            if time.monotonic() > until:
                raise TimeoutError("no probe came through")
            door.pour("alarm", [name])
            time.sleep(0.15)
        door.close()

    def stop(self) -> None:
        """End in peace."""
        for program in self._programs:
            program.stop()

    def kill(self) -> None:
        """End without warning, every process at once."""
        for program in self._programs:
            program.kill()

    def memory(self) -> float:
        """Resident memory in MiB, helpers included (what they share is counted in each), databases not."""
        return sum(resident(program.pid) for program in self._programs)

    def far_door(self, name: str = "gateway") -> FarDoor:
        """Where signals go in, to be opened in whatever process sends."""
        assert self.arena.broker
        return functools.partial(MqttDoor, self.arena.broker.port, name)


def resident(group: int) -> float:
    """MiB of every process of a group."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == group:
                status = (folder / "status").read_text(encoding="ascii")
                total += int(status.split("VmRSS:")[1].split()[0])
        except (OSError, IndexError):
            continue
    return total / 1024


def output(*command: str) -> str:
    """What a command says, in one line."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return " ".join((done.stdout or done.stderr).split())
