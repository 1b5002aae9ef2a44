"""How fast notices leave: `python -m bench.notify`.

The receivers run in a process of their own and judge by their own log; one of the eight never answers.
Signal to first call is measured from ``Senders.hand``: what the spine adds before it is measured elsewhere.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection

import uvloop
from tests.peers.receivers import Answer, receiving

from hexi.adapters.channels import WebhookChannel
from hexi.kernel.clock import SimClock
from hexi.kernel.response import Notice, Receipt
from hexi.kernel.signal import Lane
from hexi.spine.links import Links
from hexi.spine.senders import Senders

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RECEIVERS = 8
ALARMS = 300
EVERY = 0.02
BURST = 3_000


def serve(pipe: Connection) -> None:
    uvloop.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    manners = [lambda _: Answer()] * (RECEIVERS - 1) + [lambda _: Answer(after=None)]
    async with AsyncExitStack() as stack:
        receivers = [await stack.enter_async_context(receiving(manner)) for manner in manners]
        pipe.send([receiver.url for receiver in receivers])
        while await asyncio.to_thread(pipe.recv) == "log":
            pipe.send([[(c.headers["idempotency-key"], c.at) for c in r.calls] for r in receivers])
            for receiver in receivers:
                receiver.calls.clear()


class Bench:
    """Senders with one webhook way, and what has come back."""

    def __init__(self) -> None:
        self.clock = SimClock(1_780_000_000_000)
        self.channel = WebhookChannel(self.clock, SECRET, 10_000)
        self.senders = Senders(
            {"webhook": self.channel}, self.take, self.clock, Links("secret", "https://hexi.example")
        )
        self.delivered = 0
        self.news = asyncio.Event()

    async def take(self, receipt: Receipt) -> None:
        self.delivered += receipt.rung is not None
        self.news.set()

    def notice(self, alarm: int, number: int, url: str) -> Notice:
        return Notice(
            id=f"{alarm}:{number}",
            case_id=f"case{alarm}",
            step="0",
            role="family",
            recipient=f"contact:C{number}",
            name="王芳",
            way="webhook",
            address=url,
            text="王秀英 疑似跌倒，天津路 12 号。回复 1 表示您正赶去。",
            language="zh",
            t0=self.clock.now(),
            lane=Lane.SOS,
            replies={"1": "set_off", "2": "declined"},
        )

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while self.delivered < count:
                self.news.clear()
                await self.news.wait()
        self.delivered = 0


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def show(what: str, value: float, limit: float, unit: str, *, at_least: bool = False) -> None:
    kept = value >= limit if at_least else value <= limit
    print(f"{what:<52} {value:>9.1f} {unit:<4} limit {limit:>7.0f}  {'kept' if kept else 'MISSED'}")


async def spread(bench: Bench, urls: list[str], log: Connection) -> None:
    handed: dict[str, float] = {}
    for alarm in range(ALARMS):
        notices = [bench.notice(alarm, n, url) for n, url in enumerate(urls)]
        handed[str(alarm)] = time.monotonic()
        bench.senders.hand(notices)
        await asyncio.sleep(EVERY)
    await bench.until(ALARMS * (RECEIVERS - 1))
    log.send("log")
    arrivals: defaultdict[str, list[float]] = defaultdict(list)
    for calls in (await asyncio.to_thread(log.recv))[:-1]:
        for key, at in calls:
            arrivals[key.partition(":")[0]].append(at)
    first = [(min(at) - handed[alarm]) * 1000 for alarm, at in arrivals.items()]
    apart = [(max(at) - min(at)) * 1000 for at in arrivals.values()]
    show("handed to senders -> first call, p50", percentile(first, 50), 10, "ms")
    show("handed to senders -> first call, p99", percentile(first, 99), 100, "ms")
    show("spread over the 7 of 8 that answer, p50", percentile(apart, 50), 100, "ms")
    show("spread over the 7 of 8 that answer, p99", percentile(apart, 99), 100, "ms")


async def burst(bench: Bench, urls: list[str], log: Connection, name: str) -> None:
    notices = [bench.notice(n, 0, urls[n % len(urls)]) for n in range(BURST)]
    start, cpu = time.monotonic(), time.process_time()
    bench.senders.hand(notices)
    await bench.until(BURST)
    took, cpu = time.monotonic() - start, time.process_time() - cpu
    log.send("log")
    arrived = [key for calls in await asyncio.to_thread(log.recv) for key, _ in calls]
    if sorted(arrived) != sorted(notice.id for notice in notices):
        raise SystemExit(f"{name}: {len(arrived)} calls for {BURST} notices")
    show(f"{name}, webhook posts", BURST / took, 1_000, "/s", at_least=True)
    print(f"{'':<52} {cpu / BURST * 1e6:>9.0f} µs of our CPU a post")


async def main(log: Connection) -> None:
    urls = await asyncio.to_thread(log.recv)
    bench = Bench()
    await bench.senders.run()
    await spread(bench, urls, log)
    await bench.senders.stop(limit=0)
    await bench.channel.close()
    bench = Bench()
    await bench.senders.run()
    await burst(bench, urls[:1], log, f"burst of {BURST} to one receiver")
    await burst(bench, urls[:-1], log, f"burst of {BURST} over seven receivers")
    await bench.senders.stop()
    await bench.channel.close()
    log.send("end")


if __name__ == "__main__":
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    uvloop.run(main(ours))
    process.join()
