"""The archive over each database: every signal in exactly one place, whatever happens meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from tests.contract.archive_world import START, archived, everywhere, hot, keep, plan_for, signals
from tests.contract.make import a_signal

from hexi.adapters.archive import folder as names
from hexi.adapters.archive import move as moving
from hexi.adapters.archive import tidy
from hexi.adapters.archive.folder import is_whole, sum_of
from hexi.adapters.archive.plan import NotOursError, Report
from hexi.adapters.archive.work import work
from hexi.adapters.sql import SqlStore, open_store
from hexi.kernel.archive import Fence, FileState, TurnLostError, of_signals
from hexi.kernel.clock import DAY, HOUR, SimClock
from hexi.kernel.signal import Signal
from hexi.settings import Archive, ArchivedKind
from hexi.settings.base import Span


@pytest.fixture
def store(shared_url: str) -> Iterator[SqlStore]:
    """A store with a name, as the archive's processes share one."""
    store = open_store(shared_url)
    yield store
    store.close()


def ids(batch: list[Signal]) -> Counter[str]:
    return Counter(signal.id for signal in batch)


def advance(plan, by):
    plan.clock.advance(by)


def files_of(store: SqlStore, *states: FileState):
    """The files of signals."""
    with store.read() as tx:
        return [f for f in of_signals(tx.archive.files()) if not states or f.state in states]


def test_whole_hours_move_and_every_signal_is_in_one_place(store: SqlStore, tmp_path: Path) -> None:
    batch = signals(14)
    keep(store, batch)
    report = work(plan_for(store, tmp_path))
    assert report.stopped is None
    assert report.moved == 12 * 40
    assert set(hot(store)) == {s.id for s in batch if s.received >= START + 12 * HOUR}
    assert everywhere(store, tmp_path) == ids(batch)
    assert [f.state for f in files_of(store)] == [FileState.KEPT] * 12
    again = work(plan_for(store, tmp_path))
    assert (again.moved, again.written) == (0, [])


def test_the_data_come_back_as_they_were(store: SqlStore, tmp_path: Path) -> None:
    data = {"rate": 61.5, "n": 7, "on": True, "s": "躺", "none": None, "o": {"a": [1]}, "big": 2**60 + 1}
    keep(store, [a_signal("x", received=START, data=data, time=START - 5), *signals(2)])
    work(plan_for(store, tmp_path))
    path = tmp_path / files_of(store)[0].name
    row = duckdb.sql(
        f"SELECT numbers, data, epoch_ms(received), epoch_ms(time) FROM read_parquet('{path}') WHERE id = 'x'"
    ).fetchall()[0]
    assert row[0] | json.loads(row[1]) == data
    assert row[2:] == (START, START - 5)


def test_a_late_signal_becomes_a_second_part(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(3))
    work(plan_for(store, tmp_path))
    late = [a_signal("late", received=START + 5), a_signal("now", received=START + 59 * HOUR)]
    keep(store, late)
    work(plan_for(store, tmp_path))
    names = [f.name for f in files_of(store) if f.hour == START]
    assert [name[-9:] for name in names] == ["1.parquet", "2.parquet"]
    assert everywhere(store, tmp_path) == ids([*signals(3), *late])


def test_signals_of_cases_stay_until_no_repeat_is_answered(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(2))
    cry = a_signal("cry", received=START + 1)
    keep(store, [cry], "C1")
    keep(store, [a_signal("later", received=START + 40 * DAY)])
    work(plan_for(store, tmp_path))
    with store.read() as tx:
        assert tx.signals.case_of(cry.key) == "C1"
    work(plan_for(store, tmp_path, START + 32 * DAY))
    assert set(hot(store)) == {"later"}
    assert everywhere(store, tmp_path)["cry"] == 1


def test_a_kind_that_is_counted_over_days_stays_for_them(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(2))
    counted = {"vital.heart": 7 * DAY}
    work(plan_for(store, tmp_path, counted=counted))
    with store.read() as tx:
        assert tx.signals.count(["vital.heart"], "device:D1", START) == 8
        assert tx.signals.count(["radar.presence"], "device:D1", START) == 0
    assert everywhere(store, tmp_path) == ids(signals(2))


def test_a_signal_from_the_future_holds_nothing_up(store: SqlStore, tmp_path: Path) -> None:
    ahead = a_signal("ahead", received=START + 400 * DAY)
    keep(store, [ahead, *signals(2), a_signal("last", received=START + 2 * HOUR)])
    work(plan_for(store, tmp_path))
    assert hot(store)["ahead"] == 1
    assert len(archived(store, tmp_path)) >= 40
    assert everywhere(store, tmp_path) == ids([ahead, *signals(2), a_signal("last")])


def test_looking_for_what_may_move_reads_no_more_of_a_file_than_its_ends(tmp_path: Path) -> None:
    """A reader that walks over all signals keeps SQLite's log from being used again."""
    store = open_store(f"sqlite:///{tmp_path / 'hexi.db'}")
    keep(store, signals(50))
    steps: list[int] = []
    with store.read() as tx:
        tx.link.driver.set_progress_handler(lambda: steps.append(1), 1)
        tx.archive.last_row(START - DAY)
        few = len(steps)
    keep(store, [a_signal(f"more{n}", received=START) for n in range(2_000)])
    steps.clear()
    with store.read() as tx:
        tx.link.driver.set_progress_handler(lambda: steps.append(1), 1)
        tx.archive.last_row(START - DAY)
        assert len(steps) < few + 200
    store.close()


def test_queries_count_each_signal_once_while_rows_are_deleted(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, signals(3))
    seen = []
    monkeypatch.setattr(moving, "AT_ONCE", 7)
    plan = plan_for(store, tmp_path)
    kept = plan.keep_lease

    def look(_: object) -> None:
        kept()
        seen.append(everywhere(store, tmp_path) == ids(signals(3)))

    monkeypatch.setattr(type(plan), "keep_lease", look)
    work(plan)
    assert len(seen) > 10
    assert all(seen)


def test_two_processes_never_move_the_same_row(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(2))
    plan = plan_for(store, tmp_path)
    fence = Fence(upto=10**6)
    turn, file = moving._write(plan, START, fence)
    other = plan_for(store, tmp_path, holder="other")
    plan.keep_lease()
    with pytest.raises(NotOursError):
        work(other)
    plan.give_back()
    work(other)
    with pytest.raises(TurnLostError):
        plan.record(turn, file)
    assert everywhere(store, tmp_path) == ids(signals(2))


def test_what_has_expired_goes_kind_by_kind(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(3))
    kinds = {"vital.*": ArchivedKind(keep=Span(5 * DAY))}
    plan = plan_for(store, tmp_path, settings=Archive(kinds=kinds, keep=Span(9 * DAY)))
    work(plan)
    advance(plan, 4 * DAY)
    report = work(plan)
    assert len(report.gone) == 3
    left = [f for f in files_of(store) if f.is_read]
    assert {kind for f in left for kind in f.kinds} == {"radar.presence"}
    advance(plan, HOUR)
    work(plan)
    assert not files_of(store, FileState.GONE)
    assert len(list(tmp_path.glob("day=*/*.parquet"))) == len(left)
    advance(plan, 10 * DAY)
    work(plan)
    advance(plan, HOUR)
    work(plan)
    assert files_of(store) == []
    assert list(tmp_path.glob("day=*")) == []


@pytest.mark.parametrize("body", ["numbers", "none"])
def test_what_is_kept_of_the_data_is_said_by_kind(store: SqlStore, tmp_path: Path, body: str) -> None:
    keep(store, [*signals(1), a_signal("odd", received=START, flags=("unknown_kind",), data={"a": "b"})])
    keep(store, [a_signal("last", received=START + HOUR)])
    work(plan_for(store, tmp_path, settings=Archive(kinds={"vital.heart": ArchivedKind(body=body)})))
    told = duckdb.sql(
        f"SELECT kind, flags <> '', count(numbers['rate']), count(data) FROM '{tmp_path}/*/*.parquet'"
        " GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    kept = 20 if body == "numbers" else 0
    assert told == [
        ("radar.presence", False, 20, 20),
        ("radar.presence", True, 0, 1),
        ("vital.heart", False, kept, 0),
    ]


def test_an_erased_subject_is_gone_from_the_files(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(3))
    plan = plan_for(store, tmp_path)
    work(plan)
    before = sum(f.rows for f in files_of(store))
    with store.write() as tx:
        tx.archive.erase("device:D1", START + HOUR)
    report = work(plan)
    assert len(report.gone) == 1
    advance(plan, HOUR)
    work(plan)
    told = duckdb.sql(
        "SELECT epoch_ms(received) < ?, count(*), count(numbers), count(data)"
        f" FROM read_parquet('{tmp_path}/*/*.parquet') WHERE subject = 'device:D1' GROUP BY ALL ORDER BY 1",
        params=[START + HOUR],
    ).fetchall()
    assert told[-1] == (True, 8, 0, 0)
    assert all(row[1] == row[2] for row in told[:-1])
    assert sum(f.rows for f in files_of(store)) == before
    assert work(plan).gone == []


def test_an_erasure_while_a_file_is_written_reaches_it(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(2))
    plan = plan_for(store, tmp_path)
    turn, file = moving._write(plan, START, Fence(upto=60))
    with store.write() as tx:
        tx.signals.erase("device:D1")
        tx.archive.erase("device:D1", START + DAY)
    plan.record(turn, file)
    work(plan)
    advance(plan, HOUR)
    work(plan)
    found = duckdb.sql(
        f"SELECT count(*), count(data) FROM '{tmp_path}/*/*.parquet' WHERE subject = 'device:D1'"
    ).fetchall()
    assert found[0][0] > 0
    assert found[0][1] == 0


def test_a_damaged_file_is_found_named_and_read_again_when_put_right(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(3))
    plan = plan_for(store, tmp_path)
    work(plan)
    victim = files_of(store)[0]
    path = tmp_path / victim.name
    good = path.read_bytes()
    path.write_bytes(good[:100] + b"\x00\x01\x02" + good[103:])
    report = Report()
    tidy.verify(plan, report, everything=True)
    assert report.damaged == [victim.name]
    assert [f.name for f in files_of(store, FileState.DAMAGED)] == [victim.name]
    manifest = json.loads((path.parent / "manifest.json").read_text())
    assert [f["state"] for f in manifest["files"] if f["name"] == path.name] == ["damaged"]
    path.write_bytes(good)
    tidy.verify(plan, report, everything=True)
    assert report.repaired == [victim.name]
    assert everywhere(store, tmp_path) == ids(signals(3))


def test_the_manifest_alone_describes_the_folder(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(14))
    work(plan_for(store, tmp_path))
    told = {}
    for manifest in tmp_path.glob("day=*/manifest.json"):
        day = json.loads(manifest.read_text())
        assert manifest.parent.name == f"day={day['day']}"
        told |= {f"{manifest.parent.name}/{f['name']}": f for f in day["files"]}
    assert told.keys() == {f.name for f in files_of(store)}
    for name, entry in told.items():
        assert entry["sha256"] == sum_of(tmp_path / name)
        assert entry["rows"] == sum(entry["kinds"].values())
    assert all(is_whole(tmp_path, f) for f in files_of(store))


def test_what_a_killed_process_left_is_swept(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(2))
    plan = plan_for(store, tmp_path)
    moving._write(plan, START, Fence(upto=60))
    (tmp_path / "day=2026-01-01").mkdir()
    (tmp_path / "day=2026-01-01" / ".new-1-x").write_bytes(b"half")
    (tmp_path / "day=2026-01-01" / "notes.txt").write_text("not ours")
    assert work(plan).stopped is None
    assert everywhere(store, tmp_path) == ids(signals(2))
    assert [p.name for p in (tmp_path / "day=2026-01-01").iterdir()] == ["notes.txt"]


def test_a_file_that_nobody_records_stays_while_its_signals_are_nowhere_else(
    store: SqlStore, tmp_path: Path
) -> None:
    keep(store, signals(2))
    plan = plan_for(store, tmp_path)
    work(plan)
    with store.write() as tx:
        tx.archive.drop(tx.archive.turn(), [files_of(store)[0].name])
    with store.read() as tx:
        [lost] = names.strangers(tmp_path, tx.archive.files())
    for _ in range(2):
        assert work(plan).unknown == [str(lost.relative_to(tmp_path))]
    assert lost.exists()


def test_a_file_that_rotted_unseen_holds_up_neither_erasures_nor_the_next_round(
    store: SqlStore, tmp_path: Path
) -> None:
    keep(store, signals(3))
    plan = plan_for(store, tmp_path)
    work(plan)
    rotten = files_of(store)[0].name
    (tmp_path / rotten).write_bytes(b"rotten")
    (tmp_path / names.next_name(START, files_of(store))).write_bytes(b"a stranger of the same hour")
    with store.write() as tx:
        tx.archive.erase("device:D1", START + DAY)
    report = work(plan)
    assert (report.stopped, report.damaged) == (None, [rotten])
    assert [f.name for f in files_of(store, FileState.DAMAGED)] == [rotten]
    with store.read() as tx:
        last = max(erasure.id for erasure in tx.archive.erasures())
    assert all(f.erased == last for f in files_of(store, FileState.KEPT))


def test_a_hot_window_of_nothing_keeps_everything_at_hand(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(3))
    plan = plan_for(store, tmp_path, settings=Archive(hot=Span(0)))
    assert plan.is_idle()
    assert work(plan).moved == 0
    assert not plan_for(store, tmp_path).is_idle()
    assert plan_for(store, tmp_path, clock=SimClock(START)).is_idle()
