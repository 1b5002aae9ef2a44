"""A hot store with some hours of signals, an archive's folder beside it, and how to read both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
from tests.contract.make import NOW, a_signal

from hexi.adapters.archive.hours import counts
from hexi.adapters.archive.plan import Plan
from hexi.kernel.archive import of_signals
from hexi.kernel.clock import DAY, HOUR, SimClock
from hexi.kernel.ports import Store
from hexi.kernel.signal import Signal
from hexi.settings import Archive

START = NOW // HOUR * HOUR
HORIZON = 30 * DAY


def plan_for(store: Store, folder: Path, at: int = START + 60 * HOUR, **changes: Any) -> Plan:
    """A plan of an archive with a hot window of two days."""
    values: dict[str, Any] = {
        "settings": Archive(),
        "clock": SimClock(at),
        "horizon": HORIZON,
        "holder": "test",
    }
    return Plan(store=store, folder=folder, **values | changes)


def signals(hours: int, each: int = 40, **changes: Any) -> list[Signal]:
    """So many quiet readings in each of some hours."""
    step = HOUR // each
    return [
        a_signal(
            f"s{hour}-{n}",
            received=START + hour * HOUR + n * step,
            **{"kind": ("radar.presence", "vital.heart")[n % 2], "subject": f"device:D{n % 5}"}
            | {"data": {"rate": 60 + n, "moving": n % 3 == 0, "state": "lying"}}
            | changes,
        )
        for hour in range(hours)
        for n in range(each)
    ]


def keep(store: Store, batch: Sequence[Signal], case_id: str | None = None) -> None:
    """Commit signals as the spine does."""
    with store.write() as tx:
        tx.signals.claim(batch)
        for signal in batch:
            tx.signals.add(signal, case_id)


def archived(store: Store, folder: Path) -> Counter[str]:
    """How often each id is in the files that queries read."""
    with store.read() as tx:
        files = [f for f in of_signals(tx.archive.files()) if f.is_read]
    found: Counter[str] = Counter()
    for file in files:
        ids = duckdb.sql(f"SELECT id FROM read_parquet('{folder / file.name}')").fetchall()
        assert len(ids) == file.rows
        found.update(id_ for (id_,) in ids)
    return found


def hot(store: Store) -> Counter[str]:
    """How often each id is in the store, as a query reads it."""
    with store.read() as tx:
        return Counter(row[1] for portion in tx.archive.hot(0, 2**62) for row in portion)


def everywhere(store: Store, folder: Path) -> Counter[str]:
    """How often each id is anywhere."""
    return hot(store) + archived(store, folder)


def counted(store: Store, folder: Path) -> tuple[Counter[str], Counter[str]]:
    """How many signals of each kind the files hold, and how many their summaries count."""
    with store.read() as tx:
        files = [f for f in tx.archive.files() if f.is_read]
    held: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for file in files:
        (told if file.is_summary else held).update(
            counts(folder / file.name) if file.is_summary else file.kinds
        )
    return held, told
