"""PostgreSQL: the days of the signals, and migrations beside those who write them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from tests.contract.databases import database, engine_of, kill_half_migrated, revision, run
from tests.contract.make import NOW, a_signal

from hexi.adapters.sql import SCHEMA, SqlStore, days, online, open_store
from hexi.adapters.sql.days import AHEAD, MOST, Days, NotArchivedError, day_of, name_of
from hexi.adapters.sql.schema import OLDEST, bring_down, bring_up, step
from hexi.kernel.clock import DAY
from hexi.kernel.ports import StoreError

pytestmark = pytest.mark.postgresql

TODAY = day_of(time.time_ns() // 1_000_000)
ADD = (
    "INSERT INTO signal (source, id, kind, subject, received, time, flags, data, case_id)"
    " VALUES (%s, %s, 'radar.fall', 'device:D1', %s, NULL, '', '{}', NULL)"
)
"""As the first release writes a signal."""
EACH = "SELECT count(*), count(DISTINCT id), max(id::int) FROM signal"


@pytest.fixture
def url(postgresql_url: str) -> Iterator[str]:
    """A database without tables."""
    with database(postgresql_url) as found:
        yield found


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    """A store with the days of the present."""
    found = open_store(url)
    yield found
    found.close()


@pytest.fixture
def early(url: str) -> str:
    """A database with one table of signals, 3,000 of them received over three days until now."""
    with engine_of(url) as engine, online.alone(engine) as connection:
        step(connection, "0003")
        connection.commit()
    now = time.time_ns() // 1_000_000
    run(
        url,
        "INSERT INTO signal (source, id, kind, subject, received, time, flags, data, case_id)"
        f" SELECT 'r', n::text, 'radar.fall', 'device:D1', {now} - (3000 - n) * {DAY // 1000}, NULL, '',"
        " '{}',"
        " CASE WHEN mod(n, 10) = 0 THEN 'C' || n END FROM generate_series(1, 3000) AS n",
    )
    return url


def _days(store: SqlStore) -> Days:
    assert store.days
    return store.days


def _names(url: str) -> list[str]:
    with engine_of(url) as engine:
        return [p.name for p in Days(engine).present()]


def _add(store: SqlStore, **received: int) -> None:
    with store.write() as tx:
        for identity, at in received.items():
            tx.signals.add(a_signal(identity, received=at), None)


def _placed(url: str) -> dict[str, str]:
    """The partition of each signal."""
    with engine_of(url) as engine, engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT id, tableoid::regclass::text FROM signal").fetchall()
        connection.rollback()
    return {row[0]: row[1] for row in found}


def test_a_start_makes_the_present_days(store: SqlStore, url: str) -> None:
    made = [name_of(TODAY + n * DAY) for n in range(AHEAD + 1)]
    assert set(_names(url)) - {name_of(TODAY + (AHEAD + 1) * DAY)} == {*made, "signal_default"}
    assert _days(store).make_ahead() == []


def test_nothing_is_refused_and_everything_is_found(store: SqlStore, url: str) -> None:
    _add(store, now=TODAY + 1, tomorrow=TODAY + DAY, past=NOW, future=TODAY + 4000 * DAY, zero=0)
    at = _placed(url)
    assert (at["now"], at["tomorrow"]) == (name_of(TODAY), name_of(TODAY + DAY))
    assert {at["past"], at["future"], at["zero"]} == {"signal_default"}
    with store.read() as tx:
        found = [s.id for s, _ in tx.signals.recent(None, 9)]
        assert found == ["zero", "future", "past", "tomorrow", "now"]
        assert [s.id for s, _ in tx.signals.recent("device:D1", 2)] == ["future", "tomorrow"]
        assert tx.signals.count(["radar.presence"], "device:D1", TODAY) == 3


def test_a_new_day_takes_its_signals_out_of_the_default_partition(store: SqlStore, url: str) -> None:
    day = day_of(NOW)
    _add(store, first=day, last=day + DAY - 1, before=day - 1, after=day + DAY)
    assert _days(store).make([day, TODAY]) == [name_of(day)]
    assert _placed(url) == {
        "first": name_of(day),
        "last": name_of(day),
        "before": "signal_default",
        "after": "signal_default",
    }


def test_a_day_with_too_many_signals_to_move_stays_where_it_is(store: SqlStore, url: str) -> None:
    day = day_of(NOW)
    run(
        url,
        "INSERT INTO signal (source, id, kind, received, flags, data)"
        f" SELECT 'r', n::text, 'k', {NOW}, '', '{{}}' FROM generate_series(0, {MOST}) AS n",
    )
    assert _days(store).make([day, day + DAY]) == [name_of(day + DAY)]
    assert _days(store).drop(day, archived=MOST + 1) == MOST + 1
    assert _days(store).make([day]) == [name_of(day)]


def test_several_processes_make_the_days_at_once(store: SqlStore, url: str) -> None:
    days = [day_of(NOW) + n * DAY for n in range(6)]
    made: list[str] = []

    def make() -> None:
        with engine_of(url) as engine:
            made.extend(Days(engine).make(days))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _days(store).make(days)
    assert set(map(name_of, days)) <= set(_names(url))
    assert len(made) == len(set(made))


def test_a_start_does_not_wait_for_a_day_that_cannot_be_made(
    store: SqlStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(days, "HASTE", 0.1)
    tomorrow = TODAY + 2 * DAY
    _days(store).drop(tomorrow, archived=0)
    with psycopg.connect(url) as report:
        report.execute("SELECT count(*) FROM signal")  # and keeps its lock
        open_store(url).close()
        assert name_of(tomorrow) not in _names(url)
    open_store(url).close()
    assert name_of(tomorrow) in _names(url)


def test_a_day_is_dropped_only_when_every_signal_of_it_is_archived(store: SqlStore, url: str) -> None:
    day = day_of(NOW)
    _days(store).make([day])
    _add(store, a=NOW, b=NOW, c=TODAY)
    for archived in (0, 1, 3):
        with pytest.raises(NotArchivedError, match="has 2 signals"):
            _days(store).drop(day, archived)
    assert set(_placed(url)) == {"a", "b", "c"}
    assert _days(store).drop(day, archived=2) == 2
    assert set(_placed(url)) == {"c"}
    assert name_of(day) not in _names(url)
    _add(store, late=NOW)
    assert _placed(url)["late"] == "signal_default"


def test_a_signal_that_comes_while_a_day_is_counted_keeps_the_day(store: SqlStore, url: str) -> None:
    day = day_of(NOW)
    _days(store).make([day])
    _add(store, a=NOW)
    with psycopg.connect(url) as late:
        late.execute(ADD, ("r", "late", NOW))
        dropping = _Background(lambda: _days(store).drop(day, archived=1))
        _wait(lambda: _waiting_for_lock(url))
        late.commit()
    with pytest.raises(NotArchivedError):
        dropping.result()
    assert set(_placed(url)) == {"a", "late"}


def test_past_days_without_signals_are_swept(store: SqlStore, url: str) -> None:
    old, kept = day_of(NOW), day_of(NOW) + DAY
    _days(store).make([old, kept, TODAY - DAY])
    _add(store, a=kept)
    assert _days(store).sweep() == [name_of(old)]
    assert {name_of(kept), name_of(TODAY - DAY), name_of(TODAY)} <= set(_names(url))


def _plan(url: str, query: str) -> str:
    with engine_of(url) as engine, engine.connect() as connection:
        lines = connection.exec_driver_sql(f"EXPLAIN (COSTS OFF) {query}").scalars().all()
        connection.rollback()
    return "\n".join(lines)


def test_what_the_spine_asks_is_answered_from_few_partitions_by_index(store: SqlStore, url: str) -> None:
    days = [TODAY - n * DAY for n in range(1, 6)]
    _days(store).make(days)
    run(
        url,
        "INSERT INTO signal (source, id, kind, subject, received, flags, data)"
        f" SELECT 'r', n::text, 'k', 'device:' || mod(n, 500), {TODAY} + n - (mod(n, 5) + 1) * {DAY}::bigint,"
        " '', '{}' FROM generate_series(1, 50000) AS n",
        "ANALYZE signal",
    )
    of_one = "SELECT count(*) FROM signal WHERE subject = 'device:7' AND kind IN ('k') AND received >= "
    of_one += str(TODAY - DAY)
    counted = _plan(url, of_one)
    assert name_of(TODAY - DAY) in counted
    assert name_of(TODAY - 2 * DAY) not in counted
    for query in (
        of_one,
        "SELECT * FROM signal ORDER BY seq DESC LIMIT 50",
        "SELECT * FROM signal WHERE subject = 'device:7' ORDER BY received DESC, seq DESC LIMIT 50",
        "SELECT seq FROM signal WHERE source = 'r' AND id = '7' AND case_id IS NOT NULL ORDER BY seq DESC",
        "SELECT * FROM signal WHERE flags <> '' AND flags LIKE '%%unknown%%' ORDER BY seq DESC LIMIT 50",
    ):
        large = [line for line in _plan(url, query).splitlines() if "Seq Scan on signal_2" in line]
        assert not any(name_of(day) in line for day in days for line in large), query


class _Background:
    """Something that runs in a thread; ``result`` is what it returns or raises."""

    def __init__(self, work: Any) -> None:
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._told, self._wrong = self._work(), None
        except BaseException as error:  # noqa: BLE001 -- raised again in the test's thread
            self._wrong = error

    def running(self) -> bool:
        return self._thread.is_alive()

    def result(self) -> Any:
        self._thread.join(120)
        assert not self.running()
        if self._wrong:
            raise self._wrong
        return self._told


def _wait(ready: Any) -> None:
    end = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.01)


def _waiting_for_lock(url: str) -> bool:
    name = make_url(url).database
    query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'"
    return bool(run(url, query)[0])


@contextmanager
def _writing(url: str) -> Iterator[_Writer]:
    writer = _Writer(url)
    try:
        yield writer
    finally:
        writer.stop()


class _Writer:
    """A process of the first release: writes and reads without a pause, and gives up after ten seconds."""

    def __init__(self, url: str) -> None:
        self.written = 3000
        self._going = True
        self._url = url
        self._background = _Background(self._write)

    def _write(self) -> None:
        with psycopg.connect(self._url, options="-c lock_timeout=10s -c statement_timeout=20s") as link:
            for number in count(3001):
                if not self._going:
                    return
                link.execute(ADD, ("r", str(number), time.time_ns() // 1_000_000))
                found = link.execute(EACH).fetchone()
                link.commit()
                assert found == (number, number, number), "a signal was out of sight"
                self.written = number

    def go_on(self, more: int) -> None:
        """Return when it has written that many more."""
        aim = self.written + more
        _wait(lambda: self.written >= aim or not self._background.running())
        assert self.written >= aim, self._background.result()

    def stop(self) -> None:
        self._going = False
        self._background.result()


def _check(url: str, written: int) -> None:
    """All is there, in the first partition; the next signal gets the next number."""
    assert revision(url) == SCHEMA
    assert run(url, "SELECT relkind FROM pg_class WHERE oid = 'signal'::regclass") == ["p"]
    total, apart, seqs = (
        run(url, f"SELECT {what} FROM signal")[0] for what in ("count(*)", "count(DISTINCT id)", "max(seq)")
    )
    assert (total, apart) == (written, written)
    assert set(_placed(url).values()) == {"signal_before"}
    assert run(url, "SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0") == [0]
    assert run(url, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [0]
    store = open_store(url)
    _add(store, next=time.time_ns() // 1_000_000)
    store.close()
    assert run(url, "SELECT seq FROM signal WHERE id = 'next'")[0] > seqs - 1
    assert run(url, "SELECT pg_get_serial_sequence('signal', 'seq')") == ["public.signal_seq_seq"]


def _bring_up(url: str) -> None:
    with engine_of(url) as engine:
        bring_up(engine)


def test_a_district_is_migrated_while_others_write_and_one_reads_for_long(
    early: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "PAUSE", 0.05)
    with _writing(early) as writer, psycopg.connect(early) as report:
        writer.go_on(20)
        report.execute("SELECT count(*) FROM signal")  # and keeps its lock until it commits
        migrating = _Background(lambda: _bring_up(early))
        _wait(lambda: _waiting_for_lock(early))
        writer.go_on(60)  # which it could not while a change waited in line before it
        assert migrating.running()
        report.commit()
        migrating.result()
        writer.go_on(20)
    _check(early, writer.written)


POINTS = (
    "CREATE UNIQUE INDEX CONCURRENTLY",
    "CREATE INDEX CONCURRENTLY",
    "NOT VALID",
    "VALIDATE CONSTRAINT",
    "RENAME TO signal_before",
    "CREATE TABLE signal_default",
    "ATTACH PARTITION signal_before",
)


@pytest.mark.parametrize("words", POINTS)
def test_a_migration_killed_anywhere_is_finished_beside_a_writer(early: str, words: str) -> None:
    with _writing(early) as writer:
        kill_half_migrated(early, words)
        assert revision(early) == "0003"
        writer.go_on(5)
        _bring_up(early)
        writer.go_on(5)
    _check(early, writer.written)


@pytest.mark.parametrize("words", POINTS[:4])
def test_a_way_back_ends_a_migration_that_was_killed(early: str, words: str) -> None:
    """Nothing is left that would refuse or slow the earlier build's rows."""
    kill_half_migrated(early, words)
    _wait(lambda: _go_back(early))
    assert revision(early) == OLDEST
    assert run(early, "SELECT count(*) FROM pg_constraint WHERE conname = 'signal_before_bound'") == [0]
    assert run(early, "SELECT count(*) FROM pg_class WHERE relname LIKE '%%signal_before%%'") == [0]
    far = f"('r', 'far', 'k', {time.time_ns() // 1_000_000 + 30 * DAY}, '', '{{}}')"
    run(early, f"INSERT INTO signal (source, id, kind, received, flags, data) VALUES {far}")
    _bring_up(early)
    assert run(early, "SELECT count(*) FROM signal") == [3001]


def _go_back(url: str) -> bool:
    """Whether the way back is done; while the server still holds a killed connection it is refused."""
    try:
        with engine_of(url) as engine:
            bring_down(engine, OLDEST)
    except StoreError:
        return False
    return True


def test_several_starts_migrate_once(early: str) -> None:
    starts = [_Background(lambda: open_store(early).close()) for _ in range(3)]
    for start in starts:
        start.result()
    _check(early, 3000)


def test_an_index_left_invalid_is_built_again(early: str) -> None:
    with psycopg.connect(early) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT 1 FROM setting")  # the index waits for this look at the past
        building = _Background(lambda: _bring_up(early))
        backend = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE%%INDEX CONCURRENTLY%%'"
        backend += " AND wait_event_type = 'Lock'"
        _wait(lambda: run(early, backend)[0])
        run(early, f"SELECT pg_terminate_backend(({backend}))")
    with pytest.raises(Exception, match=r"terminating|closed"):
        building.result()
    assert run(early, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [1]
    _bring_up(early)
    _check(early, 3000)


def test_the_days_before_partitions_go_with_the_archive(early: str) -> None:
    _bring_up(early)
    first = run(early, "SELECT min(received) FROM signal")[0]
    day = day_of(first) + DAY
    there = run(early, f"SELECT count(*) FROM signal WHERE received >= {day} AND received < {day + DAY}")[0]
    with engine_of(early) as engine:
        with pytest.raises(NotArchivedError):
            Days(engine).drop(day, there - 1)
        assert Days(engine).drop(day, there) == there > 0
        assert "signal_before" in _names(early)
    assert run(early, "SELECT count(*) FROM signal") == [3000 - there]


def test_a_database_without_signals_has_no_partition_of_before(url: str) -> None:
    open_store(url).close()
    assert "signal_before" not in _names(url)
