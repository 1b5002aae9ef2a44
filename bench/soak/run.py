"""The hour: everybody sends, things go wrong in turn, samples are taken, and at the end it is judged."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.race.broker import Broker
from bench.race.contestant import Arena, Terms
from bench.race.judge import SECOND, Judge
from bench.soak import verdict
from bench.soak.district import Hexi, quiet_mix
from bench.soak.ledger import Ledger
from bench.soak.sample import Sample, Sampler, show
from bench.soak.senders import Alarms, Devices, Gateway, People, Worker, doors
from bench.soak.verdict import Verdict

Say = Callable[[str], None]
GATEWAYS = 3
OVER_MQTT = 0.25
"""Share of the quiet signals that come over MQTT, one by one."""


@dataclass(frozen=True)
class Plan:
    """How long and how much."""

    minutes: float = 60.0
    rate: float = 4_000.0
    alarms: float = 0.5
    """Calls for help a second: a whole city's, so that an hour has enough of them to judge."""

    every: float = 60.0
    escalate_after: float = 60.0
    seed: int = 1

    @property
    def seconds(self) -> float:
        """The whole time."""
        return self.minutes * 60

    @property
    def fault(self) -> float:
        """Seconds that a fault lasts."""
        return min(60.0, self.seconds / 30)


class Soak:
    """A platform under load, with all who send to it."""

    def __init__(self, plan: Plan, work: Path, say: Say) -> None:
        self.plan = plan
        self.say = say
        self.ledger = Ledger()
        self.samples: list[Sample] = []
        self.faults: list[tuple[float, str]] = []
        self.judge = Judge()
        self.broker = Broker(work / "broker")
        self.broker.start()
        people = round(plan.alarms * plan.seconds * 1.5) + 500
        terms = Terms(plan.escalate_after, 60.0, 0, people)
        self.hexi = Hexi(Arena(work, self.judge, self.broker, terms))
        self.hexi.prepare()
        self.hexi.start()
        self._met = len(self.judge.since(0))
        self._senders()

    def _senders(self) -> None:
        plan, chance = self.plan, random.Random(self.plan.seed)
        mix = quiet_mix(self.hexi.homes, "soak")
        by_gateway = plan.rate * (1 - OVER_MQTT) / GATEWAYS
        names = [f"gateway{n}" for n in range(GATEWAYS)]
        self.gateways = [
            Gateway(name, self.hexi.port, mix, by_gateway, self.ledger.open(name)) for name in names
        ]
        devices = self.ledger.open("devices")
        self.devices = Devices("devices", self.broker.port, mix, plan.rate * OVER_MQTT, devices)
        self.doors = doors(self.hexi.port, self.broker.port)
        self.alarms = Alarms(self.doors, plan.alarms, chance)
        self.people = People(self.hexi.port, self.judge, chance, max(1.0, 3_600 / plan.seconds / 3))
        self.workers: list[Worker] = [*self.gateways, self.devices, self.alarms, self.people]

    def run(self) -> list[Verdict]:
        """The whole of it."""
        for worker in self.workers:
            worker.start()
        trouble = threading.Thread(target=self._trouble, daemon=True)
        trouble.start()
        self._watch()
        trouble.join()
        return self._end()

    def _watch(self) -> None:
        sampler, began = Sampler(self.hexi), time.monotonic()
        at = began
        while (at := at + self.plan.every) <= began + self.plan.seconds + 1:
            time.sleep(max(0.0, at - time.monotonic()))
            waits = [wait for gateway in self.gateways for wait in list(gateway.waits)]
            self.samples.append(sampler.look(waits, self._calls()))
            self.say(show(self.samples[-1]))

    def _calls(self) -> list[float]:
        """Seconds from the press to the first call, of those called since the last look."""
        sent, found = self.alarms.sent(), dict[str, float]()
        fresh = self.judge.since(self._met)
        self._met += len(fresh)
        for arrival in fresh:
            if arrival.id in sent:
                found.setdefault(arrival.id, arrival.at - sent[arrival.id])
        return list(found.values())

    # ---- What goes wrong

    def _trouble(self) -> None:
        began = time.monotonic()
        for share, name, happen in self._faults():
            time.sleep(max(0.0, began + share * self.plan.seconds - time.monotonic()))
            self.faults.append(((time.monotonic() - began) / 60, name))
            self.say(f"-- {name}")
            happen()

    def _faults(self) -> Sequence[tuple[float, str, Callable[[], None]]]:
        return (
            (0.10, "a gateway falls silent and then sends what it has kept", self._gateway_down),
            (0.25, "the broker restarts", self._broker_restarts),
            (0.40, "a community loses its power", self._power_cut),
            (0.55, "the receiver hangs", self._receiver_hangs),
            (0.80, "hexi is restarted", self._restart),
            (0.90, "hexi is killed", self._kill),
        )

    def _gateway_down(self) -> None:
        self.gateways[0].held.set()
        time.sleep(self.plan.fault)
        self.gateways[0].held.clear()

    def _broker_restarts(self) -> None:
        self.broker.stop()
        time.sleep(2.0)
        self.broker.start()

    def _power_cut(self) -> None:
        """Every hub of the community tells of it within seconds, and again when it is over."""
        hubs = self.hexi.hubs()
        for kind in ("power.lost", "power.restored"):
            self.doors[0].pour(kind, hubs)
            time.sleep(self.plan.fault)

    def _receiver_hangs(self) -> None:
        self.judge.hang(on=True)
        time.sleep(self.plan.fault)
        self.judge.hang(on=False)

    def _restart(self) -> None:
        self.hexi.stop()
        self.hexi.launch()

    def _kill(self) -> None:
        self.hexi.kill()
        self.hexi.launch()

    # ---- The end

    def _end(self) -> list[Verdict]:
        """Nobody sends any more; whoever is owed a call gets it; then everything is compared."""
        for worker in (*self.gateways, self.devices, self.alarms):
            worker.end()
        called = self._wait_for_calls()
        self.people.end()
        self._drain()
        self.hexi.stop()
        found = self.ledger.compare(self.hexi.database)
        self.say(f"signals: {found}")
        return [*self._flat(), *self._kept(found), *called, *self._broken()]

    def _drain(self) -> None:
        """Until the broker has handed over all that it kept, as far as the store shows."""
        last, since = -1.0, time.monotonic()
        while time.monotonic() - since < 20:
            size = Ledger.count(self.hexi.database)
            if size != last:
                last, since = size, time.monotonic()
            time.sleep(2.0)

    def _flat(self) -> list[Verdict]:
        waits = ("commit ms, p50", "first call ms, p50")
        heaps = ("intake_queue", "outbox_waiting", "mqtt_unacknowledged", "wal MiB")
        slow = [verdict.lag(self.samples, name) for name in (*waits, *heaps)]
        return [verdict.memory(self.samples), *slow, verdict.files(self.samples)]

    def _kept(self, found: dict[str, int]) -> list[Verdict]:
        of = found["acknowledged"]
        return [
            verdict.none("signals lost", found["lost"], of),
            verdict.none("signals stored twice", found["doubled"], of),
        ]

    def _wait_for_calls(self) -> list[Verdict]:
        """Every alarm calls once; whoever did not answer is called a second time."""
        taken = self.alarms.taken()
        arrivals = self.judge.wait(taken, 30.0, 120.0)
        again = self.judge.wait(
            [name + SECOND for name in self.people.silent],
            self.plan.escalate_after + 20.0,
            self.plan.escalate_after + 60.0,
        )
        twice = sum(len({call.key for call in calls}) > 1 for calls in arrivals.values())
        silent = len(self.people.silent)
        return [
            verdict.none("alarms without a call", len(taken) - len(arrivals), len(taken)),
            verdict.none("alarms called under two keys", twice, len(taken)),
            verdict.none("unanswered and not called again", silent - len(again), silent),
            verdict.none("answers refused", self.people.refused, len(self.people.answered)),
        ]

    def _broken(self) -> list[Verdict]:
        broken = [f"{worker.name}: {worker.error!r}" for worker in self.workers if worker.error]
        return [Verdict("senders that broke", "; ".join(broken) or "none", not broken)]

    def close(self) -> None:
        """Let go of everything."""
        for worker in self.workers:
            worker.ending.set()
        self.hexi.stop()
        self.broker.stop()
        self.judge.close()


@contextmanager
def soaking(plan: Plan, work: Path | None, say: Say) -> Iterator[Soak]:
    """In an empty folder, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="hexi-soak-", dir=work, ignore_cleanup_errors=True) as name:
        soak = Soak(plan, Path(name), say)
        try:
            yield soak
        finally:
            soak.close()
