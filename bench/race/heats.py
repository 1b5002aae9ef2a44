"""The heats. Each asks one thing of a started contestant and gives figures; the judge's log decides."""

from __future__ import annotations

import random
import statistics
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bench._report import percentile
from bench.race.contestant import Contestant
from bench.race.doors import BEAT, Door
from bench.race.flow import Flow
from bench.race.hexi import device, identity
from bench.race.judge import SECOND, Arrival, Judge

GONE = 0.05
"""Seconds after a kill in which a call that was on its way may still arrive."""

Figures = dict[str, float]
Arrivals = dict[str, list[Arrival]]


@dataclass(frozen=True)
class Sizes:
    """How much each heat does."""

    latencies: int = 60
    every: float = 0.05
    quiet: int = 20_000
    burst: int = 3_000
    rate: int = 200
    kill_seconds: float = 6.0
    kills: int = 2
    broker_seconds: float = 5.0
    down: float = 60.0
    down_rate: int = 5
    after_down: float = 30.0
    devices: int = 10_000
    silent_share: float = 0.01
    beat: float = 2.0
    escalations: int = 1_000
    escalate_after: float = 4.0
    idle: float = 3.0
    """Seconds without any call after which what is missing is held to be lost."""

    limit: float = 60.0
    """Most seconds that are waited for the last call of a heat."""


@dataclass
class Track:
    """A started contestant with its door and the ids it has not yet been given."""

    contestant: Contestant
    sizes: Sizes
    random: random.Random
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.door: Door = self.contestant.far_door()()

    @property
    def judge(self) -> Judge:
        """Whose log decides."""
        return self.contestant.arena.judge

    def ids(self, number: int) -> list[str]:
        """Fresh ones: every alarm is of somebody who has not called yet."""
        return [identity(next(self.numbers)) for _ in range(number)]

    def wait(self, ids: Sequence[str]) -> Arrivals:
        """Until all have come, or nothing more comes."""
        return self.judge.wait(ids, max(self.sizes.idle, self.contestant.patience), self.sizes.limit)


def judged(door: Door, ids: Sequence[str], arrivals: Arrivals, suffix: str = "") -> Figures:
    """Lost: taken and never called. Doubled: called again; under the same key the receiver can tell."""
    taken = [name for name in ids if name in door.taken]
    came = [arrivals[name + suffix] for name in ids if arrivals.get(name + suffix)]
    again = [calls for calls in came if len(calls) > 1]
    same = [calls for calls in again if calls[0].key and len({call.key for call in calls}) == 1]
    return {
        "sent": len(ids),
        "taken": len(taken),
        "lost": sum(not arrivals.get(name + suffix) for name in taken),
        "doubled": len(again) - len(same),
        "doubled, same key": len(same),
    }


def latency(track: Track, rate: int) -> Figures:
    """One alarm after the other, beside quiet signals at a rate: milliseconds until the first call."""
    ids = track.ids(track.sizes.latencies)
    with _beside(track, rate):
        for name in ids:
            at = time.monotonic()
            track.door.offer("alarm", [name])
            time.sleep(max(0.0, at + track.sizes.every - time.monotonic()))
        arrivals = track.wait(ids)
    waits = [(calls[0].at - track.door.sent[name]) * 1000 for name, calls in arrivals.items()]
    return _spread("ms", waits) | judged(track.door, ids, arrivals)


@contextmanager
def _beside(track: Track, rate: int) -> Iterator[None]:
    """Quiet signals from a process of its own, for as long as the block lasts and a second before."""
    if not rate:
        yield
        return
    flow = Flow(track.contestant.far_door("flow"), rate)
    time.sleep(1.0)
    try:
        yield
    finally:
        flow.stop()


def _spread(unit: str, values: Sequence[float]) -> Figures:
    found = list(values)
    if not found:
        return {}
    return {
        f"p50 {unit}": statistics.median(found),
        f"p99 {unit}": percentile(found, 99),
        f"max {unit}": max(found),
    }


def quiet(track: Track) -> Figures:
    """Many readings and then one alarm that is no cry: its call says that all before it are worked off."""
    readings = [device(n % track.sizes.devices) for n in range(track.sizes.quiet)]
    (mark,) = track.ids(1)
    began = time.monotonic()
    track.door.pour("quiet", readings)
    track.door.offer("mark", [mark])
    arrivals = track.judge.wait([mark], track.sizes.limit, track.sizes.limit)
    if mark not in arrivals:
        return {"sent": len(readings), "lost": 1}
    return {"per s": len(readings) / (arrivals[mark][0].at - began), "sent": len(readings), "lost": 0}


def burst(track: Track) -> Figures:
    """Many alarms at once: calls a second until the last one."""
    ids = track.ids(track.sizes.burst)
    began = time.monotonic()
    track.door.offer("alarm", ids)
    arrivals = track.wait(ids)
    figures = judged(track.door, ids, arrivals)
    if arrivals:
        took = max(calls[0].at for calls in arrivals.values()) - began
        figures |= {"per s": len(arrivals) / took, "s to the last": took}
    return figures | {"MiB": track.contestant.memory()}


def _steadily(track: Track, seconds: float, rate: int, meanwhile: Callable[[], None]) -> list[str]:
    """Alarms at a rate, while something happens in another thread; the ids."""
    ids: list[str] = []
    trouble = threading.Thread(target=meanwhile)
    trouble.start()
    at = until = time.monotonic()
    until += seconds
    step = max(0.05, 1 / rate)
    while time.monotonic() < until or trouble.is_alive():
        some = track.ids(max(1, round(rate * step)))
        ids += some
        track.door.offer("alarm", some)
        at = max(at + step, time.monotonic() - 1.0)
        time.sleep(max(0.0, at - time.monotonic()))
    trouble.join()
    track.door.settle(track.sizes.limit)
    return ids


def kill(track: Track) -> Figures:
    """kill -9 at random moments under a steady rate, started again at once."""
    back: list[tuple[float, float]] = []

    def trouble() -> None:
        share = track.sizes.kill_seconds / track.sizes.kills
        for _ in range(track.sizes.kills):
            time.sleep(track.random.uniform(0.3, 0.9) * share)
            track.contestant.kill()
            killed = time.monotonic()
            track.contestant.launch()
            back.append((killed, time.monotonic()))

    ids = _steadily(track, track.sizes.kill_seconds, track.sizes.rate, trouble)
    figures, arrivals = _after_trouble(track, ids)
    calls = sorted(call.at for some in arrivals.values() for call in some)
    first = [at - killed for killed, _ in back for at in calls[bisect_left(calls, killed + GONE) :][:1]]
    figures["kills"] = len(back)
    figures["start s"] = statistics.median(ready - killed for killed, ready in back)
    return figures | ({"s to the first call, worst": max(first)} if first else {})


def _after_trouble(track: Track, ids: Sequence[str]) -> tuple[Figures, Arrivals]:
    """What came in the end, and the longest that anybody had to wait for it."""
    wait = max(track.sizes.idle, track.contestant.returns)
    arrivals = track.judge.wait(ids, wait, track.sizes.limit)
    waits = [calls[0].at - track.door.sent[name] for name, calls in arrivals.items()]
    return judged(track.door, ids, arrivals) | {"longest wait s": max(waits, default=0.0)}, arrivals


def broker(track: Track) -> Figures:
    """The broker ends in an orderly way and comes back after a second."""
    found = track.contestant.arena.broker
    assert found

    def trouble() -> None:
        time.sleep(track.sizes.broker_seconds / 3)
        found.stop()
        time.sleep(1.0)
        found.start()

    ids = _steadily(track, track.sizes.broker_seconds, track.sizes.rate, trouble)
    return _after_trouble(track, ids)[0]


def hook(track: Track) -> Figures:
    """The receiver refuses connections for a while, alarms go on; what comes once it is back?"""
    opened: list[float] = []

    def trouble() -> None:
        time.sleep(2.0)
        track.judge.shut()
        time.sleep(track.sizes.down)
        track.judge.open()
        opened.append(time.monotonic())

    ids = _steadily(track, track.sizes.down + 4.0, track.sizes.down_rate, trouble)
    wait = track.sizes.after_down
    arrivals = track.judge.wait(ids, wait, wait)
    figures = judged(track.door, ids, arrivals)
    late = [calls[0].at - opened[0] for name, calls in arrivals.items() if track.door.sent[name] < opened[0]]
    return figures | {"s until the last": max((at for at in late if at > 0), default=0.0)}


def silence(track: Track) -> Figures:
    """Many devices beat, one in a hundred falls silent: who is named, how late, and who wrongly?"""
    sizes = track.sizes
    names = [device(n) for n in range(sizes.devices)]
    silent = set(track.random.sample(names, max(1, round(sizes.devices * sizes.silent_share))))
    last = _beats(track, names, sizes.beat * 2)
    going_on = [name for name in names if name not in silent]
    _beats(track, going_on, sizes.beat * 3 + max(3.0, sizes.beat))
    track.judge.wait(silent, 2.5 * sizes.beat, 2.5 * sizes.beat)  # before the others count as silent too
    arrivals = track.judge.arrivals(names)
    due = {name: last[name] + 3 * sizes.beat for name in silent}
    late = [(arrivals[name][0].at - due[name]) * 1000 for name in silent if name in arrivals]
    figures: Figures = {
        "silent": len(silent),
        "lost": sum(name not in arrivals for name in silent),
        "wrongly named": sum(name not in silent for name in arrivals),
        "doubled": sum(len(arrivals.get(name, ())) > 1 for name in silent),
    }
    return figures | _spread("ms late", late)


def _beats(track: Track, names: Sequence[str], seconds: float) -> dict[str, float]:
    """Beats of all devices, spread evenly over each interval; when each was heard last."""
    last: dict[str, float] = {}
    step = 0.1
    size = max(1, round(len(names) * step / track.sizes.beat))
    at = began = time.monotonic()
    place = 0
    while at < began + seconds:
        some = [names[(place + n) % len(names)] for n in range(min(size, len(names)))]
        place = (place + len(some)) % len(names)
        track.door.pour(BEAT, some)
        last |= dict.fromkeys(some, time.monotonic())
        at += step
        time.sleep(max(0.0, at - time.monotonic()))
    return last


def escalation(track: Track) -> Figures:
    """Alarms that nobody answers are told a second time when their deadline is over."""
    return _escalate(track, lambda: None)


def escalation_killed(track: Track) -> Figures:
    """The same with a kill between the first and the second call."""

    def trouble() -> None:
        time.sleep(max(0.5, track.sizes.escalate_after * 0.4))
        track.contestant.kill()
        track.contestant.launch()

    return _escalate(track, trouble)


def _escalate(track: Track, trouble: Callable[[], None]) -> Figures:
    ids = track.ids(track.sizes.escalations)
    track.door.offer("watched", ids)
    trouble()
    after = track.sizes.escalate_after
    second = [name + SECOND for name in ids]
    until = max(track.door.sent.values()) + after
    time.sleep(max(0.0, until - time.monotonic()))
    arrivals = track.wait(second)
    late = [
        (arrivals[name + SECOND][0].at - track.door.sent[name] - after) * 1000
        for name in ids
        if name + SECOND in arrivals
    ]
    return judged(track.door, ids, arrivals, SECOND) | _spread("ms late", late)


Heat = Callable[[Track], Figures]

HEATS: dict[str, Heat] = {
    "latency": lambda track: latency(track, 0),
    "latency-1000": lambda track: latency(track, 1_000),
    "latency-4000": lambda track: latency(track, 4_000),
    "quiet": quiet,
    "silence": silence,
    "burst": burst,
    "escalation": escalation,
    "escalation-kill": escalation_killed,
    "kill": kill,
    "broker": broker,
    "hook": hook,
}
"""In the order in which they are run: what kills comes late."""


def people(sizes: Sizes) -> int:
    """How many callers all heats together need at most, with some to spare."""
    steady = sizes.rate * (sizes.kill_seconds + sizes.broker_seconds + sizes.limit) + sizes.down_rate * (
        sizes.down + 30
    )
    return round(3 * sizes.latencies + 1 + sizes.burst + 2 * sizes.escalations + steady)


def describe(figures: Figures) -> str:
    """One line."""
    return ", ".join(f"{name} {value:,.1f}".replace(".0", "") for name, value in figures.items())


def medians(rounds: Sequence[Figures]) -> dict[str, dict[str, Any]]:
    """For each figure the median and the range of all rounds."""
    names = dict.fromkeys(name for one in rounds for name in one)
    found = {name: [one[name] for one in rounds if name in one] for name in names}
    return {
        name: {"median": statistics.median(values), "low": min(values), "high": max(values)}
        for name, values in found.items()
    }
