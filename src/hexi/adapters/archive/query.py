"""One SELECT over hot and archived signals and over the store's views; nothing can be changed by it."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec

from hexi.adapters.archive import buckets, views
from hexi.adapters.archive.folder import day_of, is_whole
from hexi.adapters.archive.parquet import ERASED, HOT_COLUMNS, fill, quoted, session, split
from hexi.kernel.archive import ArchiveFile, Between, Erasure, FileState, of_signals, summaries
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import Instant
from hexi.kernel.ports import Store, Transaction
from hexi.kernel.text import Text

FUNCTIONS = frozenset({"range", "generate_series", "unnest"})
"""The table functions a query may call; the others read files, settings or the inner tables."""


class QueryError(Exception):
    """A query that cannot be answered, in both languages."""

    code = 2

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.text = Text(zh=zh, en=en)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, by whom it may be answered, and within which bounds."""

    sql: str
    personal: bool = False
    limit: int = 1_000
    """Rows given back."""
    seconds: float = 60
    memory: int = 1_024
    """MiB; what does not fit lies on the disk."""


class Answer(NamedTuple):
    """Rows under their headings."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    more: bool
    """Whether there are more rows than were wanted."""
    left_out: list[str]
    """Damaged files that were not read."""


class Desk(NamedTuple):
    """Where questions are answered."""

    store: Store
    folder: Path
    catalogue: Catalogue
    now: Instant


def ask(desk: Desk, question: Question) -> Answer:
    """Answer a question; QueryError when it is no single SELECT over the views, or too large."""

    def fetch(connection: duckdb.DuckDBPyConnection) -> tuple[list[str], list[tuple[Any, ...]]]:
        found = connection.execute(question.sql)
        columns = [str(about[0]) for about in found.description or ()]
        return columns, found.fetchmany(question.limit + 1)

    (columns, rows), left_out = _answered(desk, question, fetch, None)
    return Answer(columns, rows[: question.limit], len(rows) > question.limit, left_out)


def ask_into(desk: Desk, question: Question, target: Path) -> list[str]:
    """Write an answer of any length to a Parquet file; the damaged files that were left out."""

    def copy(connection: duckdb.DuckDBPyConnection) -> None:
        statement = question.sql.strip().rstrip(";")
        connection.execute(
            f"COPY (\n{statement}\n) TO {quoted(str(target))} (FORMAT parquet, COMPRESSION zstd)"
        )

    return _answered(desk, question, copy, target)[1]


def _answered(desk: Desk, question: Question, work: Any, target: Path | None) -> tuple[Any, list[str]]:
    """The result of ``work`` on a connection with the views, again without what turns out damaged."""
    wanted = named(question.sql)
    left_out: set[str] = set()
    while True:
        with _prepared(desk, question, wanted, left_out) as (connection, files):
            _lock(connection, desk.folder, target)
            try:
                with _within(connection, question.seconds):
                    return work(connection), sorted(left_out)
            except duckdb.InterruptException:
                raise QueryError(
                    f"查询超过 {question.seconds:g} 秒，已停止", f"stopped after {question.seconds:g} seconds"
                ) from None
            except duckdb.Error as error:
                damaged = {f.name for f in files if not is_whole(desk.folder, f)}
                if not damaged:
                    raise _refused(error) from None
                left_out |= damaged


def named(sql: str) -> set[str]:
    """The views a query names; QueryError when it is anything but one SELECT over them."""
    with duckdb.connect() as connection:
        try:
            kinds = [statement.type.name for statement in connection.extract_statements(sql)]
        except duckdb.Error as error:
            raise _refused(error) from None
        if kinds != ["SELECT"]:
            raise QueryError("只能是一条 SELECT", "a query is one SELECT and nothing else")
    return _views_in(_tree(sql))


def _tree(sql: str) -> dict[str, Any]:
    """The syntax of a query as DuckDB reads it."""
    with duckdb.connect() as connection:
        told = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()[0][0]
    tree: dict[str, Any] = msgspec.json.decode(told)
    if tree.get("error"):
        raise QueryError(f"无法解析：{tree['error_message']}", f"cannot be read: {tree['error_message']}")
    return tree


def _mentioned(sql: str) -> frozenset[str] | None:
    """Every word of a query that could name a column; None when it may mean columns it does not name."""
    words, tables, alone = set[str](), set[str](), set[str]()
    for node in _nodes(_tree(sql)):
        if node.get("class") == "STAR" or node.get("type") == "SHOW_REF" or node.get("ref_type") == "NATURAL":
            return None
        if node.get("type") == "BASE_TABLE":
            tables |= {str(node["table_name"]).lower(), str(node.get("alias", "")).lower()}
        if node.get("type") == "SUBQUERY":
            tables.add(str(node.get("alias", "")).lower())
        if node.get("class") == "COLUMN_REF" and len(node["column_names"]) == 1:
            alone.add(str(node["column_names"][0]).lower())
        words |= {word.lower() for word in _words(node)}
    return None if alone & tables else frozenset(words)


def _words(node: dict[str, Any]) -> Iterator[str]:
    for value in node.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (word for word in value if isinstance(word, str))


def _views_in(tree: Any) -> set[str]:
    for node in _nodes(tree):
        if node.get("type") == "TABLE_FUNCTION":
            name = str(node["function"]["function_name"]).lower()
            if name not in FUNCTIONS:
                raise QueryError(f"不能使用 {name}()", f"{name}() cannot be used")
    found = set(_tables(tree, frozenset()))
    unknown = sorted(found - set(views.NAMES))
    if unknown:
        known = ", ".join(views.NAMES)
        raise QueryError(
            f"没有视图 {', '.join(unknown)}；有：{known}",
            f"there is no view {', '.join(unknown)}; there are {known}",
        )
    return found


def _tables(tree: Any, own: frozenset[str]) -> Iterator[str]:
    """What a query reads that is none of its own WITH names, each of which holds only where DuckDB lets it.

    Elsewhere the same name would mean an inner table or a file.
    """
    if isinstance(tree, list):
        for value in tree:
            yield from _tables(value, own)
    elif isinstance(tree, dict):
        for entry in (tree.get("cte_map") or {}).get("map", ()):
            yield from _tables(entry["value"], own)
            own |= {_folded(entry["key"])}
        if tree.get("type") == "BASE_TABLE":
            yield from _named_in(tree, own)
        for name, value in tree.items():
            if name != "cte_map":
                yield from _tables(value, own | _itself(tree, name))


def _itself(node: dict[str, Any], part: str) -> set[str]:
    """A recursive WITH sees itself in its second half."""
    recursive = node.get("type") == "RECURSIVE_CTE_NODE" and part == "right"
    return {_folded(node["cte_name"])} if recursive else set()


def _named_in(node: dict[str, Any], own: frozenset[str]) -> Iterator[str]:
    """The table of a FROM; one with a schema is never a query's own."""
    name = _folded(node["table_name"])
    place = [str(node.get(part)) for part in ("catalog_name", "schema_name") if node.get(part)]
    if place or name not in own:
        yield ".".join([*place, name])


def _folded(name: str) -> str:
    """A name as DuckDB compares it: no case for ASCII letters alone."""
    return name.lower() if name.isascii() else name


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


@contextmanager
def _prepared(
    desk: Desk, question: Question, wanted: set[str], left_out: set[str]
) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[ArchiveFile]]]:
    """A connection with the wanted views over one moment of the store, and the files it will read."""
    with session(Path(tempfile.gettempdir()), question.memory) as connection:
        with desk.store.read() as tx:
            mentioned = _mentioned(question.sql)
            loading = views.Loading(connection, tx, desk.catalogue, question.personal, mentioned)
            files = [f for f in tx.archive.files() if f.state is not FileState.GONE]
            read: list[ArchiveFile] = []
            try:
                need = _needed(desk, question.sql, wanted, files)
                views.load(loading, wanted, need.within)
                if "signals" in wanted:
                    read += _load_signals(desk, loading, need, left_out)
                if "signal_hours" in wanted:
                    read += _load_hours(desk, loading, need, left_out)
            except views.TooMuchError as error:
                raise _too_much(str(error)) from None
            except duckdb.Error as error:
                raise _refused(error) from None
        yield connection, read


class _Need(NamedTuple):
    """What a query needs of the store and of the files."""

    within: dict[str, list[list[Between]]]
    """Of views that are read by the day: the bounds of what is read."""
    hot: list[buckets.Bucket]
    files: list[ArchiveFile]
    summaries: list[ArchiveFile]


def _needed(desk: Desk, sql: str, wanted: set[str], files: list[ArchiveFile]) -> _Need:
    calendar = buckets.calendar(desk.now)
    days, counted = buckets.archived(of_signals(files)), buckets.archived(summaries(files))
    pieces: dict[str, list[buckets.Ends]] = {
        name: [bucket.ends(days_in, moments) for bucket in calendar]
        for name, (_, _, days_in, moments) in views.DATED.items()
    }
    pieces["signals"] = [
        bucket.ends(["day"], ["received"]) | {"hot": (bucket.hot, bucket.hot)}
        for bucket in [*calendar, *days]
    ]
    pieces["signal_hours"] = [bucket.ends(["day"], ["hour"]) for bucket in counted] or [{}]
    shapes = views.shapes(wanted)
    kept = buckets.needed(sql, shapes, pieces)
    within = {name: _bounds(name, [calendar[n] for n in kept[name]]) for name in wanted & views.DATED.keys()}
    if "measures" in wanted:
        within["measures"] = _of_indicators(desk, sql, shapes, within["measures"])
    of_both = [b for n, b in enumerate([*calendar, *days]) if n in kept.get("signals", ())]
    of_hours = [b for n, b in enumerate(counted) if n in kept.get("signal_hours", ())]
    return _Need(
        within,
        [b for b in of_both if b.hot],
        _of_days(of_signals(files), of_both),
        _of_days(summaries(files), of_hours),
    )


def _of_days(files: list[ArchiveFile], chosen: list[buckets.Bucket]) -> list[ArchiveFile]:
    """The files of some archived days."""
    days = {bucket.first for bucket in chosen if not bucket.hot}
    return [file for file in files if day_of(file) in days]


def _bounds(name: str, chosen: list[buckets.Bucket]) -> list[list[Between]]:
    """The bounds of a table's own column for some days."""
    _, column, _, moments = views.DATED[name]
    return [
        [(column, b.since, b.until - 1) if moments else (column, str(b.first), str(b.last))]
        for b in buckets.joined(chosen)
    ]


def _of_indicators(
    desk: Desk, sql: str, shapes: dict[str, dict[str, str]], within: list[list[Between]]
) -> list[list[Between]]:
    """The same bounds for the indicators that are asked alone; their index leads to them."""
    known = sorted(desk.catalogue.indicators)
    gaps = ["", *known], [*known, "\U0010ffff" * 4]
    single: list[buckets.Ends] = [{"indicator": (one, one)} for one in known]
    others: list[buckets.Ends] = [{"indicator": ends} for ends in zip(*gaps, strict=True)]
    kept = buckets.needed(sql, shapes, {"measures": single + others})["measures"]
    if not kept or max(kept) >= len(known):
        return within if kept else []
    return [[("indicator", known[n], known[n]), *bound] for n in sorted(kept) for bound in within]


def _load_signals(desk: Desk, loading: views.Loading, need: _Need, left_out: set[str]) -> list[ArchiveFile]:
    """Make the view of signals of the hot rows and the files that the query can need."""
    files = _readable(desk, loading, need.files, left_out)
    loading.to.execute(f"CREATE TABLE raw_hot ({HOT_COLUMNS})")
    for bucket in buckets.joined(need.hot):
        views.fill_all(loading.to, "raw_hot", loading.tx.archive.hot(bucket.since, bucket.until))
    _make_signals(desk, loading, files, loading.tx)
    return files


def _readable(
    desk: Desk, loading: views.Loading, files: list[ArchiveFile], left_out: set[str]
) -> list[ArchiveFile]:
    """The files that can be read, by what is recorded and by what the first of them says of itself."""
    left_out |= {f.name for f in files if f.state is FileState.DAMAGED}
    while files := [f for f in files if f.name not in left_out]:
        try:
            loading.to.execute(f"DESCRIBE FROM {_reading(desk.folder, files)}")
        except duckdb.Error:
            damaged = {f.name for f in files if not is_whole(desk.folder, f)}
            if not damaged:
                raise
            left_out |= damaged
        else:
            break
    return files


def _load_hours(desk: Desk, loading: views.Loading, need: _Need, left_out: set[str]) -> list[ArchiveFile]:
    """Make the view of hours of the summaries that the query can need."""
    files = _readable(desk, loading, need.summaries, left_out)
    loading.to.execute(f"CREATE TABLE no_hours ({views.HOUR_COLUMNS})")
    parts = ["FROM no_hours", *([f"FROM {_reading(desk.folder, files)}"] if files else [])]
    loading.to.execute(
        f"CREATE VIEW signal_hours AS SELECT {views.HOUR_NAMES} FROM ({' UNION ALL BY NAME '.join(parts)})"  # noqa: S608
    )
    return files


def _reading(folder: Path, files: Sequence[ArchiveFile]) -> str:
    """The rows of some files, with their day."""
    listed = ", ".join(quoted(str(folder / file.name)) for file in files)
    return f"read_parquet([{listed}], hive_partitioning = true, hive_types = {{'day': DATE}})"


def _make_signals(desk: Desk, loading: views.Loading, files: Sequence[ArchiveFile], tx: Transaction) -> None:
    data = "data" if loading.personal else "CAST(NULL AS VARCHAR)"
    connection = loading.to
    connection.execute(f"CREATE TABLE hot_signal AS {split('raw_hot')}")
    connection.execute("DROP TABLE raw_hot")
    parts = [
        "SELECT CAST(received + INTERVAL 8 HOUR AS DATE) AS day, *, true AS hot FROM hot_signal",
        *_archived(desk, connection, files, tx.archive.erasures()),
    ]
    connection.execute(
        f"CREATE VIEW signals AS SELECT {views.SIGNAL_NAMES} FROM (SELECT * REPLACE ({data} AS data) FROM"  # noqa: S608
        f" ({' UNION ALL BY NAME '.join(parts)}))"
    )


def _archived(
    desk: Desk,
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[ArchiveFile],
    erasures: Sequence[Erasure],
) -> Iterator[str]:
    """The query over the files, without what was erased and is still in them; none without files."""
    if not files:
        return
    pending = [e for e in erasures if e.id > min(file.erased for file in files)]
    connection.execute("CREATE TABLE erased (subject VARCHAR, until BIGINT)")
    fill(connection, "erased", [(e.subject, e.until) for e in pending])
    blanked = [f"CASE WHEN {ERASED} THEN NULL ELSE {name} END AS {name}" for name in ("numbers", "data")]
    without = f"REPLACE ({', '.join(blanked)})" if pending else ""
    yield f"SELECT s.* {without}, false AS hot FROM {_reading(desk.folder, files)} AS s"  # noqa: S608 -- our own names


def _lock(connection: duckdb.DuckDBPyConnection, folder: Path, target: Path | None) -> None:
    """From here on the connection reads the archive's files and nothing else, whatever is asked."""
    connection.execute(f"SET allowed_directories = [{quoted(str(folder))}]")
    if target:
        connection.execute(f"SET allowed_paths = [{quoted(str(target))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


@contextmanager
def _within(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _refused(error: duckdb.Error) -> QueryError:
    said = str(error).strip().splitlines()[0]
    return QueryError(f"查询有误：{said}", f"the query is refused: {said}")


def _too_much(table: str) -> QueryError:
    name = "signals" if table == "raw_hot" else table.removeprefix("store_")
    return QueryError(
        f"{name} 在数据库中的行超过 {views.MOST:,}：请用 day 或 received 缩小范围",
        f"more than {views.MOST:,} rows of {name} are in the database: narrow the query by day or received",
    )
