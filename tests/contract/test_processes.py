"""Processes know each other by their heartbeats, and share the outbox."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tests.contract.make import NOW, a_deadline, a_notice

from hexi.adapters.clock import DatabaseClock
from hexi.adapters.sql import SqlStore, open_store
from hexi.adapters.sql.pulse import Pulse
from hexi.kernel.clock import HOUR, SECOND
from hexi.kernel.deadline import DeadlineKind
from hexi.kernel.process import (
    BEAT,
    DEAD_AFTER,
    DEAF_AFTER,
    Process,
    Sight,
    covered,
    hears_since,
    living,
    to_play,
)
from hexi.kernel.response import NoticeState
from hexi.kernel.signal import Lane

ROLES = ("clock", "senders")


def a_process(identity: str, **fields) -> Process:
    told = {"host": "h", "pid": 1, "roles": ROLES, "playing": ROLES, "started": NOW, "seen_at": NOW}
    return Process(id=identity, **told | fields)


def until(happened: Callable[[], bool], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not happened() and time.monotonic() < ends:
        time.sleep(0.02)
    assert happened()


def beat(store: SqlStore, *processes: Process) -> None:
    with store.write() as tx:
        for process in processes:
            tx.processes.put(process)


def claim(store: SqlStore, owner: str, now: int = NOW, most: int = 99) -> list[str]:
    with store.write() as tx:
        return [n.id for n in tx.notices.claim(owner, now, most)]


def test_a_process_is_there_until_it_leaves(store: SqlStore) -> None:
    first, second = a_process("a"), a_process("b", started=NOW + 1, standby=True, playing=())
    beat(store, second, first)
    beat(store, replace(first, seen_at=NOW + 9))
    with store.read() as tx:
        assert tx.processes.all() == [replace(first, seen_at=NOW + 9), second]
    with store.write() as tx:
        tx.processes.leave("a")
        assert tx.processes.forget(NOW) == 0
        assert tx.processes.forget(NOW + 1) == 1
        assert tx.processes.all() == []


def test_a_notice_is_held_by_one_until_it_dies(store: SqlStore) -> None:
    beat(store, a_process("a"), a_process("b"))
    with store.write() as tx:
        tx.notices.add(a_notice("direct"), "a")
        tx.notices.add(a_notice("bulk", next_at=NOW - 5))
        tx.notices.add(a_notice("cry", lane=Lane.SOS))
        tx.notices.add(a_notice("later", next_at=NOW + 1))
    assert claim(store, "b", most=1) == ["cry"]
    assert claim(store, "b") == ["bulk"]
    assert claim(store, "a") == []
    with store.read() as tx:
        assert [n.id for n in tx.notices.held("a", NOW)] == ["direct"]
        assert [n.id for n in tx.notices.held("b", NOW)] == ["cry", "bulk"]
    beat(store, a_process("a", seen_at=NOW + DEAD_AFTER))
    assert claim(store, "a", NOW + DEAD_AFTER) == ["cry", "bulk", "later"]
    assert claim(store, "b", NOW + DEAD_AFTER) == []


def test_a_database_whose_clock_was_set_back_takes_nothing_from_the_living(store: SqlStore) -> None:
    present = time.time_ns() // 1_000_000
    beat(store, a_process("a", seen_at=present + HOUR), a_process("b", seen_at=present))
    with store.write() as tx:
        tx.notices.add(a_notice("N1", next_at=present), "b")
        assert tx.notices.claim("a", present + HOUR, 9, alive_since=present + HOUR - SECOND) == []


def test_a_database_whose_clock_was_set_forward_takes_nothing_from_the_living(store: SqlStore) -> None:
    beat(
        store,
        a_process("a", seen_at=NOW + HOUR),
        a_process("b", seen_at=NOW),
        a_process("c", seen_at=NOW - 1),
    )
    with store.write() as tx:
        tx.notices.add(a_notice("living"), "b")
        tx.notices.add(a_notice("dead"), "c")
        assert [n.id for n in tx.notices.claim("a", NOW + HOUR, 9, alive_since=NOW)] == ["dead"]


def test_who_lives_is_judged_by_heartbeats_that_change() -> None:
    sight, a, b = Sight(), a_process("a"), a_process("b")
    assert sight.look([a, b, a_process("old", seen_at=NOW - DEAD_AFTER)], NOW, 0) == [a, b]
    back = NOW - HOUR + BEAT
    a = replace(a, seen_at=back)
    assert sight.look([a, b], back, BEAT) == [a, b]
    assert sight.left_over([a, b], back, BEAT) == []
    a = replace(a, seen_at=back + DEAD_AFTER)
    assert sight.look([a, b], back + DEAD_AFTER, DEAD_AFTER) == [a]
    assert sight.left_over([a, b], back + DEAD_AFTER, DEAD_AFTER) == ["b"]
    ahead = NOW + HOUR
    assert sight.look([a, replace(b, seen_at=ahead)], ahead, DEAD_AFTER + 1)[0] == a


class OnlyLooks:
    """A member that writes nothing and knows one who is left over."""

    def __init__(self) -> None:
        self.beats = 0

    def beat(self, _: list[Process]) -> None:
        self.beats += 1

    def left_over(self) -> list[str]:
        return ["dead"]

    def told(self, _: str) -> None:
        return

    def connected(self) -> None:
        return


@pytest.mark.postgresql
def test_the_pulse_ends_whom_a_clock_set_back_would_keep_alive(postgresql_url: str) -> None:
    store, member = open_store(postgresql_url), OnlyLooks()
    beat(store, a_process("dead", seen_at=NOW + 999 * HOUR), a_process("other"))
    pulse = Pulse(store, DatabaseClock(), member)
    pulse.start()
    until(lambda: member.beats > 1, 20)
    pulse.stop()
    with store.read() as tx:
        left = {p.id for p in tx.processes.all()}
    with store.write() as tx:
        tx.processes.leave("other")
    store.close()
    assert "other" in left
    assert "dead" not in left


def test_what_a_process_that_left_held_is_free_at_once(store: SqlStore) -> None:
    beat(store, a_process("a"), a_process("b"))
    with store.write() as tx:
        tx.notices.add(a_notice("N1"), "a")
        tx.processes.leave("a")
    assert claim(store, "b") == ["N1"]


def test_an_attempt_that_failed_lets_go_of_the_notice(store: SqlStore) -> None:
    beat(store, a_process("a"), a_process("b"))
    with store.write() as tx:
        tx.notices.add(a_notice("again"), "a")
        tx.notices.add(a_notice("over"), "a")
        tx.notices.update(replace(a_notice("again"), next_at=NOW + 5))
        tx.notices.update(replace(a_notice("over"), state=NoticeState.HANDED))
    assert claim(store, "b", NOW + 4) == []
    assert claim(store, "b", NOW + 5) == ["again"]


def test_two_processes_never_hold_the_same(shared_url: str) -> None:
    store = open_store(shared_url)
    beat(store, a_process("a"), a_process("b"))
    with store.write() as tx:
        for number in range(1_000):
            tx.notices.add(a_notice(f"N{number}", case_id=f"C{number}"))
    store.close()
    command = [sys.executable, "-m", "tests.contract.worker", "hold", shared_url]
    both = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in "ab"]
    held = [key for process in both for key in process.communicate(timeout=60)[0].split()]
    assert sorted(held) == sorted(f"N{number}" for number in range(1_000))


def test_deadlines_are_found_by_what_they_say(store: SqlStore) -> None:
    with store.write() as tx:
        silent = {"silent": True, "since": 0}
        tx.deadlines.arm([a_deadline("s1", NOW, kind=DeadlineKind.SILENCE, body=silent)])
        tx.deadlines.arm([a_deadline("s2", NOW, kind=DeadlineKind.SILENCE, body={"silent": False})])
        tx.deadlines.arm([a_deadline("p", NOW, body=silent)])
        assert tx.deadlines.saying(DeadlineKind.SILENCE, '"silent":true') == ["s1"]


def test_a_standby_plays_what_nobody_else_does() -> None:
    now = NOW + DEAD_AFTER - 1
    primary = a_process("a")
    standby = a_process("b", standby=True, playing=(), seen_at=now)
    assert to_play(primary, [standby]) == ROLES
    assert to_play(standby, living([primary, standby], now, but="b")) == ()
    later = now + 1
    awake = replace(standby, playing=to_play(standby, living([primary], later)))
    assert awake.playing == ROLES
    back = replace(primary, playing=("clock",), seen_at=later)
    assert to_play(awake, [back]) == ROLES
    assert not covered(awake, [back])
    assert not covered(awake, [replace(primary, standby=True)])
    assert covered(awake, [back, replace(back, id="c", playing=("senders",))])


def test_hearing_goes_on_as_long_as_somebody_hears() -> None:
    first = a_process("a", playing=("intake",), hears_since=NOW - 99)
    second = a_process("b", playing=("intake",), seen_at=NOW + DEAF_AFTER)
    assert hears_since(second, [first], NOW + DEAF_AFTER - 1, "intake") == NOW - 99
    assert hears_since(second, [first], NOW + DEAF_AFTER, "intake") == NOW + DEAF_AFTER
    assert hears_since(a_process("c"), [first], NOW, "intake") == 0
