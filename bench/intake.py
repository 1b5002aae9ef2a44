"""Quiet signals over HTTP into one process, in batches of 500: `python -m bench.intake`.

The senders are processes of their own with bodies made beforehand; an answer comes after the commit.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from multiprocessing.queues import Queue

from bench._report import beside, show
from bench._serving import Serving, quiet, serving

from hexi.protocols import cloudevents

GOAL = 20_000
BATCH = 500
SMOKE = "--smoke" in sys.argv


def send(serving: Serving, name: str, count: int, done: Queue[float]) -> None:
    """Send so many batches over one connection and say how long it took."""
    now = time.time_ns() // 1_000_000
    bodies = [
        cloudevents.encode_batch([quiet(name_number * BATCH + n, now) for n in range(BATCH)]).replace(
            b'"q', f'"{name}-'.encode()
        )
        for name_number in range(count)
    ]
    connection = serving.connect()
    done.put(0.0)
    began = time.monotonic()
    for body in bodies:
        serving.post(connection, body)
    done.put(time.monotonic() - began)


def race(serving: Serving, senders: int, batches: int) -> float:
    """Signals a second that so many senders got acknowledged."""
    context = multiprocessing.get_context("fork")
    done: Queue[float] = context.Queue()
    crew = [
        context.Process(target=send, args=(serving, f"{senders}.{n}.{time.monotonic_ns()}", batches, done))
        for n in range(senders)
    ]
    for one in crew:
        one.start()
    took = max([done.get() for _ in range(2 * senders)])
    for one in crew:
        one.join()
    return senders * batches * BATCH / took


def main() -> None:
    """Print the rates for one, two and four senders; the goal is for the best of them."""
    rates = []
    with serving() as running:
        race(running, 1, 4)
        for senders in (1, 2, 4):
            rates.append(race(running, senders, 4 if SMOKE else 60))
            beside(f"HTTP, batches of {BATCH}, {senders} sender(s)", rates[-1], "/s")
    show(f"HTTP, batches of {BATCH}, best", max(rates), GOAL, "/s", at_least=True)


if __name__ == "__main__":
    main()
