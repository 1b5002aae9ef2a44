"""One query over hot and archived signals: right whatever it asks, and nothing but a query."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from tests.contract.archive_world import START, keep, plan_for, signals
from tests.contract.make import a_case, a_measure, a_notice, a_record, a_signal

from hexi.adapters.archive import views
from hexi.adapters.archive.query import Answer, Desk, QueryError, Question, ask, ask_into
from hexi.adapters.archive.work import work
from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import open_store
from hexi.kernel.clock import HOUR, local_day

NOW = START + 60 * HOUR
CATALOGUE = load_packs(()).catalogue()


@contextmanager
def open_desk(url: str, tmp_path: Path) -> Iterator[Desk]:
    """Sixteen hours, twelve of them archived."""
    store = open_store(url)
    keep(store, signals(16))
    keep(store, [a_signal("cry", received=START + 7, kind="pendant.sos", data={"words": "救命"})], "C1")
    folder = tmp_path / "it's archive"
    assert work(plan_for(store, folder)).stopped is None
    yield Desk(store, folder, CATALOGUE, NOW)
    store.close()


@pytest.fixture
def desk(file_url: str, tmp_path: Path) -> Iterator[Desk]:
    """A desk of its own for a test that changes what lies on it."""
    with open_desk(file_url, tmp_path) as desk:
        yield desk


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One desk for the questions, with a case and a device."""
    folder = tmp_path_factory.mktemp("desk")
    case, entries = a_case("C1")
    with open_desk(f"sqlite:///{folder}/hexi.db", folder) as desk:
        with desk.store.write() as tx:
            tx.cases.save(case, entries)
            tx.records.put(a_record("device", "D1", type="radar"))
            for indicator in ("core.closed", "core.arrived_in_15m", "unheard.of"):
                for n, day in enumerate(("2026-05-01", "2026-05-02", "2021-01-01")):
                    tx.measures.put([a_measure(indicator, f"C{n}", day=day)], f"C{n}{indicator}")
        yield desk


def rows(desk: Desk, sql: str, **how: object) -> list[tuple[object, ...]]:
    return ask(desk, Question(sql=sql, **how)).rows


def test_hot_and_archived_signals_are_one_table(shared_url: str, tmp_path: Path) -> None:
    with open_desk(shared_url, tmp_path) as desk:
        both_are_one_table(desk)


def both_are_one_table(desk: Desk) -> None:
    told = rows(desk, "SELECT hot, count(*), count(DISTINCT id) FROM signals GROUP BY 1 ORDER BY 1")
    assert told == [(False, 480, 480), (True, 161, 161)]
    [(day, rate)] = rows(desk, "SELECT day, numbers['rate'] FROM signals WHERE id = 's1-3'")
    assert (str(day), rate) == (local_day(START + HOUR), 63)
    with desk.store.write() as tx:
        tx.measures.put([a_measure("core.closed", "C1"), a_measure("core.arrived_in_15m", "C1")], "C1")
    for counted in ("count(*), sum(hit)", "count(case_id), sum(hit)"):
        assert rows(desk, f"SELECT {counted} FROM measures WHERE indicator = 'core.closed'") == [(1, 1)]


DAY = local_day(START)
CONDITIONS = [
    "true",
    "hot",
    "NOT hot",
    f"day = '{DAY}'",
    f"day > '{DAY}'",
    "kind = 'vital.heart' AND numbers['rate'] > 90",
    f"epoch_ms(received) BETWEEN {START + 10 * HOUR} AND {START + 13 * HOUR}",
    f"received BETWEEN make_timestamp_ms({START + 11 * HOUR}) AND make_timestamp_ms({START + 13 * HOUR})",
    "received = (SELECT max(received) FROM signals)",
    "received = (SELECT min(received) FROM signals)",
    "subject IN (SELECT ref FROM devices)",
    "case_id IN (SELECT id FROM cases)",
    "case_id IS NULL AND subject LIKE 'device:D1%'",
    "time IS NULL AND data IS NULL",
    "numbers IS NULL OR cardinality(numbers) = 0",
]


def reference(desk: Desk, condition: str) -> list[tuple[object, ...]]:
    """The answer when every row is read first: the planner sees one table without bounds."""
    return rows(desk, f"WITH s AS MATERIALIZED (FROM signals) SELECT id FROM s WHERE {condition} ORDER BY id")


@pytest.mark.parametrize("condition", CONDITIONS)
def test_what_is_left_unread_would_not_change_the_answer(shown: Desk, condition: str) -> None:
    found = rows(shown, f"SELECT id FROM signals WHERE {condition} ORDER BY id")
    assert found == reference(shown, condition)


@pytest.mark.parametrize(
    "condition",
    [
        "FROM measures WHERE day = '2026-05-01'",
        "FROM measures WHERE indicator = 'core.closed' AND day >= '2026-05-01'",
        "FROM measures WHERE indicator = 'unheard.of'",
        "FROM measures WHERE indicator LIKE 'core.%' AND day < '2026-05-02'",
        "FROM measures JOIN indicators i ON indicator = i.id",
        "FROM measures JOIN cases c ON case_id = c.id AND c.day = '2026-05-29'",
        "FROM cases WHERE open AND opened > '2026-05-01'",
        "FROM cases WHERE day < '2026-05-01'",
        "FROM case_log WHERE happened < '2026-05-01'",
        "FROM case_log WHERE happened >= '2026-05-01' AND kind = 'reported'",
        "FROM case_log WHERE case_id IN (SELECT case_id FROM measures WHERE day = '2026-05-01')",
    ],
)
def test_the_other_views_are_read_by_the_day_as_well(shown: Desk, condition: str) -> None:
    everything = condition
    for view in ("measures", "cases", "case_log"):
        everything = everything.replace(f"{view} ", f"all_{view} ")
    with_all = ", ".join(
        f"all_{view} AS MATERIALIZED (FROM {view})" for view in ("measures", "cases", "case_log")
    )
    sql = (
        "SELECT count(*), count(DISTINCT case_id) "
        if "cases W" not in condition
        else "SELECT count(*), min(id) "
    )
    assert rows(shown, sql + condition) == rows(shown, f"WITH {with_all} {sql}{everything}")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM measures",
        "SELECT sum(hit), count(*) FROM measures WHERE day = '2026-05-01'",
        "SELECT m FROM measures m ORDER BY m",
        "SELECT measures FROM measures ORDER BY 1",
        "SELECT COLUMNS(*) FROM measures ORDER BY ALL",
        "FROM measures ORDER BY ALL",
        "SELECT min(columns('h.*')) FROM measures",
        'SELECT "Day", INDICATOR FROM measures ORDER BY ALL',
        "SELECT a.day, count(*) FROM measures a JOIN measures b USING (indicator, day) GROUP BY 1 ORDER BY 1",
        "SELECT title_zh, count(*) FROM measures JOIN indicators i ON i.id = indicator GROUP BY 1 ORDER BY 1",
        "SELECT x.street FROM (SELECT * FROM measures) x ORDER BY 1",
        "SELECT street, list(hit) FROM measures GROUP BY ALL",
        "SELECT count(*) FROM cases NATURAL JOIN measures",
    ],
)
def test_columns_that_no_query_mentions_need_not_be_read(
    shown: Desk, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = rows(shown, sql)
    monkeypatch.setattr("hexi.adapters.archive.query._mentioned", lambda _: None)
    assert found == rows(shown, sql)


def test_only_the_needed_rows_are_taken_over(shown: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "MOST", 50)
    since = f"received >= make_timestamp_ms({START - 24 * HOUR})"
    assert rows(shown, f"SELECT count(*) FROM signals WHERE {since} AND NOT hot") == [(480,)]
    with pytest.raises(QueryError, match="narrow the query"):
        rows(shown, "SELECT count(*) FROM signals")


FORBIDDEN = [
    "DELETE FROM signals",
    "SELECT 1; SELECT 2",
    "COPY (SELECT 1) TO '/tmp/x.csv'",
    "ATTACH '/tmp/x.db'",
    "INSTALL httpfs",
    "SET memory_limit = '1GB'",
    "PRAGMA version",
    "CREATE TABLE x AS SELECT 1",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "FROM 'x.parquet'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('store_case_log')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM store_case_log",
    "SELECT * FROM hot_signal",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM main.store_case_log",
    "SELECT (SELECT count(*) FROM hot_signal) FROM cases",
    "SELECT * FROM cases WHERE id IN (SELECT column0 FROM read_csv('/etc/passwd'))",
    "WITH x AS (SELECT * FROM glob('/*')) SELECT * FROM x",
    "WITH store_case_log AS (SELECT * FROM store_case_log) SELECT * FROM store_case_log, case_log",
    "SELECT * FROM store_case_log, case_log WHERE 1 IN (WITH store_case_log AS (SELECT 1) SELECT 1)",
    "WITH a AS (SELECT * FROM store_case_log), store_case_log AS (FROM case_log) SELECT * FROM a",
    "WITH RECURSIVE store_notice AS (FROM store_notice UNION FROM store_notice) FROM store_notice, notices",
    'WITH "main.store_case_log" AS (FROM case_log) SELECT * FROM main.store_case_log',
    "SELECT * FROM 'x.parquet' WHERE 1 IN (WITH \"x.parquet\" AS (SELECT 1) SELECT 1)",
    "SELECT nothing FROM cases",
    "SELECT ) FROM",
    "",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_a_query_can_only_read_the_views(sql: str, tmp_path: Path) -> None:
    store = open_store("sqlite:///:memory:")
    with pytest.raises(QueryError):
        ask(Desk(store, tmp_path, CATALOGUE, NOW), Question(sql=sql))
    store.close()


@pytest.mark.parametrize(
    "sql",
    [
        "WITH cases AS (SELECT * FROM cases) SELECT count(*) FROM cases",
        "WITH A AS (SELECT 1 AS n), b AS (FROM a) SELECT n FROM (WITH c AS (FROM B) FROM C)",
        "WITH RECURSIVE r AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 1) SELECT max(n) FROM r",
        "SELECT count(*) FROM cases WHERE id IN (WITH mine AS (FROM cases) SELECT id FROM mine)",
    ],
)
def test_a_query_may_name_parts_of_itself(sql: str, shown: Desk) -> None:
    assert rows(shown, sql) == [(1,)]


def test_personal_data_are_shown_with_leave_alone(desk: Desk) -> None:
    case, entries = a_case("C1")
    with desk.store.write() as tx:
        tx.cases.save(case, entries)
        tx.notices.add(a_notice("N1"))
        tx.records.put(a_record("person", "E1", name="王秀英", street="120103007"))
        tx.records.put(a_record("device", "D1", type="radar", owner="E1"))
    asked = [
        "SELECT data FROM signals WHERE id = 'cry'",
        "SELECT lon FROM cases",
        "SELECT body FROM case_log",
        "SELECT name || address || text FROM notices",
        "SELECT owner FROM devices",
        "SELECT data ->> 'name' FROM records WHERE kind = 'person'",
    ]
    assert [rows(desk, sql) for sql in asked] == [[(None,)]] * len(asked)
    told = str([rows(desk, sql, personal=True) for sql in asked])
    assert all(
        word in told for word in ("救命", "117.2", "elder_care", "李娜", "13800000000", "E1", "王秀英")
    )


def test_each_view_can_be_asked(desk: Desk) -> None:
    with desk.store.write() as tx:
        tx.measures.put([a_measure("core.closed", "C1")], "C1")
        tx.records.put(a_record("place", "120103007", name="友谊路街道", level="street"))
    for view in views.NAMES:
        assert ask(desk, Question(sql=f"SELECT * FROM {view}")).columns
    assert rows(desk, "SELECT indicator, hit FROM measures WHERE day = '2026-05-01'") == [("core.closed", 1)]
    assert rows(desk, "SELECT name FROM places") == [("友谊路街道",)]
    assert ("core.closed", "结案率") in rows(desk, "SELECT id, title_zh FROM indicators")


def test_a_query_ends_in_time_and_gives_no_more_rows_than_wanted(shown: Desk) -> None:
    with pytest.raises(QueryError, match="stopped after"):
        rows(shown, "SELECT count(*) FROM range(100000000) a, range(100000000) b", seconds=0.3)
    answer = ask(shown, Question(sql="SELECT id FROM signals", limit=5))
    assert (len(answer.rows), answer.more) == (5, True)


def test_what_was_erased_is_hidden_before_its_file_is_rewritten(desk: Desk) -> None:
    with desk.store.write() as tx:
        tx.archive.erase("device:D1", START + 2 * HOUR)
    told = rows(
        desk,
        f"SELECT epoch_ms(received) <= {START + 2 * HOUR}, bool_or(numbers IS NOT NULL) FROM signals"
        " WHERE subject = 'device:D1' AND NOT hot GROUP BY 1 ORDER BY 1",
    )
    assert told == [(False, True), (True, False)]


@pytest.mark.parametrize(("found", "which"), [("while it is read", 3), ("before", 3), ("at once", 0)])
def test_a_damaged_file_is_named_and_the_rest_is_read(desk: Desk, found: str, which: int) -> None:
    victim = sorted(desk.folder.glob("day=*/*.parquet"))[which]
    content = victim.read_bytes()
    victim.write_bytes(b"xxxx" + content[4:-400] + bytes(400))
    if found == "before":
        plan = plan_for(desk.store, desk.folder, NOW + 24 * 40 * HOUR)
        assert work(plan).damaged
    answer: Answer = ask(desk, Question(sql="SELECT count(*) FROM signals WHERE NOT hot"))
    assert answer.left_out == [str(victim.relative_to(desk.folder))]
    assert answer.rows[0][0] >= 440


def test_an_answer_of_any_length_goes_into_a_parquet_file(shown: Desk, tmp_path: Path) -> None:
    target = tmp_path / "answer.parquet"
    ask_into(shown, Question(sql="SELECT id, kind FROM signals; ", limit=1), target)
    assert duckdb.sql(f"SELECT count(*) FROM '{target}'").fetchall() == [(641,)]
    with pytest.raises(QueryError):
        ask_into(shown, Question(sql=f"SELECT 1) TO '{tmp_path}/y' --"), target)
