"""The summary of a file of signals: how many of each kind came in its hour, from where, and their numbers.

A row is a kind in a community, or in a street, or in the district: where the owners of the devices lived
when it was written. No row names a subject. What could be told apart as the readings of somebody is folded
into a wider place first; see ``FEWEST``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from hexi.adapters.archive.parquet import fill, full_in_our_words, quoted, session
from hexi.kernel.clock import Instant
from hexi.kernel.ports import Transaction

COLUMNS = """
    hour TIMESTAMP, kind VARCHAR, drill BOOLEAN, street VARCHAR, community VARCHAR, signals BIGINT,
    subjects BIGINT, n MAP(VARCHAR, BIGINT), total MAP(VARCHAR, DOUBLE), least MAP(VARCHAR, DOUBLE),
    most MAP(VARCHAR, DOUBLE)
"""
"""What a summary holds."""
NAMES = ("hour", "kind", "drill", "street", "community", "signals", "subjects", "n", "total", "least", "most")
FEWEST = 5
"""Fewer persons than these are not told apart: a community's row goes into its street's, a street's into
the district's, and there the numbers are left out. What belongs to no person is told as it is."""
NUMBERS = 64
"""Names of numbers that are summed of a kind, the most frequent first: a device may invent more."""
NO_FIGURES = ("lat", "lon")
"""Numbers whose sum says nothing and whose ends are somebody's position."""
ONE_BY_ONE = 200
"""So many records are looked up each by its id; for more, all of their kind are read."""

_OF_NOBODY = ("platform:", "unit:", "centre:", "place:")
"""Subjects that are no person's."""


class _Device(msgspec.Struct):
    owner: str | None = None


class _Home(msgspec.Struct):
    street: str | None = None
    community: str | None = None


def write(source: Path, draft: Path, hour: Instant, tx: Transaction, memory: int) -> dict[str, int]:
    """Write the summary of a file of signals; how many of each kind it counts.

    DiskFullError when there is no room; a duckdb.Error when the file cannot be read.
    """
    with full_in_our_words(), session(draft.parent, memory) as connection:
        connection.execute(_SENT.format(source=quoted(str(source))))
        _load_places(connection, tx)
        for statement in (_PLACED, *_FOLDED):
            connection.execute(statement)
        connection.execute(_NUMBERS.format(source=quoted(str(source))))
        connection.execute(_COPY.format(hour=hour, target=quoted(str(draft))))
        return counts(draft)


def counts(path: Path) -> dict[str, int]:
    """How many signals of each kind a summary counts, read from it."""
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT kind, sum(signals) FROM read_parquet({quoted(str(path))}) GROUP BY 1 ORDER BY 1"  # noqa: S608
        )
        return {kind: int(signals) for kind, signals in found.fetchall()}


_SENT = """
    CREATE TEMP TABLE sent AS
    SELECT kind, list_contains(string_split(flags, ' '), 'drill') AS drill, coalesce(subject, '') AS subject,
        count(*) AS signals
    FROM read_parquet({source}) GROUP BY ALL
"""

_PLACED = f"""
    CREATE TEMP TABLE placed AS
    SELECT sent.*, street, community,
        NOT coalesce(place.subject IS NOT NULL AND owner IS NULL, false)
        AND NOT ({" OR ".join(f"starts_with(sent.subject, '{begins}')" for begins in _OF_NOBODY)}) AS personal
    FROM sent LEFT JOIN place USING (subject)
"""  # noqa: S608 -- our own words


def _folded(place: str) -> str:
    """Leave out a place of which there are too few persons."""
    return f"""
        CREATE OR REPLACE TEMP TABLE placed AS SELECT * REPLACE (
            CASE WHEN personal AND count(nullif(subject, '')) OVER
                (PARTITION BY kind, drill, personal, street, community) < {FEWEST}
            THEN NULL ELSE {place} END AS {place})
        FROM placed
    """  # noqa: S608 -- our own words


_FOLDED = (_folded("community"), _folded("street"))

_NUMBERS = f"""
    CREATE TEMP TABLE reading AS
    WITH each AS (
        SELECT kind, list_contains(string_split(flags, ' '), 'drill') AS drill,
            coalesce(subject, '') AS subject, unnest(map_keys(numbers)) AS name,
            unnest(map_values(numbers)) AS value
        FROM read_parquet({{source}})),
    of_subject AS (
        SELECT kind, drill, subject, name, count(*) AS n, sum(value) AS total, min(value) AS least,
            max(value) AS most
        FROM each WHERE isfinite(value) AND name NOT IN {NO_FIGURES} GROUP BY ALL),
    summed AS (
        SELECT kind, drill, personal, street, community, name, sum(n)::BIGINT AS n, sum(total) AS total,
            min(least) AS least, max(most) AS most
        FROM of_subject JOIN placed USING (kind, drill, subject)
        GROUP BY ALL HAVING NOT personal OR count(nullif(subject, '')) >= {FEWEST})
    SELECT kind, drill, personal, street, community,
        map(list(name ORDER BY name), list(n ORDER BY name)) AS n,
        map(list(name ORDER BY name), list(total ORDER BY name)) AS total,
        map(list(name ORDER BY name), list(least ORDER BY name)) AS least,
        map(list(name ORDER BY name), list(most ORDER BY name)) AS most
    FROM (SELECT *, dense_rank() OVER (PARTITION BY kind ORDER BY often DESC, name) AS place FROM (
        SELECT *, sum(n) OVER (PARTITION BY kind, name) AS often FROM summed))
    WHERE place <= {NUMBERS} GROUP BY ALL
"""  # noqa: S608 -- our own words

_COPY = """
    COPY (
        SELECT make_timestamp_ms({hour}) AS hour, s.* EXCLUDE (personal), n, total, least, most
        FROM (
            SELECT kind, drill, personal, street, community, sum(signals)::BIGINT AS signals,
                count(DISTINCT nullif(subject, '')) AS subjects
            FROM placed GROUP BY ALL) AS s
        LEFT JOIN reading AS r ON s.kind = r.kind AND s.drill = r.drill AND s.personal = r.personal
            AND s.street IS NOT DISTINCT FROM r.street AND s.community IS NOT DISTINCT FROM r.community
        ORDER BY s.kind, s.drill, s.street, s.community, s.personal
    ) TO {target} (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)
"""


def _load_places(connection: duckdb.DuckDBPyConnection, tx: Transaction) -> None:
    """Where the subjects of the file live, as the directory says now."""
    connection.execute(
        "CREATE TEMP TABLE place (subject VARCHAR, owner VARCHAR, street VARCHAR, community VARCHAR)"
    )
    devices = dict(_known(tx, "device", _named(connection, "device"), _owner))
    persons = _named(connection, "person") | {owner for owner in devices.values() if owner}
    homes = dict(_known(tx, "person", persons, _home))
    nowhere = (None, None)
    rows: list[tuple[str | None, ...]] = [
        (f"device:{id_}", owner, *homes.get(owner or "", nowhere)) for id_, owner in devices.items()
    ]
    rows += [(f"person:{id_}", id_, *home) for id_, home in homes.items()]
    fill(connection, "place", rows)


def _named(connection: duckdb.DuckDBPyConnection, kind: str) -> set[str]:
    """The ids of the subjects of a kind of record."""
    found = connection.execute(
        "SELECT DISTINCT subject[$1:] FROM sent WHERE starts_with(subject, $2)", [len(kind) + 2, f"{kind}:"]
    )
    return {id_ for (id_,) in found.fetchall()}


def _known(
    tx: Transaction, kind: str, wanted: set[str], read: Callable[[str], Any]
) -> Iterator[tuple[str, Any]]:
    """What the records of these ids say."""
    of_kind = ("kind", kind, kind)
    bounds = (
        [(of_kind, ("id", id_, id_)) for id_ in sorted(wanted)] if len(wanted) <= ONE_BY_ONE else [(of_kind,)]
    )
    for within in bounds:
        for portion in tx.archive.table("record", *within):
            for _, id_, _, data, _, _, deleted in portion:
                if id_ in wanted and not deleted:
                    yield id_, read(data)


def _owner(data: str) -> str | None:
    """Whose a device is."""
    try:
        owner = msgspec.json.decode(data, type=_Device).owner
    except msgspec.ValidationError:
        return "?"  # somebody's
    return owner.removeprefix("person:") if owner else None


def _home(data: str) -> tuple[str | None, str | None]:
    """The street and community of a person."""
    try:
        home = msgspec.json.decode(data, type=_Home)
    except msgspec.ValidationError:
        return None, None
    return home.street or None, home.community or None
