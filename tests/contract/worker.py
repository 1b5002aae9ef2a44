"""What a second process does to a database in the contract tests: ``worker.py task url args...``."""

from __future__ import annotations

import sys
import time
from functools import partial

from tests.contract.make import NOW, a_case, a_deadline, a_signal

from hexi.adapters.sql import open_store
from hexi.kernel.ports import Store

say = partial(print, flush=True)


def fold(store: Store, name: str, count: str) -> None:
    """Say which case holds each of many keys."""
    for number in range(int(count)):
        with store.write() as tx:
            say(tx.cases.fold(f"key-{number}", f"{name}-{number}", NOW))


def claim(store: Store, *_: str) -> None:
    """Say which deadlines this process has taken."""
    while True:
        with store.write() as tx:
            taken = tx.deadlines.claim(NOW, 7)
        if not taken:
            return
        say("\n".join(deadline.key for deadline in taken))


def hold(store: Store, owner: str) -> None:
    """Say which notices this process has come to hold."""
    while True:
        with store.write() as tx:
            taken = tx.notices.claim(owner, NOW, 7)
        if not taken:
            return
        say("\n".join(notice.id for notice in taken))


def take(store: Store, *_: str) -> None:
    """Commit for ever and say so after each commit; the next one is always under way."""
    for number in range(1_000_000):
        with store.write() as tx:
            tx.signals.claim([a_signal(f"{number}-{i}") for i in range(50)])
            case, entries = a_case(f"C{number:07}")
            tx.cases.save(case, entries)
            tx.deadlines.arm([a_deadline(f"{case.id}/a", NOW, case_id=case.id)])
            tx.flush()  # type: ignore[attr-defined]
            time.sleep(0.002)
        say(number)


if __name__ == "__main__":
    task, url, *arguments = sys.argv[1:]
    tasks = {"fold": fold, "claim": claim, "hold": hold, "take": take}
    tasks[task](open_store(url), *arguments)
