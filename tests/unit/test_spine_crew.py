"""Two processes on one store: what one hears, another may judge; what one owes, another may send."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from tests.unit.spine_world import Map, World

from hexi.kernel.clock import HOUR, MINUTE, SECOND
from hexi.kernel.process import Process
from hexi.spine.spine import Spine
from hexi.spine.work import OTHERS_LAG, Share


class Pair:
    """An intake process and a clock process, each with a memory of its own."""

    def __init__(self) -> None:
        self.world = World()
        self.clock = self.world.spine
        self.intake = Spine(self.world.store, self.world.clock, self.world.catalogue, Map(), Random(3))
        self.clock.use(share=Share(name="clock", sends=False))
        self.intake.use(share=Share(name="intake", ticks=False, sends=False))

    def hear(self, kind: str, subject: str) -> None:
        self.told(self.intake.take([self.world.signal(kind, subject)]))

    def told(self, outcome) -> None:
        """What hints carry."""
        for spine in (self.clock, self.intake):
            spine.means.memory.silent.update(outcome.silent)

    def wait(self, length: int) -> None:
        """Both look whenever anything may be due."""
        until = self.world.clock.now() + length
        while self.world.clock.now() < until:
            self.world.clock.advance(min(MINUTE, until - self.world.clock.now()))
            self.told(self.intake.tick())
            self.told(self.clock.tick())


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.world.store.close()


def test_a_process_without_the_clock_leaves_what_is_due(pair: Pair) -> None:
    pair.wait(10 * MINUTE)
    with pair.world.store.read() as tx:
        pending = tx.deadlines.pending()
    pair.world.clock.advance(24 * HOUR)
    pair.intake.tick()
    with pair.world.store.read() as tx:
        assert tx.deadlines.pending() == pending


def test_silence_is_judged_by_what_the_other_process_has_heard(pair: Pair) -> None:
    for _ in range(8):
        pair.wait(HOUR)
        pair.hear("heartbeat", "device:D9")
    assert not pair.world.cases("t.silent")
    pair.wait(4 * HOUR)
    assert len(pair.world.cases("t.silent")) == 1


def test_the_last_word_is_written_although_no_other_signal_comes(pair: Pair) -> None:
    pair.hear("heartbeat", "device:D9")
    pair.world.clock.advance(2 * SECOND)
    pair.intake.tick()
    with pair.world.store.read() as tx:
        assert tx.heard.last("device:D9")


def test_a_device_that_is_back_is_noticed_at_once_by_the_process_that_hears_it(pair: Pair) -> None:
    pair.wait(4 * HOUR)
    (case,) = pair.world.cases("t.silent")
    pair.hear("heartbeat", "device:D9")
    assert not pair.world.case(case.id).is_open
    assert "device:D9" in pair.clock.means.memory.silent
    pair.clock.take([pair.world.signal("heartbeat", "device:D9")])
    assert "device:D9" not in pair.clock.means.memory.silent
    assert [entry.kind for entry in pair.world.log(case.id)].count("cleared") == 1


def test_a_process_that_starts_later_knows_who_is_silent(pair: Pair) -> None:
    pair.wait(4 * HOUR)
    pair.intake.means.memory.silent.clear()
    pair.intake.recall()
    assert "device:D9" in pair.intake.means.memory.silent


def test_somebody_seen_in_the_last_moment_is_not_missed(pair: Pair) -> None:
    pair.hear("motion", "device:D2")
    pair.wait(23 * HOUR - SECOND // 2)  # the hours end when they have been waited for
    pair.intake.take([pair.world.signal("motion", "device:D2")])
    pair.world.clock.advance(SECOND)
    pair.clock.tick()
    assert not pair.world.cases("t.still")
    pair.intake.tick()
    pair.world.clock.advance(OTHERS_LAG)
    pair.clock.tick()
    assert not pair.world.cases("t.still")


def test_somebody_not_seen_is_missed_after_the_others_were_asked(pair: Pair) -> None:
    pair.hear("motion", "device:D2")
    pair.wait(23 * HOUR + MINUTE)
    assert len(pair.world.cases("t.still")) == 1
    pair.wait(24 * HOUR)
    assert len(pair.world.cases("t.still")) == 1  # the same matter folds


def test_a_notice_is_left_to_whoever_sends(pair: Pair) -> None:
    outcome = pair.intake.take([pair.world.signal("pendant.sos", "person:E1")])
    assert outcome.left
    assert outcome.notices == []
    sender = Spine(pair.world.store, pair.world.clock, pair.world.catalogue, Map(), Random(4))
    sender.use(share=Share(name="sender", ticks=False))
    assert {n.role for n in sender.owed()} >= {"family", "steward"}


def test_a_notice_is_held_by_the_process_that_opened_its_case(pair: Pair) -> None:
    alive = Process(
        id="both", host="h", pid=1, roles=(), playing=(), started=1, seen_at=pair.world.clock.now()
    )
    with pair.world.store.write() as tx:
        tx.processes.put(alive)
    pair.intake.use(share=Share(name="both"))
    outcome = pair.intake.take([pair.world.signal("pendant.sos", "person:E1")])
    assert outcome.notices
    assert not outcome.left
    assert {n.id for n in pair.intake.held()} == {n.id for n in outcome.notices}
    pair.clock.use(share=Share(name="clock"))
    assert pair.clock.owed() == []
