"""Several processes on one PostgreSQL: `python -m bench.roles [--smoke] [kills]`.

One intake process and two, senders in processes of their own; promises while a clock process is killed; and a
siege: two processes of each role under load, one of them killed without warning again and again. The log of
the receiver is the judge: nothing acknowledged is lost, no notice goes out under two keys.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import uvloop
from bench._crew import TOKEN, Crew, Event, Hand, alarm, crew, post, server, until
from bench._report import beside, percentile, show
from bench.kill import lost
from tests.contract.databases import database
from tests.peers.receivers import Answer, Receiver, receiving

from hexi.kernel.case import Case, Entry
from hexi.kernel.fold import rebuild
from hexi.kernel.ports import Store

SMOKE = "--smoke" in sys.argv
PEOPLE = 200
BATCH = 500
PROMISE_LATE_MS = 2_000.0
RATIO = 1.6

Log = list[Entry]


# One intake process and two


def _bodies(name: str, count: int) -> list[bytes]:
    return [
        msgspec.json.encode([alarm(f"{name}-{n}-{i}", i % PEOPLE, "crew.quiet") for i in range(BATCH)])
        for n in range(count)
    ]


def _send(address: str, name: str, count: int, start: Any, done: Any) -> None:
    """One sender, in a process of its own: its bodies are made before the start."""
    bodies = _bodies(name, count)
    done.put(0.0)
    head = {"content-type": "application/cloudevents-batch+json", "authorization": f"Bearer {TOKEN}"}
    with httpx.Client(trust_env=False, timeout=60) as client:
        start.wait()
        for body in bodies:
            answer = client.post(f"{address}/api/v1/signals", content=body, headers=head)
            assert answer.status_code == 202, answer.text
    done.put(time.time())


async def rate(hands: list[Hand], senders: int, batches: int) -> tuple[float, float]:
    """Quiet signals a second over the processes, and microseconds of their processor time for each."""
    context = multiprocessing.get_context("spawn")
    done, start = context.Queue(), context.Event()
    crowd = [
        context.Process(
            target=_send,
            args=(hands[n % len(hands)].address, f"{n}-{time.monotonic_ns()}", batches, start, done),
        )
        for n in range(senders)
    ]
    for one in crowd:
        one.start()
    await asyncio.to_thread(lambda: [done.get() for _ in crowd])
    at, before = time.time(), sum(hand.cpu() for hand in hands)
    start.set()
    ended = max(await asyncio.to_thread(lambda: [done.get() for _ in crowd]))
    for one in crowd:
        one.join()
    signals = senders * batches * BATCH
    return signals / (ended - at), (sum(hand.cpu() for hand in hands) - before) / signals * 1e6


async def intakes(url: str, rounds: int, batches: int) -> None:
    """The ratio of two processes to one; in turn, so that a noisy machine disturbs both."""
    found: list[tuple[float, float]] = []
    with database(url) as own:
        async with crew(own, count=PEOPLE) as all_:
            one, two = await all_.start_all(("intake",), ("intake",))
            await rate([one, two], 2, 2)
            for _ in range(rounds):
                single, cost = await rate([one], 2, batches)
                double, cost_of_two = await rate([one, two], 2, batches)
                found.append((single, double))
    alone, both = (statistics.median(column) for column in zip(*found, strict=True))
    beside(f"one intake process on PostgreSQL, batches of {BATCH}", alone, "/s")
    beside("two intake processes", both, "/s")
    beside("   processor time of an intake process, one", cost, "us")
    beside("   processor time of an intake process, two", cost_of_two, "us")
    beside("   cores of this machine, for the server, the senders and the processes", os.cpu_count() or 0, "")
    show("two intake processes beside one", both / alone, RATIO, "x", at_least=True)


# A clock process that is killed


async def promises(url: str, kills: int, seconds: float) -> list[float]:
    """Milliseconds by which each promise was noticed late, while clock processes are killed in turn."""
    with database(url) as own:
        async with (
            receiving() as receiver,
            crew(own, receiver.url, PEOPLE) as all_,
            httpx.AsyncClient(trust_env=False, timeout=10) as client,
        ):
            door, *clocks = await all_.start_all(("intake", "senders"), ("clock",), ("clock",))
            load = asyncio.create_task(_press(client, door.address))
            for number in range(kills):
                await asyncio.sleep(seconds)
                clocks[number % 2].kill()
                clocks[number % 2] = await all_.start("clock")
            await asyncio.sleep(seconds)
            load.cancel()
            with suppress(asyncio.CancelledError):
                await load
            await until(lambda: not _pending(all_))
            return [entry.at - entry.body["due"] for _, log in cases(all_) for entry in missed(log)]


async def _press(client: httpx.AsyncClient, address: str) -> None:
    """A person after the other presses, fifty a second, so that a promise falls due all the time."""
    for number in range(PEOPLE * 1_000):
        await post(client, address, [alarm(f"press-{number}", number % PEOPLE)])
        await asyncio.sleep(0.02)


def _pending(all_: Crew) -> bool:
    """Whether a promise of acknowledgement is still to be noticed."""
    return any("acknowledged" not in [e.body["promise"] for e in missed(log)] for _, log in cases(all_))


def cases(all_: Crew) -> list[tuple[Case, Log]]:
    """Every case with its log."""
    with all_.store.read() as tx:
        found = [tx.cases.get(identity) for identity in tx.cases.ids("", 1_000_000)]
        return [(case, tx.cases.log(case.id)) for case in found if case]


def missed(log: Log) -> Log:
    """The promises that were said to be broken."""
    return [entry for entry in log if entry.kind == "missed"]


# The siege


@dataclass
class Fates:
    """What the judge found."""

    kills: int = 0
    acknowledged: dict[str, bool] = field(default_factory=dict)
    """By id, whether it was a cry."""
    lost: list[str] = field(default_factory=list)
    two_keys: list[str] = field(default_factory=list)
    strange_calls: list[str] = field(default_factory=list)
    undelivered: list[str] = field(default_factory=list)
    wrong_rows: list[str] = field(default_factory=list)
    missed_twice: list[str] = field(default_factory=list)
    notices: int = 0
    calls: int = 0
    late_ms: list[float] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every promise of the platform was kept."""
        return not (
            self.lost
            or self.two_keys
            or self.strange_calls
            or self.undelivered
            or self.wrong_rows
            or self.missed_twice
        )


ROLES = ("intake", "clock", "senders")


class Siege:
    """Two processes of each role, a gateway that keeps what was not acknowledged, and somebody who kills."""

    def __init__(self, all_: Crew, client: httpx.AsyncClient, seed: int) -> None:
        self.all = all_
        self.client = client
        self.random = random.Random(seed)
        self.fates = Fates()
        self.hands: list[Hand] = []
        self._kept: list[list[Event]] = []
        self._number = 0

    async def run(self, kills: int) -> None:
        """Load throughout; a killed process is started again at once."""
        self.hands = await self.all.start_all(*((role,) for role in ROLES for _ in range(2)))
        load = asyncio.create_task(self._load())
        raising: set[asyncio.Task[None]] = set()
        for _ in range(kills):
            await asyncio.sleep(self.random.uniform(0.2, 1.2))
            await self._someone_lives()
            hand = self.random.choice(self.hands)
            self.hands.remove(hand)
            hand.kill()
            self.fates.kills += 1
            raising.add(asyncio.create_task(self._raise(hand.roles)))
        await asyncio.gather(*raising)
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
        for batch in [*self._kept]:
            await self._send(batch)

    async def _someone_lives(self) -> None:
        while not self.hands:  # noqa: ASYNC110 -- a process that starts tells nobody
            await asyncio.sleep(0.1)

    async def _raise(self, roles: tuple[str, ...]) -> None:
        self.hands.append(await self.all.start(*roles))

    async def _load(self) -> None:
        while True:
            if self._kept and self.random.random() < 0.5:
                await self._send(self._kept.pop(0))
            self._number += 1
            quiet = [alarm(f"q{self._number}-{n}", n, "crew.quiet") for n in range(4)]
            await self._send([*quiet, alarm(f"a{self._number}", self.random.randrange(PEOPLE))])
            await asyncio.sleep(0.05)

    async def _send(self, batch: list[Event]) -> None:
        doors = [hand for hand in self.hands if "intake" in hand.roles]
        results = await post(self.client, self.random.choice(doors).address, batch) if doors else None
        if results is None:
            self._kept.append(batch)
        else:
            self.fates.acknowledged |= {e["id"]: e["type"] == "crew.alarm" for e in batch}


async def siege(url: str, kills: int, seed: int = 1) -> Fates:
    """Besiege a crew on a fresh database, let it settle, and judge."""
    with database(url) as own:
        async with (
            receiving(lambda _: Answer(after=0.05)) as receiver,
            crew(own, receiver.url, PEOPLE) as all_,
            httpx.AsyncClient(trust_env=False, timeout=5) as client,
        ):
            battle = Siege(all_, client, seed)
            await battle.run(kills)
            await until(lambda: not _pending(all_))
            await until(lambda: not _owed(all_))
            await asyncio.to_thread(all_.close)
            return judge(all_, battle.fates, receiver)


def _owed(all_: Crew) -> list[str]:
    now = time.time_ns() // 1_000_000
    with all_.store.read() as tx:
        return [notice.id for notice in tx.notices.waiting(now, 1_000)]


def judge(all_: Crew, fates: Fates, receiver: Receiver) -> Fates:
    """Compare what was acknowledged and what arrived with what the database says."""
    called = receiver.idempotency_keys()
    fates.calls, fates.undelivered = len(called), _owed(all_)
    fates.lost = lost(all_.store, fates.acknowledged)
    known = _judge_notices(all_.store, fates, set(called))
    fates.strange_calls = sorted(set(called) - known)
    for case, log in cases(all_):
        if case != rebuild(case.id, log):
            fates.wrong_rows.append(case.id)
        told = [(entry.body["promise"], entry.body["due"]) for entry in missed(log)]
        fates.missed_twice += [f"{case.id} {promise}" for promise in set(told) if told.count(promise) > 1]
        fates.late_ms += [entry.at - entry.body["due"] for entry in missed(log)]
    return fates


def _judge_notices(store: Store, fates: Fates, called: set[str]) -> set[str]:
    keys: dict[tuple[str, ...], set[str]] = defaultdict(set)
    with store.read() as tx:
        for identity in tx.cases.ids("", 1_000_000):
            for notice in tx.notices.of_case(identity):
                keys[notice.case_id, notice.step, notice.recipient, notice.way].add(notice.id)
                if notice.state == "handed" and notice.id not in called:
                    fates.undelivered.append(notice.id)
    fates.two_keys = [str(of) for of, ids in keys.items() if len(ids) > 1]
    fates.notices = sum(map(len, keys.values()))
    return {identity for ids in keys.values() for identity in ids}


def _show(fates: Fates) -> bool:
    beside("kills of a process, two of each role", fates.kills, "")
    beside("   acknowledged signals", len(fates.acknowledged), "")
    beside("   notices", fates.notices, "")
    beside("   calls, repeats under the same key included", fates.calls, "")
    return all(
        [
            show("acknowledged and lost", len(fates.lost), 0, ""),
            show(
                "notices under two keys, calls under none", len(fates.two_keys + fates.strange_calls), 0, ""
            ),
            show("owed or handed over and not arrived", len(fates.undelivered), 0, ""),
            show("cases unlike their log", len(fates.wrong_rows), 0, ""),
            show("promises broken twice", len(fates.missed_twice), 0, ""),
        ]
    )


async def main(kills: int) -> bool:
    """Print all three."""
    with server() as postgresql:
        await intakes(postgresql.url, 1 if SMOKE else 5, 4 if SMOKE else 40)
        late = await promises(postgresql.url, 1 if SMOKE else 10, 1.5)
        beside("promises noticed while clock processes are killed", len(late), "")
        beside("   late, p99", percentile(late, 99), "ms")
        show("a killed clock process costs a promise at most", max(late), PROMISE_LATE_MS, "ms")
        return _show(await siege(postgresql.url, kills))


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    good = uvloop.run(main(numbers[0] if numbers else 1 if SMOKE else 100))
    sys.exit(0 if good else 1)
