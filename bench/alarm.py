"""From a cry to the first webhook call, beside quiet traffic, and a burst: `python -m bench.alarm`.

A real ``hexi serve`` takes the cry over HTTP; receivers in a process of their own judge by their log. One
of eight receivers never answers. All clocks are the machine's monotonic one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from multiprocessing.connection import Connection

import uvloop
from bench._report import beside, percentile, show
from bench._serving import Serving, quiet, serving
from tests.peers.receivers import Answer, receiving

from hexi.kernel.record import Record
from hexi.kernel.signal import Signal
from hexi.protocols import cloudevents

RECEIVERS = 8
SMOKE = "--smoke" in sys.argv
ALARMS = 20 if SMOKE else 200
EVERY = 0.1
BURST = 60 if SMOKE else 3_000
QUIET_RATE = 1_000
NODE_RED, YARDSTICK = 1_900.0, 9_400.0
"""Alarms a second of a burst of 3,000, published by earlier measurements on other runs and machines."""


def receive(pipe: Connection) -> None:
    """The process of the receiving ends."""
    uvloop.run(_receive(pipe))


async def _receive(pipe: Connection) -> None:
    manners = [lambda _: Answer()] * (RECEIVERS - 1) + [lambda _: Answer(after=None)]
    async with AsyncExitStack() as stack:
        ends = [await stack.enter_async_context(receiving(manner)) for manner in manners]
        pipe.send([end.url for end in ends])
        while (asked := await asyncio.to_thread(pipe.recv)) != "end":
            if asked == "count":
                pipe.send([len(end.calls) for end in ends])
                continue
            pipe.send(
                [[(c.json["case_id"], c.headers["idempotency-key"], c.at) for c in e.calls] for e in ends]
            )
            for end in ends:
                end.calls.clear()


def people(urls: list[str]) -> Iterator[Record]:
    """Elders with eight contacts each for the spread, and with one each for the burst."""
    for number in range(ALARMS * 2):
        yield _record("person", f"S{number}", name=f"测{number}")
        for place, url in enumerate(urls):
            yield _contact(f"S{number}", place, url)
    for number in range(BURST):
        yield _record("person", f"B{number}", name=f"测{number}")
        yield _contact(f"B{number}", 0, urls[number % (RECEIVERS - 1)])


def _contact(person: str, place: int, url: str) -> Record:
    addresses = [{"by": "webhook", "to": url}]
    return _record(
        "contact", f"{person}-{place}", person=person, name="亲", order=place + 1, addresses=addresses
    )


def _record(kind: str, identity: str, **data: object) -> Record:
    return Record(kind=kind, id=identity, version=0, data=data, at=0, by="bench")


def cry(person: str) -> Signal:
    """A press of the button."""
    now = time.time_ns() // 1_000_000
    return Signal(
        id=f"cry-{person}",
        source="gw/0",
        kind="bench.sos",
        received=now,
        time=now,
        subject=f"person:{person}",
    )


@contextmanager
def beside_traffic(running: Serving, rate: int) -> Iterator[None]:
    """Quiet signals at a rate, in batches of a twentieth of a second, for as long as the block lasts."""
    stop = threading.Event()
    thread = threading.Thread(target=_flow, args=(running, rate, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _flow(running: Serving, rate: int, stop: threading.Event) -> None:
    connection = running.connect()
    size, number, at = max(1, rate // 20), 0, time.monotonic()
    while rate and not stop.is_set():
        now = time.time_ns() // 1_000_000
        running.post(connection, cloudevents.encode_batch([quiet(number + n, now) for n in range(size)]))
        number += size
        at += 0.05
        stop.wait(max(0.0, at - time.monotonic()))


def spread(running: Serving, log: Connection, first: int, rate: int) -> None:
    """One cry after the other; the first call and the last one of those who answer."""
    pressed: dict[str, float] = {}
    connection = running.connect()
    with beside_traffic(running, rate):
        for number in range(first, first + ALARMS):
            at = time.monotonic()
            (answer,) = running.post(connection, cloudevents.encode_batch([cry(f"S{number}")]))
            pressed[answer["case"]] = at
            time.sleep(max(0.0, at + EVERY - time.monotonic()))
        wait_for(log, ALARMS * (RECEIVERS - 1))
    log.send("log")
    arrivals: defaultdict[str, list[float]] = defaultdict(list)
    for calls in log.recv()[:-1]:
        for case, _, at in calls:
            arrivals[case].append(at)
    waits = [(min(at) - pressed[case]) * 1000 for case, at in arrivals.items()]
    apart = [(max(at) - min(at)) * 1000 for at in arrivals.values()]
    name = f"beside {rate:,}/s" if rate else "idle"
    show(f"cry sent -> first webhook call, {name}, p50", percentile(waits, 50), 10, "ms")
    show(f"cry sent -> first webhook call, {name}, p99", percentile(waits, 99), 100, "ms")
    show(f"spread over 7 of 8 receivers (one hangs), {name}, p99", percentile(apart, 99), 100, "ms")


def wait_for(log: Connection, calls: int, limit: float = 120.0) -> None:
    """Wait until so many calls have come to the receivers that answer."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        log.send("count")
        if sum(log.recv()[:-1]) >= calls:
            return
        time.sleep(0.02)
    raise SystemExit("not every call came")


def burst(running: Serving, log: Connection) -> None:
    """Many cries at once, one webhook each: every one must arrive exactly once."""
    bodies = [
        cloudevents.encode_batch([cry(f"B{n}") for n in range(start, min(start + 500, BURST))])
        for start in range(0, BURST, 500)
    ]
    connection, began = running.connect(), time.monotonic()
    cases = {answer["case"] for body in bodies for answer in running.post(connection, body)}
    taken = time.monotonic() - began
    wait_for(log, BURST)
    log.send("log")
    calls = [call for calls in log.recv()[:-1] for call in calls]
    took = max(at for *_, at in calls) - began
    if (
        len(cases) != BURST
        or {case for case, *_ in calls} != cases
        or len({key for _, key, _ in calls}) != BURST
    ):
        raise SystemExit(f"burst: {len(cases)} cases, {len(calls)} calls for {BURST} cries")
    beside(f"burst of {BURST:,}: cases committed", BURST / taken, "/s")
    beside(f"burst of {BURST:,}: delivered, each exactly once", BURST / took, "/s")
    beside("   beside Node-RED (published, not durable, another run)", BURST / took / NODE_RED, "x")
    beside("   beside the 100-line yardstick (published, another run)", BURST / took / YARDSTICK, "x")


def main() -> None:
    """Idle, beside traffic, burst."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    ends = context.Process(target=receive, args=(theirs,), daemon=True)
    ends.start()
    with serving(people(ours.recv())) as running:
        spread(running, ours, 0, 0)
        spread(running, ours, ALARMS, QUIET_RATE)
        burst(running, ours)
    ours.send("end")
    ends.join()


if __name__ == "__main__":
    main()
