"""Which hot rows and which files a query needs, found by DuckDB's own planner.

Each day is given a small table whose smallest and largest values are those of the day. The planner drops
the tables from which no row can come, whatever way the query says so: ``day = ...``, ``received >= ...``,
within a join or below a view. What it leaves in its plan is what has to be read. Nothing of the query's
text is interpreted here, so a question it does not understand only costs time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

import duckdb

from hexi.kernel.archive import ArchiveFile
from hexi.kernel.clock import LOCAL, Instant, from_datetime, local_day

COLUMNS = """
    day DATE, received TIMESTAMP, time TIMESTAMP, source VARCHAR, id VARCHAR, kind VARCHAR, subject VARCHAR,
    flags VARCHAR, case_id VARCHAR, numbers MAP(VARCHAR, DOUBLE), data VARCHAR, hot BOOLEAN
"""
NAMES = "day, received, time, source, id, kind, subject, flags, case_id, numbers, data, hot"
"""The columns of the view ``signals``."""
HOT_DAYS = 45
"""Days before the present that are told apart in the hot store; what is older is one bucket."""
EARLIEST, LATEST = date(1900, 1, 1), date(9999, 12, 30)


class Bucket(NamedTuple):
    """Some days, their first and last included, of the hot rows or of the files."""

    first: date
    last: date
    hot: bool

    @property
    def since(self) -> Instant:
        """Its first instant."""
        return _midnight(self.first)

    @property
    def until(self) -> Instant:
        """The first instant after it."""
        return _midnight(self.last + timedelta(days=1))


def _midnight(day: date) -> Instant:
    return from_datetime(datetime.combine(day, time(), LOCAL))


def buckets(now: Instant, files: Iterable[ArchiveFile]) -> list[Bucket]:
    """Every bucket that could hold something."""
    today = date.fromisoformat(local_day(now))
    days = [today + timedelta(days=n) for n in range(-HOT_DAYS, 2)]
    archived = sorted({date.fromisoformat(local_day(file.hour)) for file in files})
    return [
        Bucket(EARLIEST, days[0] - timedelta(days=1), hot=True),
        *(Bucket(day, day, hot=True) for day in days),
        Bucket(days[-1] + timedelta(days=1), LATEST, hot=True),
        *(Bucket(day, day, hot=False) for day in archived),
    ]


_HIGHEST = "repeat(chr(1114111), 4)"
_ROWS = f"""
    VALUES (?::DATE, make_timestamp_ms(?), TIMESTAMP '1700-01-01', '', '', '', '', '', '',
            MAP {{'': -1.7e308}}, '', ?),
           (?::DATE, make_timestamp_ms(?), TIMESTAMP '9999-12-31', {", ".join([_HIGHEST] * 6)},
            MAP {{{_HIGHEST}: 1.7e308}}, {_HIGHEST}, ?),
           (?::DATE, make_timestamp_ms(?), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, ?)
"""
"""The smallest values, the largest and none: from these the planner knows what a bucket could hold."""


def needed(connection: duckdb.DuckDBPyConnection, query: str, among: Sequence[Bucket]) -> list[Bucket]:
    """The buckets a query may take a row from; the other views it names are on the connection."""
    for number, bucket in enumerate(among):
        ends = [bucket.first, bucket.since, bucket.hot, *[bucket.last, bucket.until - 1, bucket.hot] * 2]
        connection.execute(f"CREATE TABLE bucket_{number} ({COLUMNS})")
        connection.execute(f"INSERT INTO bucket_{number} {_ROWS}", ends)
    parts = " UNION ALL ".join(f"FROM bucket_{number}" for number in range(len(among)))
    connection.execute(f"CREATE VIEW signals AS {parts}")
    plan = connection.execute(f"EXPLAIN (FORMAT json) {query}").fetchall()[0][1]
    connection.execute("DROP VIEW signals")
    for number in range(len(among)):
        connection.execute(f"DROP TABLE bucket_{number}")
    kept = {int(number) for number in re.findall(r"\bbucket_(\d+)\b", plan)}
    return [bucket for number, bucket in enumerate(among) if number in kept]


def spans(of: Iterable[Bucket]) -> Iterator[tuple[Instant, Instant]]:
    """The spans of time of some buckets, joined where they touch."""
    since: Instant | None = None
    until: Instant = 0
    for bucket in sorted(of):
        if since is not None and bucket.since == until:
            until = bucket.until
            continue
        if since is not None:
            yield since, until
        since, until = bucket.since, bucket.until
    if since is not None:
        yield since, until
