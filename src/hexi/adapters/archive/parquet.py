"""Writing signals to Parquet and writing files anew, with DuckDB.

The data of a signal are split without loss: ``numbers`` holds its numbers by name, ``data`` the rest as
JSON (texts, truths, whatever is nested, and whole numbers too long for a double). Signals are sorted by
kind, subject and time. By kind and time alone they are smaller (``bench/archive.py``), but then one
device's history is spread over all of a kind, and that history is what is looked up and erased.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from hexi.adapters.archive.folder import DRAFT
from hexi.kernel.archive import Erasure, HotRow

COLUMNS = """
    source VARCHAR, id VARCHAR, kind VARCHAR, subject VARCHAR, received TIMESTAMP_MS, time TIMESTAMP_MS,
    flags VARCHAR, case_id VARCHAR, numbers MAP(VARCHAR, DOUBLE), data VARCHAR
"""
"""What a file holds."""
HOT_COLUMNS = """
    source VARCHAR, id VARCHAR, kind VARCHAR, subject VARCHAR, received BIGINT, time BIGINT,
    flags VARCHAR, data VARCHAR, case_id VARCHAR
"""
ORDER = "kind, subject, received, id"
FORM = "FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE 122880"

_SAFE_DIGITS = 15
"""A double holds every decimal of so many digits exactly."""
_IS_NUMBER = (
    "try_cast(CAST({0}.value AS VARCHAR) AS DOUBLE) IS NOT NULL"
    f" AND (length(CAST({{0}}.value AS VARCHAR)) <= {_SAFE_DIGITS}"
    " OR contains(CAST({0}.value AS VARCHAR), '.') OR contains(CAST({0}.value AS VARCHAR), 'e'))"
)
_NUMBERS = f"""
    map_from_entries(list_transform(
        list_filter(entries, lambda e: {_IS_NUMBER.format("e")}),
        lambda e: {{'k': e.key, 'v': CAST(CAST(e.value AS VARCHAR) AS DOUBLE)}}))
"""
_REST = f"""
    CAST(to_json(map_from_entries(
        list_filter(entries, lambda e: NOT coalesce({_IS_NUMBER.format("e")}, false)))) AS VARCHAR)
"""


def split(table: str) -> str:
    """The query that gives rows as they lie in the hot store, from a table, as a file holds them."""
    return f"""
        SELECT source, id, kind, subject, make_timestamp_ms(received)::TIMESTAMP_MS AS received,
            make_timestamp_ms(time)::TIMESTAMP_MS AS time, flags, case_id,
            {_NUMBERS} AS numbers, nullif({_REST}, '{{}}') AS data
        FROM (SELECT *, map_entries(CAST(CAST(data AS JSON) AS MAP(VARCHAR, JSON))) AS entries FROM {table})
    """  # noqa: S608 -- our own words


TOUCHED = "(case_id IS NOT NULL OR contains(flags, 'unknown_kind'))"
"""Signals of cases and of unknown kinds keep their data whatever is said of their kind."""


class DiskFullError(OSError):
    """There is no room for the file."""


@contextmanager
def session(beside: Path, memory: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory of so many MiB; what does not fit lies in a folder beside until the end."""
    with tempfile.TemporaryDirectory(dir=beside, prefix=DRAFT, ignore_cleanup_errors=True) as scratch:
        connection = duckdb.connect(config={"python_enable_replacements": False})
        try:
            connection.execute(f"SET memory_limit = '{memory}MiB'")
            connection.execute("SET temp_directory = ?", [scratch])
            connection.execute("SET autoinstall_known_extensions = false")
            connection.execute("SET autoload_known_extensions = false")
            yield connection
        finally:
            connection.close()


@contextmanager
def full_in_our_words() -> Iterator[None]:
    """DiskFullError when DuckDB says that the disk is full, which it does in words."""
    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        said = str(error)
        if "No space left" in said or "failed to offload" in said:
            raise DiskFullError(errno.ENOSPC, said.splitlines()[0]) from error
        raise


def fill(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Append rows to a table, column by column: many times faster than row by row."""
    if not rows:
        return
    columns = {f"c{n}": _column(values) for n, values in enumerate(zip(*rows, strict=True))}
    connection.register("portion", columns)
    connection.execute(f"INSERT INTO {table} SELECT * FROM portion")  # noqa: S608 -- our own names
    connection.unregister("portion")


def _column(values: tuple[Any, ...]) -> Any:
    """A column that holds every value as it is."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def write(
    draft: Path, portions: Iterable[list[HotRow]], body_of: Callable[[str], str], memory: int
) -> dict[str, int]:
    """Write hot rows to a file; ``body_of`` says of a kind what of its data is kept.

    How many of each kind it holds then. DiskFullError when there is no room.
    """
    with full_in_our_words(), session(draft.parent, memory) as connection:
        connection.execute(f"CREATE TEMP TABLE hot ({HOT_COLUMNS})")
        for portion in portions:
            fill(connection, "hot", portion)
        connection.execute("CREATE TEMP TABLE body (kind VARCHAR, keeps VARCHAR)")
        fill(connection, "body", [(kind, body_of(kind)) for kind in _kinds(connection)])
        connection.execute(_copy(_WRITE, draft))
        return _told(connection, draft)


def _kinds(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [kind for (kind,) in connection.execute("SELECT DISTINCT kind FROM hot").fetchall()]


_WRITE = f"""
    SELECT split.* REPLACE (
        CASE WHEN keeps <> 'none' OR {TOUCHED} THEN numbers END AS numbers,
        CASE WHEN keeps = 'whole' OR {TOUCHED} THEN data END AS data)
    FROM ({split("hot")}) AS split JOIN body USING (kind) ORDER BY {ORDER}
"""  # noqa: S608 -- our own words


def _copy(query: str, target: Path) -> str:
    return f"COPY ({query}) TO {quoted(str(target))} ({FORM})"


def quoted(said: str) -> str:
    """A text as SQL writes it."""
    return "'" + said.replace("'", "''") + "'"


def _told(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, int]:
    """How many rows of each kind a file holds, read back."""
    found = connection.execute(
        f"SELECT kind, count(*) FROM read_parquet({quoted(str(path))}) GROUP BY 1 ORDER BY 1"  # noqa: S608
    )
    return {kind: int(rows) for kind, rows in found.fetchall()}


def is_elsewhere(path: Path, others: Sequence[Path], hot: Iterable[list[HotRow]], memory: int) -> bool:
    """Whether every signal of a file is also in one of the other files or among some hot rows."""
    with session(path.parent, memory) as connection:
        connection.execute("CREATE TEMP TABLE known (source VARCHAR, id VARCHAR)")
        for portion in hot:
            fill(connection, "known", [row[:2] for row in portion])
        for other in others:
            with suppress(duckdb.Error):  # nothing is known to be in a file that cannot be read
                connection.execute(f"INSERT INTO known SELECT source, id FROM {_of(other)}")  # noqa: S608
        try:
            found = connection.execute(
                f"SELECT 1 FROM {_of(path)} ANTI JOIN known USING (source, id) LIMIT 1"  # noqa: S608
            )
        except duckdb.Error:
            return False
        return found.fetchone() is None


def _of(path: Path) -> str:
    return f"read_parquet({quoted(str(path))})"


def holds(path: Path, erasures: Sequence[Erasure], memory: int) -> bool:
    """Whether a file still holds data that were erased."""
    with session(path.parent, memory) as connection:
        _erased(connection, erasures)
        found = connection.execute(
            f"SELECT 1 FROM read_parquet({quoted(str(path))}) AS s WHERE s.subject IN (SELECT subject FROM"  # noqa: S608
            f" erased) AND {ERASED} AND (data IS NOT NULL OR numbers IS NOT NULL) LIMIT 1"
        )
        return found.fetchone() is not None


ERASED = "EXISTS (FROM erased e WHERE e.subject = s.subject AND epoch_ms(s.received) <= e.until)"
"""Whether the data of a signal ``s`` were erased."""


def _erased(connection: duckdb.DuckDBPyConnection, erasures: Sequence[Erasure]) -> None:
    connection.execute("CREATE TEMP TABLE erased (subject VARCHAR, until BIGINT)")
    fill(connection, "erased", [(e.subject, e.until) for e in erasures])


def rewrite(
    source: Path, draft: Path, without: Sequence[str], erasures: Sequence[Erasure], memory: int
) -> dict[str, int]:
    """Write a file anew without some kinds and without the data that were erased.

    How many of each kind are left. DiskFullError when there is no room.
    """
    with full_in_our_words(), session(draft.parent, memory) as connection:
        _erased(connection, erasures)
        connection.execute("CREATE TEMP TABLE expired (kind VARCHAR)")
        fill(connection, "expired", [(kind,) for kind in without])
        connection.execute(_copy(_rewritten(source), draft))
        return _told(connection, draft)


def _rewritten(source: Path) -> str:
    return f"""
        SELECT s.* EXCLUDE (gone) REPLACE (
            CASE WHEN NOT gone THEN numbers END AS numbers, CASE WHEN NOT gone THEN data END AS data)
        FROM (SELECT s.*, {ERASED} AS gone FROM read_parquet({quoted(str(source))}) AS s) AS s
        WHERE kind NOT IN (SELECT kind FROM expired) ORDER BY {ORDER}
    """  # noqa: S608 -- our own words
