"""Which rows and which files a query needs, found by DuckDB's own planner.

Each day (long ago: each month) of a view is given a small table whose smallest and largest values are those
of the day. The planner drops the tables from which no row can come, whatever way the query says so:
``day = ...``, ``received >= ...``, within a join or below a view. What it leaves in its plan has to be
read. Nothing of the query's text is interpreted here, so a question it does not understand only costs time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

import duckdb

from hexi.kernel.archive import ArchiveFile
from hexi.kernel.clock import LOCAL, Instant, from_datetime, local_day

DAYS, MONTHS = 45, 60
"""Days before the present that are told apart, and months before those; what is older is one bucket."""
EARLIEST, LATEST = date(1900, 1, 1), date(9999, 12, 30)

Ends = Mapping[str, tuple[Any, Any]]
"""The smallest and the largest value of some columns."""
Columns = Mapping[str, str]
"""The columns of a view with their types."""


class Bucket(NamedTuple):
    """Some days, their first and last included."""

    first: date
    last: date
    hot: bool = True
    """Of signals: those in the database, else those in the files."""

    @property
    def since(self) -> Instant:
        """Its first instant."""
        return _midnight(self.first)

    @property
    def until(self) -> Instant:
        """The first instant after it."""
        return _midnight(self.last + timedelta(days=1))

    def ends(self, days: Sequence[str] = (), moments: Sequence[str] = ()) -> dict[str, tuple[Any, Any]]:
        """The ends of columns that hold a day or a moment."""
        first, last = (_utc(at) for at in (self.since, self.until - 1))
        return dict.fromkeys(days, (self.first, self.last)) | dict.fromkeys(moments, (first, last))


def _midnight(day: date) -> Instant:
    return from_datetime(datetime.combine(day, time(), LOCAL))


def _utc(at: Instant) -> datetime:
    return datetime(1970, 1, 1) + timedelta(milliseconds=at)  # noqa: DTZ001 -- as the views show it


def calendar(now: Instant) -> list[Bucket]:
    """Days and months that cover all of time."""
    today = date.fromisoformat(local_day(now))
    days = [today + timedelta(days=n) for n in range(-DAYS, 2)]
    months, end = [], days[0] - timedelta(days=1)
    for _ in range(MONTHS):
        months.append(Bucket(end.replace(day=1), end))
        end = end.replace(day=1) - timedelta(days=1)
    return [
        Bucket(EARLIEST, end),
        *reversed(months),
        *(Bucket(day, day) for day in days),
        Bucket(days[-1] + timedelta(days=1), LATEST),
    ]


def archived(files: Iterable[ArchiveFile]) -> list[Bucket]:
    """The days of which there are files."""
    days = sorted({date.fromisoformat(local_day(file.hour)) for file in files})
    return [Bucket(day, day, hot=False) for day in days]


_HIGHEST = "repeat(chr(1114111), 4)"
_LIMITS = {
    "VARCHAR": ("''", _HIGHEST),
    "JSON": ("'\"\"'", f"'\"' || {_HIGHEST} || '\"'"),
    "BOOLEAN": ("false", "true"),
    "DATE": ("DATE '1700-01-01'", "DATE '9999-12-31'"),
    "TIMESTAMP": ("TIMESTAMP '1700-01-01'", "TIMESTAMP '9999-12-31'"),
    "DOUBLE": ("-1.7e308", "1.7e308"),
    "BIGINT": ("-9223372036854775807", "9223372036854775807"),
    "INTEGER": ("-2147483647", "2147483647"),
    "MAP(VARCHAR, BIGINT)": (
        "MAP {'': -9223372036854775807}",
        f"MAP {{{_HIGHEST}: 9223372036854775807}}",
    ),
    "MAP(VARCHAR, DOUBLE)": ("MAP {'': -1.7e308}", f"MAP {{{_HIGHEST}: 1.7e308}}"),
}
"""The smallest and largest value of each type."""


def needed(
    query: str, shapes: Mapping[str, Columns], pieces: Mapping[str, Sequence[Ends]]
) -> dict[str, set[int]]:
    """Of each view, which of its pieces a query may take a row from; other views are one piece."""
    with duckdb.connect(config={"python_enable_replacements": False}) as connection:
        for view, columns in shapes.items():
            parts = pieces.get(view, [{}])
            for number, ends in enumerate(parts):
                _make(connection, f"piece_{number}_of_{view}", columns, ends)
            union = " UNION ALL ".join(f"FROM piece_{number}_of_{view}" for number in range(len(parts)))
            connection.execute(f"CREATE VIEW {view} AS {union}")
        plan = connection.execute(f"EXPLAIN (FORMAT json) {query}").fetchall()[0][1]
    kept: dict[str, set[int]] = {view: set() for view in shapes}
    for number, view in re.findall(r"\bpiece_(\d+)_of_(\w+)\b", plan):
        kept[view].add(int(number))
    return kept


def _make(connection: duckdb.DuckDBPyConnection, name: str, columns: Columns, ends: Ends) -> None:
    """A table of three rows: the smallest values, the largest, and none where there may be none."""
    marks = {c: ("?", "?") if c in ends else _LIMITS[type_] for c, type_ in columns.items()}
    low = ", ".join(low for low, _ in marks.values())
    high = ", ".join(high for _, high in marks.values())
    none = ", ".join("?" if c in ends else "NULL" for c in columns)
    known = [ends[c] for c in columns if c in ends]
    about = ", ".join(f'"{c}" {type_}' for c, type_ in columns.items())
    connection.execute(f"CREATE TABLE {name} ({about})")
    values = [e[0] for e in known] + [e[1] for e in known] * 2
    connection.execute(f"INSERT INTO {name} VALUES ({low}), ({high}), ({none})", values)  # noqa: S608


def joined(of: Iterable[Bucket]) -> Iterator[Bucket]:
    """Buckets that touch, made one."""
    whole: Bucket | None = None
    for bucket in sorted(of):
        if whole is not None and bucket.first == whole.last + timedelta(days=1):
            whole = whole._replace(last=bucket.last)
            continue
        if whole is not None:
            yield whole
        whole = bucket
    if whole is not None:
        yield whole
