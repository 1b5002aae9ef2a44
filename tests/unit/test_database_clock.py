"""The clock that several processes share, and the address of the database they share."""

from __future__ import annotations

import pytest

from hexi.adapters import clock as clocks
from hexi.adapters.clock import DatabaseClock
from hexi.adapters.sql.pool import postgresql, read_address
from hexi.app import gauges
from hexi.kernel.clock import SECOND

S = 1_000_000_000


class Monotonic:
    """What stands for ``time.monotonic_ns``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ns = 500 * S
        monkeypatch.setattr(clocks.time, "monotonic_ns", lambda: self.ns)

    def measure(self, clock: DatabaseClock, database: int, trip: int = 0) -> None:
        """The database says a time (nanoseconds) half-way through a round trip that ends now."""
        clock.measure(database, self.ns - trip, self.ns)


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    return Monotonic(monkeypatch)


def test_it_shows_the_time_of_the_database_whatever_the_machine_thinks(steady: Monotonic) -> None:
    clock = DatabaseClock()
    steady.measure(clock, 1_000 * S, trip=2 * S)
    assert clock.now() == 1_001 * SECOND
    steady.ns += 7 * S
    assert clock.now() == 1_008 * SECOND
    assert clock.error == SECOND + 1


def test_the_quickest_of_the_last_round_trips_counts(steady: Monotonic) -> None:
    clock = DatabaseClock()
    steady.measure(clock, 1_000 * S, trip=2_000_000)
    shown = clock.now()
    steady.ns += S
    steady.measure(clock, 1_000 * S + 500_000_000, trip=S)  # half a second off, as its trip allows
    assert clock.now() == shown + SECOND


def test_a_clock_that_is_set_forward_is_followed_at_once(steady: Monotonic) -> None:
    clock = DatabaseClock()
    steady.measure(clock, 1_000 * S)
    steady.ns += S
    steady.measure(clock, 1_006 * S)
    assert clock.now() == 1_006 * SECOND
    assert clock.step() == 5 * SECOND


def test_one_that_is_set_back_is_waited_for_and_time_never_goes_back(steady: Monotonic) -> None:
    clock = DatabaseClock()
    steady.measure(clock, 1_000 * S)
    steady.ns += S
    last = clock.now()
    steady.measure(clock, 996 * S)
    assert clock.now() == last
    seen = []
    for _ in range(12):
        steady.ns += S
        seen.append(clock.now())
        steady.measure(clock, 996 * S + steady.ns - 501 * S)
    assert seen == sorted(seen)
    assert seen[-1] == (996 + 12) * SECOND
    assert clock.step() == -5 * SECOND
    assert gauges.step_of(clock) == -5.0


def test_what_processes_judge_each_other_by_goes_back_with_the_database(steady: Monotonic) -> None:
    clock = DatabaseClock()
    steady.measure(clock, 10_000 * S)
    steady.ns += S
    steady.measure(clock, 6_401 * S)
    assert clock.now() == 10_001 * SECOND
    assert clock.measured() == 6_401 * SECOND
    steady.ns += 2 * S
    assert clock.measured() == 6_403 * SECOND


def test_an_address_may_name_several_servers() -> None:
    several = read_address("postgresql://hexi:p%40ss@a.example,b.example:5433/hexi?sslmode=require")
    assert (several.username, several.password, several.database) == ("hexi", "p@ss", "hexi")
    assert several.query == {
        "host": "a.example,b.example",
        "port": "5432,5433",
        "sslmode": "require",
        "target_session_attrs": "read-write",
    }
    (writing, _) = postgresql(several)
    _, told = writing.dialect.create_connect_args(writing.url)
    assert (told["host"], told["port"], told["connect_timeout"]) == ("a.example,b.example", "5432,5433", "5")
    any_of_them = read_address("postgresql://a,b/hexi?target_session_attrs=any")
    assert any_of_them.query["target_session_attrs"] == "any"
    assert read_address("postgresql://a:5/hexi").host == "a"
    assert read_address("sqlite:///one,two.db").database == "one,two.db"
