"""Who runs which heat, when, and what came of it."""

from __future__ import annotations

import random
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.race import limits, machine
from bench.race.broker import Broker, program
from bench.race.contestant import Arena, Contestant, Terms
from bench.race.heats import HEATS, Figures, Sizes, Track, describe, people
from bench.race.judge import Judge

Say = Callable[[str], None]
Save = Callable[["Race"], None]
TOGETHER = "hook"
"""The heat that is mostly waiting, at a few alarms a second: all contestants run it at the same time."""

APART = "silence"
"""The heat that has a start of its own: when its devices stop, they all fall silent."""


@dataclass
class Line:
    """One contestant in one heat of one round."""

    contestant: str
    setting: str
    heat: str
    round: int
    figures: Figures = field(default_factory=dict)
    failed: str = ""
    seconds: float = 0.0


@dataclass
class Race:
    """What is raced, and the lines so far."""

    contestants: Sequence[type[Contestant]]
    heats: Sequence[str]
    sizes: Sizes
    seed: int
    say: Say
    save: Save
    """Called after each heat, so that a race that is stopped has its results up to there."""

    lines: list[Line] = field(default_factory=list)
    bare: list[dict[str, Figures]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)

    def run(self, rounds: int) -> None:
        """All rounds, the order of each shuffled; the bare limits first in every round."""
        chance = random.Random(self.seed)
        entered = self._entered()
        for number in range(1, rounds + 1):
            self.bare.append(limits.measure(self.sizes.quiet, with_broker=program() is not None))
            self.say(f"round {number}: limits {describe(self.bare[-1]['append and fdatasync, 1 a flush'])}")
            for one in chance.sample(entered, len(entered)):
                self._alone(one, number, chance)
            self._together(entered, number, chance)

    def _entered(self) -> list[type[Contestant]]:
        found = []
        for one in self.contestants:
            why = one.missing()
            if why:
                self.left_out[f"{one.name}, {one.setting}"] = why
                self.say(f"left out: {one.name}, {one.setting}: {why}")
            else:
                found.append(one)
        return found

    def _alone(self, one: type[Contestant], number: int, chance: random.Random) -> None:
        """Every heat but the common one, on one start of the contestant."""
        heats = [heat for heat in self.heats if heat not in {TOGETHER, APART} and heat not in one.cannot]
        self._on_one_start(one, heats, number, chance)
        if APART in self.heats and APART not in one.cannot:
            self._on_one_start(one, [APART], number, chance)

    def _on_one_start(
        self, one: type[Contestant], heats: Sequence[str], number: int, chance: random.Random
    ) -> None:
        if not heats:
            return
        try:
            with self._track(one, chance, devices=heats == [APART]) as track:
                for heat in heats:
                    self._heat(track, heat, number)
        except Exception as error:  # noqa: BLE001 -- one that cannot start loses its heats, not the race
            self._keep(Line(one.name, one.setting, "start", number, failed=_reason(error)))

    def _together(self, entered: Sequence[type[Contestant]], number: int, chance: random.Random) -> None:
        if TOGETHER not in self.heats:
            return
        able = [one for one in entered if TOGETHER not in one.cannot]
        seeds = [random.Random(chance.random()) for _ in able]
        with ThreadPoolExecutor(max(1, len(able))) as pool:
            for _ in pool.map(lambda one, seed: self._hook(one, number, seed), able, seeds):
                pass

    def _hook(self, one: type[Contestant], number: int, chance: random.Random) -> None:
        try:
            with self._track(one, chance) as track:
                self._heat(track, TOGETHER, number)
        except Exception as error:  # noqa: BLE001
            self._keep(Line(one.name, one.setting, TOGETHER, number, failed=_reason(error)))

    def _heat(self, track: Track, heat: str, number: int) -> None:
        one, began = track.contestant, time.monotonic()
        line = Line(one.name, one.setting, heat, number)
        try:
            line.figures = HEATS[heat](track)
        except Exception as error:  # noqa: BLE001 -- a heat that breaks is a result of that heat
            line.failed = _reason(error)
            one.kill()
            one.launch()
        line.seconds = time.monotonic() - began
        self._keep(line)

    def _keep(self, line: Line) -> None:
        self.lines.append(line)
        self.save(self)
        told = line.failed or describe(line.figures)
        self.say(
            f"  {line.round} {line.contestant} ({line.setting}) {line.heat}, {line.seconds:.1f} s: {told}"
        )

    @contextmanager
    def _track(
        self, one: type[Contestant], chance: random.Random, *, devices: bool = False
    ) -> Iterator[Track]:
        """A started contestant in a fresh folder, with its own broker and judge."""
        with tempfile.TemporaryDirectory(prefix="hexi-race-", ignore_cleanup_errors=True) as name:
            judge = Judge()
            broker = Broker(Path(name) / "broker") if one.speaks_mqtt else None
            if broker:
                broker.start()
            contestant = one(Arena(Path(name), judge, broker, terms(self.sizes, devices=devices)))
            try:
                contestant.prepare()
                contestant.start()
                track = Track(contestant, self.sizes, chance)
                yield track
                track.door.close()
            finally:
                with suppress(AttributeError):  # it never came so far as to have a program
                    contestant.stop()
                if broker:
                    broker.stop()
                judge.close()

    def _versions(self) -> dict[str, str]:
        for one in self.contestants:
            name = f"{one.name}, {one.setting}"
            if name not in self.left_out and name not in self._known:
                self._known[name] = one.version()
        return self._known

    def result(self, command: str, seconds: float) -> dict[str, Any]:
        """Everything as JSON."""
        return {
            "command": command,
            "seconds": round(seconds),
            "machine": machine.describe(),
            "versions": self._versions(),
            "sizes": asdict(self.sizes),
            "seed": self.seed,
            "left_out": self.left_out,
            "cannot": {f"{one.name}, {one.setting}": dict(one.cannot) for one in self.contestants},
            "limits": self.bare,
            "lines": [asdict(line) for line in self.lines],
        }


def terms(sizes: Sizes, *, devices: bool) -> Terms:
    """What the contestants must know of the sizes."""
    return Terms(sizes.escalate_after, sizes.beat, sizes.devices if devices else 0, people(sizes))


def _reason(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"[:400]
