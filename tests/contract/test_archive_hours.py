"""Summaries beside the archive: right by the count, none twice, and nobody to be found in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.contract.archive_world import START, archived, counted, everywhere, keep, plan_for, signals
from tests.contract.make import a_record, a_signal

from hexi.adapters.archive import hours, summaries, tidy
from hexi.adapters.archive import move as moving
from hexi.adapters.archive.plan import Report
from hexi.adapters.archive.query import Answer, Desk, Question, ask
from hexi.adapters.archive.work import work
from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import SqlStore, open_store
from hexi.kernel.archive import Fence, FileState
from hexi.kernel.archive import summaries as summaries_in
from hexi.kernel.clock import DAY, HOUR, local_day
from hexi.settings import Archive, ArchivedKind
from hexi.settings.base import Span

CATALOGUE = load_packs(()).catalogue()
NOW = START + 60 * HOUR


@pytest.fixture
def store(shared_url: str) -> Iterator[SqlStore]:
    """A store with a name, as the archive's processes share one."""
    store = open_store(shared_url)
    yield store
    store.close()


@pytest.fixture
def small() -> Iterator[SqlStore]:
    """A store in memory, where the database makes no difference."""
    store = open_store("sqlite:///:memory:")
    yield store
    store.close()


def settle_in(store: SqlStore, homes: dict[str, tuple[str, str] | None]) -> None:
    """Devices, each of a person who lives somewhere; None is a device of nobody."""
    with store.write() as tx:
        for id_, home in homes.items():
            owner = {"owner": f"E-{id_}"} if home else {}
            tx.records.put(a_record("device", id_, type="radar", **owner))
            if home:
                street, community = home
                tx.records.put(
                    a_record("person", f"E-{id_}", name="王秀英", street=street, community=community)
                )


def readings(homes: dict[str, object], rates: tuple[float, ...] = (60, 80), **changes: object) -> list:
    """So many heart rates of each device in the first hour, and a signal that lets them move."""
    batch = [
        a_signal(
            f"{id_}-{n}",
            received=START + n,
            subject=f"device:{id_}",
            kind="vital.heart",
            data={"rate": rate, "lon": 117.2},
            **changes,
        )
        for id_ in homes
        for n, rate in enumerate(rates)
    ]
    return [*batch, a_signal("last", received=START + 59 * HOUR)]


def asked(store: SqlStore, folder: Path, sql: str) -> Answer:
    return ask(Desk(store, folder, CATALOGUE, NOW), Question(sql=sql))


def advance(plan, by):
    plan.clock.advance(by)


def summaries_of(store: SqlStore):
    with store.read() as tx:
        return summaries_in(tx.archive.files())


def many(street: str, community: str, count: int) -> dict[str, tuple[str, str] | None]:
    return {f"{community}-{n}": (street, community) for n in range(count)}


def test_a_day_is_counted_by_place_and_hour(store: SqlStore, tmp_path: Path) -> None:
    homes = many("s1", "c1", 6) | many("s2", "c2", 5)
    settle_in(store, homes)
    keep(store, readings(homes))
    assert work(plan_for(store, tmp_path)).stopped is None
    answer = asked(
        store,
        tmp_path,
        "SELECT street, community, signals, subjects, n['rate'], total['rate'] / n['rate'], least['rate'],"
        f" most['rate'], epoch_ms(hour) FROM signal_hours WHERE day = '{local_day(START)}' ORDER BY 1",
    )
    assert answer.rows == [
        ("s1", "c1", 12, 6, 12, 70.0, 60.0, 80.0, START),
        ("s2", "c2", 10, 5, 10, 70.0, 60.0, 80.0, START),
    ]


def test_summaries_agree_with_the_signals_they_stand_beside(store: SqlStore, tmp_path: Path) -> None:
    settle_in(store, {f"D{n}": ("s1", "c1") for n in range(5)})
    keep(store, signals(6))
    work(plan_for(store, tmp_path))
    from_rows, from_hours = (
        asked(store, tmp_path, f"SELECT kind, {sql} GROUP BY 1, 2 ORDER BY 1, 2").rows
        for sql in (
            """date_trunc('hour', received), count(*), count(DISTINCT subject), count(numbers['rate']),
            sum(numbers['rate']), min(numbers['rate']), max(numbers['rate']) FROM signals WHERE NOT hot""",
            """hour, sum(signals), sum(subjects), sum(n['rate']), sum(total['rate']), min(least['rate']),
            max(most['rate']) FROM signal_hours""",
        )
    )
    assert len(from_rows) == 12
    assert from_hours == from_rows


def test_few_persons_are_not_told_apart(small: SqlStore, tmp_path: Path) -> None:
    homes = many("s1", "c1", 5) | many("s1", "c2", 1) | many("s1", "c3", 4) | many("s2", "c4", 2)
    settle_in(small, homes | {"camera": None})
    keep(small, readings(homes | {"camera": None, "stranger": None}))
    work(plan_for(small, tmp_path))
    sql = "SELECT street, community, signals, subjects, n['rate'], cardinality(n) FROM signal_hours"
    assert asked(small, tmp_path, f"{sql} ORDER BY ALL").rows == [
        ("s1", "c1", 10, 5, 10, 1),  # enough
        ("s1", None, 10, 5, 10, 1),  # two communities, each of too few
        (None, None, 2, 1, 2, 1),  # nobody's camera
        (None, None, 6, 3, None, None),  # too few in all: no numbers
    ]


def test_a_number_that_few_send_is_not_told(small: SqlStore, tmp_path: Path) -> None:
    homes = many("s1", "c1", 6)
    settle_in(small, homes)
    rare = a_signal("rare", received=START, subject="device:c1-0", kind="vital.heart", data={"sugar": 9})
    keep(small, [rare, *readings(homes)])
    work(plan_for(small, tmp_path))
    assert asked(small, tmp_path, "SELECT signals, map_keys(n) FROM signal_hours").rows == [(13, ["rate"])]


def test_drills_are_counted_apart_and_odd_numbers_do_no_harm(small: SqlStore, tmp_path: Path) -> None:
    homes = many("s1", "c1", 5)
    settle_in(small, homes)
    keep(small, [a_signal("none", received=START, subject=None, kind="odd", data={})])
    keep(small, readings(homes, (1.5e308, 1.5e308), source="drill:1", flags=("drill", "late"))[:-1])
    keep(small, readings(homes))
    assert work(plan_for(small, tmp_path)).stopped is None
    told = asked(small, tmp_path, "SELECT kind, drill, signals, subjects FROM signal_hours ORDER BY ALL").rows
    assert told == [("odd", False, 1, 0), ("vital.heart", False, 10, 5), ("vital.heart", True, 10, 5)]


def test_a_kind_with_endless_names_of_numbers_is_bounded(small: SqlStore, tmp_path: Path) -> None:
    settle_in(small, {"box": None})
    odd = {f"k{n}": n for n in range(3 * hours.NUMBERS)}
    batch = [
        a_signal(f"b{n}", received=START + n, subject="device:box", data={"often": 1, **odd}) for n in (1, 2)
    ]
    keep(
        small,
        [*batch, a_signal("b3", received=START, subject="device:box", data={"often": 1}), *readings({})],
    )
    work(plan_for(small, tmp_path))
    sql = "SELECT cardinality(n), n['often'] FROM signal_hours"
    assert asked(small, tmp_path, sql).rows == [(hours.NUMBERS, 3)]


def test_many_subjects_are_looked_up_at_once(
    small: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = many("s1", "c1", 6) | many("s2", "c2", 5)
    settle_in(small, homes | {"other": ("s3", "c3")})
    keep(small, readings(homes))
    monkeypatch.setattr(hours, "ONE_BY_ONE", 3)
    work(plan_for(small, tmp_path))
    sql = "SELECT street, subjects FROM signal_hours ORDER BY 1"
    assert asked(small, tmp_path, sql).rows == [("s1", 6), ("s2", 5)]


def test_a_late_part_is_summed_with_the_others(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(3))
    work(plan_for(store, tmp_path))
    keep(store, [a_signal("late", received=START + 5), a_signal("now", received=START + 59 * HOUR)])
    work(plan_for(store, tmp_path))
    assert len(summaries_of(store)) == 5
    held, told = counted(store, tmp_path)
    assert held == told
    sql = f"SELECT sum(signals) FROM signal_hours WHERE hour = make_timestamp_ms({START})"
    assert asked(store, tmp_path, sql).rows == [(41,)]


def test_counts_outlive_the_signals(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(3))
    kinds = {"vital.*": ArchivedKind(keep=Span(5 * DAY))}
    plan = plan_for(
        store, tmp_path, settings=Archive(kinds=kinds, keep=Span(9 * DAY), summaries=Span(20 * DAY))
    )
    work(plan)
    _, before = counted(store, tmp_path)
    for days, left in ((4, {"radar.presence"}), (5, set())):
        advance(plan, days * DAY)
        work(plan)
        held, told = counted(store, tmp_path)
        assert set(held) == left
        assert told == before
        assert summaries.differing(plan) == []
    advance(plan, 12 * DAY)
    assert len(work(plan).gone) == 3
    advance(plan, HOUR)
    work(plan)
    assert counted(store, tmp_path) == ({}, {})
    assert not list(tmp_path.rglob("*.parquet"))
    assert not list(tmp_path.rglob("day=*"))


def test_none_are_made_where_none_are_wanted(small: SqlStore, tmp_path: Path) -> None:
    keep(small, signals(3))
    plan = plan_for(small, tmp_path, settings=Archive(summaries=Span(0)))
    assert work(plan).summarised == []
    assert summaries_of(small) == []
    assert asked(small, tmp_path, "FROM signal_hours").rows == []


def test_files_from_before_are_summarised_a_few_at_a_time(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, signals(4))
    work(plan_for(store, tmp_path, settings=Archive(summaries=Span(0))))
    monkeypatch.setattr("hexi.adapters.archive.work.CAUGHT_UP", 3)
    assert [len(work(plan_for(store, tmp_path)).summarised) for _ in range(3)] == [3, 1, 0]
    held, told = counted(store, tmp_path)
    assert held == told
    assert sum(held.values()) == 159
    assert (tmp_path / "hours" / f"day={local_day(START)}" / "manifest.json").exists()


def test_a_damaged_summary_is_found_left_out_and_counted_anew(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(3))
    plan = plan_for(store, tmp_path)
    work(plan)
    victim = summaries_of(store)[0].name
    (tmp_path / victim).write_bytes(b"x" * 400)
    answer = asked(store, tmp_path, "SELECT sum(signals) FROM signal_hours")
    assert (answer.rows, answer.left_out) == ([(79,)], [victim])
    report = Report()
    tidy.verify(plan, report, everything=True)
    assert report.damaged == [victim]
    assert asked(store, tmp_path, "SELECT sum(signals) FROM signal_hours").left_out == [victim]
    assert work(plan).repaired == [victim]
    assert asked(store, tmp_path, "SELECT sum(signals) FROM signal_hours").rows == [(119,)]


def test_a_damaged_summary_is_counted_anew_before_its_file_loses_a_kind(
    small: SqlStore, tmp_path: Path
) -> None:
    keep(small, signals(2))
    kinds = {"vital.*": ArchivedKind(keep=Span(5 * DAY))}
    plan = plan_for(small, tmp_path, settings=Archive(kinds=kinds))
    work(plan)
    before = counted(small, tmp_path)[1]
    (tmp_path / summaries_of(small)[0].name).unlink()
    advance(plan, 4 * DAY)
    work(plan)
    held, told = counted(small, tmp_path)
    assert (set(held), told) == ({"radar.presence"}, before)


def test_a_summary_that_counts_something_else_is_named(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(2))
    plan = plan_for(store, tmp_path)
    work(plan)
    assert summaries.differing(plan) == []
    with store.write() as tx:
        file = next(f for f in tx.archive.files() if not f.is_summary)
        tx.archive.record(tx.archive.turn(), [replace(file, kinds=file.kinds | {"vital.heart": 3})])
    report = Report()
    tidy.verify(plan, report, everything=True)
    assert report.differing == [file.name]


def test_a_file_damaged_while_its_rows_go_is_not_counted_twice(store: SqlStore, tmp_path: Path) -> None:
    keep(store, signals(2))
    plan = plan_for(store, tmp_path)
    turn, file = moving._write(plan, START, Fence(upto=60))
    plan.record(turn, file, *summaries.write(plan, file))
    (tmp_path / file.name).write_bytes(b"rotten")
    report = work(plan)
    assert file.name in report.damaged
    held, told = counted(store, tmp_path)
    assert held == told
    assert sum(everywhere(store, tmp_path).values()) == 80
    assert {f.state for f in summaries_of(store)} == {FileState.GONE, FileState.KEPT}


def test_a_summary_that_nobody_records_goes_with_its_file_and_else_stays(
    small: SqlStore, tmp_path: Path
) -> None:
    keep(small, signals(2))
    plan = plan_for(small, tmp_path)
    _, file = moving._write(plan, START, Fence(upto=60))
    summaries.write(plan, file)
    lost = tmp_path / "hours" / "day=2026-01-02" / "20260101T20Z-1.parquet"
    lost.parent.mkdir(parents=True)
    lost.write_bytes((tmp_path / file.summary).read_bytes())
    (tmp_path / "hours" / "day=2026-01-02" / ".new-1-x").write_bytes(b"half")
    assert work(plan).unknown == [str(lost.relative_to(tmp_path))]
    assert [path.name for path in lost.parent.iterdir()] == [lost.name]
    held, told = counted(small, tmp_path)
    assert held == told
    assert len(archived(small, tmp_path)) == 79


def test_what_was_erased_stays_counted_among_the_others(small: SqlStore, tmp_path: Path) -> None:
    settle_in(small, {f"D{n}": ("s1", "c1") for n in range(5)})
    keep(small, signals(2))
    plan = plan_for(small, tmp_path)
    work(plan)
    sql = "SELECT sum(signals), sum(total['rate']) FROM signal_hours"
    before = asked(small, tmp_path, sql).rows
    with small.write() as tx:
        tx.archive.erase("device:D1", START + DAY)
    assert work(plan).gone
    assert asked(small, tmp_path, sql).rows == before
    assert summaries.differing(plan) == []


@pytest.mark.parametrize(
    "condition",
    [
        "true",
        f"day = '{local_day(START)}'",
        "day < '2020-01-01'",
        f"hour >= make_timestamp_ms({START + HOUR})",
        "kind LIKE 'vital%' AND n['rate'] > 5",
        "hour = (SELECT max(hour) FROM signal_hours)",
    ],
)
def test_only_the_days_that_are_asked_are_opened(small: SqlStore, tmp_path: Path, condition: str) -> None:
    keep(small, signals(16))
    work(plan_for(small, tmp_path))
    found = asked(small, tmp_path, f"SELECT * FROM signal_hours WHERE {condition} ORDER BY ALL").rows
    everything = f"WITH h AS MATERIALIZED (FROM signal_hours) SELECT * FROM h WHERE {condition} ORDER BY ALL"
    assert found == asked(small, tmp_path, everything).rows
