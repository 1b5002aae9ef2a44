"""The views that a query sees, each made of what the store holds; docs/reference/views.md tells them.

Without leave to see personal data, a view has no names, addresses, words, positions or homes in it: the
columns are there and empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import duckdb
import msgspec

from hexi.adapters.archive import hours
from hexi.adapters.archive.parquet import fill
from hexi.adapters.sql.tables import metadata
from hexi.kernel.archive import Between
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.ports import Transaction
from hexi.kernel.record import Privacy, RecordKind

MOST = 5_000_000
"""Rows of the store that one query may take over; more is refused with advice."""


class TooMuchError(Exception):
    """A query would take over more rows of the store than it may."""


class Loading(NamedTuple):
    """Where views are made, from what, and whether personal data may be seen."""

    to: duckdb.DuckDBPyConnection
    tx: Transaction
    catalogue: Catalogue
    personal: bool
    mentioned: frozenset[str] | None
    """Names the query mentions; None when it may mean any column. What is not mentioned need not be read."""


class View(NamedTuple):
    """A view over tables of the store: their names, and its columns; ``{personal}`` guards a column."""

    needs: tuple[str, ...]
    columns: str
    source: str


def instant(column: str) -> str:
    """A column of milliseconds as a TIMESTAMP in UTC."""
    return f"make_timestamp_ms({column})"


def _said(name: str) -> str:
    return f"json_extract_string(body, '$.{name}') AS {name}"


VIEWS: dict[str, View] = {
    "cases": View(
        ("case_row",),
        f"""id, state, severity, scenario, matter, subject, device, street, community, grid,
        {instant("opened_at")} AS opened, {instant("closed_at")} AS closed, {instant("next_due")} AS next_due,
        CAST({instant("opened_at")} + INTERVAL 8 HOUR AS DATE) AS day, open = 1 AS open, drill = 1 AS drill,
        CASE WHEN {{personal}} THEN lon END AS lon, CASE WHEN {{personal}} THEN lat END AS lat""",
        "store_case_row",
    ),
    "case_log": View(
        ("case_log",),
        f"""case_id, seq, {instant('"at"')} AS happened, kind, "by" AS who, via,
        CASE WHEN {{personal}} THEN body END AS body""",
        "store_case_log",
    ),
    "notices": View(
        ("notice",),
        f"""id, case_id, recipient, state, {_said("step")}, {_said("role")}, {_said("way")},
        {instant("CAST(json_extract_string(body, '$.t0') AS BIGINT)")} AS t0,
        CAST(coalesce(json_extract_string(body, '$.attempts'), '0') AS INTEGER) AS attempts,
        coalesce(CAST(json_extract_string(body, '$.drill') AS BOOLEAN), false) AS drill,
        CASE WHEN {{personal}} THEN json_extract_string(body, '$.name') END AS name,
        CASE WHEN {{personal}} THEN json_extract_string(body, '$.address') END AS address,
        CASE WHEN {{personal}} THEN json_extract_string(body, '$.text') END AS text""",
        "store_notice",
    ),
    "deadlines": View(("deadline",), f'"key", {instant("due_at")} AS due, kind, case_id', "store_deadline"),
    "measures": View(
        ("measure",),
        "indicator, case_id, CAST(day AS DATE) AS day, street, community, grid, hit, value",
        "(SELECT *, unnest(range(times)) FROM store_measure)",
    ),
    "places": View(
        ("record",),
        """id, json_extract_string(data, '$.level') AS level, json_extract_string(data, '$.name') AS name,
        json_extract_string(data, '$.parent') AS parent""",
        "store_record WHERE kind = 'place' AND deleted = 0",
    ),
    "devices": View(
        ("record",),
        """d.id, 'device:' || d.id AS ref, json_extract_string(d.data, '$.type') AS type,
        json_extract_string(p.data, '$.street') AS street,
        json_extract_string(p.data, '$.community') AS community,
        json_extract_string(p.data, '$.grid') AS grid,
        CASE WHEN {personal} THEN json_extract_string(d.data, '$.owner') END AS owner""",
        """store_record d LEFT JOIN store_record p ON p.kind = 'person' AND p.deleted = 0
        AND p.id = json_extract_string(d.data, '$.owner') WHERE d.kind = 'device' AND d.deleted = 0""",
    ),
}
SIGNAL_COLUMNS = """
    day DATE, received TIMESTAMP, time TIMESTAMP, source VARCHAR, id VARCHAR, kind VARCHAR, subject VARCHAR,
    flags VARCHAR, case_id VARCHAR, numbers MAP(VARCHAR, DOUBLE), data VARCHAR, hot BOOLEAN
"""
SIGNAL_NAMES = "day, received, time, source, id, kind, subject, flags, case_id, numbers, data, hot"
HOUR_COLUMNS = f"day DATE, {hours.COLUMNS}"
HOUR_NAMES = ", ".join(["day", *hours.NAMES])
OWN = ("signals", "signal_hours", "records", "indicators")
"""The views that are made of more than a table."""
NAMES = tuple(sorted([*VIEWS, *OWN]))


DATED: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {
    "cases": ("case_row", "opened_at", ("day",), ("opened",)),
    "case_log": ("case_log", "at", (), ("happened",)),
    "measures": ("measure", "day", ("day",), ()),
}
"""Views of which only some days are read: table, its column, the view's columns of days and of moments."""


def create(connection: duckdb.DuckDBPyConnection, wanted: set[str], *, personal: bool) -> None:
    """Make the wanted views over empty tables, all but those of the files."""
    for table in sorted({table for name in wanted & VIEWS.keys() for table in VIEWS[name].needs}):
        columns = ", ".join(
            f'"{c.name}" {_TYPES.get(str(c.type), "VARCHAR")}' for c in metadata.tables[table].columns
        )
        times = ", times BIGINT" if table == "measure" else ""
        connection.execute(f"CREATE TABLE store_{table} ({columns}{times})")
    for name in sorted(wanted & VIEWS.keys()):
        columns = VIEWS[name].columns.format(personal="true" if personal else "false")
        connection.execute(f"CREATE VIEW {name} AS SELECT {columns} FROM {VIEWS[name].source}")  # noqa: S608
    for name in sorted(wanted & _STATEMENTS.keys()):
        for statement in _STATEMENTS[name]:
            connection.execute(statement)


_TYPES = {"BIGINT": "BIGINT", "INTEGER": "BIGINT", "SMALLINT": "BIGINT", "DOUBLE": "DOUBLE"}
_STATEMENTS = {
    "records": (
        """CREATE TABLE store_records
        (kind VARCHAR, id VARCHAR, version BIGINT, data VARCHAR, changed BIGINT, who VARCHAR)""",
        f"CREATE VIEW records AS SELECT * REPLACE ({instant('changed')} AS changed) FROM store_records",  # noqa: S608
    ),
    "indicators": (
        """CREATE TABLE indicators
        (id VARCHAR, title_zh VARCHAR, title_en VARCHAR, measure VARCHAR, target DOUBLE)""",
    ),
}


def shapes(wanted: set[str]) -> dict[str, dict[str, str]]:
    """The columns of the wanted views with their types."""
    with duckdb.connect() as connection:
        create(connection, wanted, personal=True)
        if "signals" in wanted:
            connection.execute(f"CREATE TABLE signals ({SIGNAL_COLUMNS})")
        if "signal_hours" in wanted:
            connection.execute(f"CREATE TABLE signal_hours ({HOUR_COLUMNS})")
        return {
            name: {str(c[0]): str(c[1]) for c in connection.execute(f"DESCRIBE {name}").fetchall()}
            for name in wanted
        }


def load(loading: Loading, wanted: set[str], within: Mapping[str, Sequence[Sequence[Between]]]) -> None:
    """Fill the wanted views, of some only what lies ``within``; TooMuchError when there are too many rows."""
    create(loading.to, wanted, personal=loading.personal)
    bounds = {DATED[name][0]: spans for name, spans in within.items() if name in DATED}
    for table in sorted({table for name in wanted & VIEWS.keys() for table in VIEWS[name].needs}):
        for some in bounds.get(table, [()]):
            rows = _measures(loading, some) if table == "measure" else loading.tx.archive.table(table, *some)
            fill_all(loading.to, f"store_{table}", rows)
    if "records" in wanted:
        _load_records(loading)
    if "indicators" in wanted:
        _load_indicators(loading)


def _measures(loading: Loading, some: Sequence[Between]) -> Iterator[list[tuple[Any, ...]]]:
    """Measures with how many there are alike: a figure does not ask which case each came from."""
    names = [c.name for c in metadata.tables["measure"].columns]
    wanted = [name for name in names if loading.mentioned is None or name in loading.mentioned]
    if "case_id" in wanted:
        yield from ([(*row, 1) for row in rows] for rows in loading.tx.archive.table("measure", *some))
    elif wanted:
        alike = loading.tx.archive.tally("measure", wanted, *some)
        places = [wanted.index(name) if name in wanted else None for name in names]
        yield [(*(None if p is None else row[p] for p in places), row[-1]) for row in alike]
    else:
        [(rows,)] = loading.tx.archive.tally("measure", [], *some)
        yield [(*[None] * len(names), rows)]


def fill_all(connection: duckdb.DuckDBPyConnection, table: str, portions: Iterator[list[Any]]) -> None:
    """Take over rows in portions; TooMuchError when they are too many."""
    rows = int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])  # noqa: S608 -- ours
    for portion in portions:
        rows += len(portion)
        if rows > MOST:
            raise TooMuchError(table)
        fill(connection, table, portion)


def _load_records(loading: Loading) -> None:
    kinds = loading.catalogue.record_kinds
    shown = ([_shown(row, kinds, loading) for row in rows if not row[6]] for rows in _records(loading))
    fill_all(loading.to, "store_records", shown)


def _records(loading: Loading) -> Iterator[list[tuple[Any, ...]]]:
    return loading.tx.archive.table("record")


def _shown(row: tuple[Any, ...], kinds: Mapping[str, RecordKind], loading: Loading) -> tuple[Any, ...]:
    """A record as a query sees it: without leave, only the fields that everyone may see."""
    kind, id_, version, data, at, by, _ = row
    if not loading.personal:
        fields = kinds[kind].field if kind in kinds else {}
        values = msgspec.json.decode(data)
        public = {n: v for n, v in values.items() if n in fields and fields[n].privacy is Privacy.PUBLIC}
        data = msgspec.json.encode(public).decode()
    return kind, id_, version, data, at, by


def _load_indicators(loading: Loading) -> None:
    rows = [
        (i.id, i.title.zh, i.title.en, str(i.rule.measure), i.rule.target)
        for i in loading.catalogue.indicators.values()
    ]
    fill(loading.to, "indicators", rows)
