"""Faults of our own: a rule, a record, a deadline or a commit that fails; and several at work at once."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.contract.conftest import postgresql_url, shared_url  # noqa: F401 -- the databases two processes share
from tests.unit.spine_world import STREET, World

from hexi.adapters.sql import open_store
from hexi.adapters.sql import store as store_module
from hexi.adapters.sql.cases import SqlCases
from hexi.adapters.sql.small import SqlHeard
from hexi.kernel.deadline import Deadline, DeadlineKind
from hexi.kernel.fold import rebuild
from hexi.kernel.ports import StoreError, Transaction
from hexi.kernel.signal import Signal
from hexi.spine.hub import Hub
from hexi.spine.intake import Intake
from hexi.spine.rebuild import rebuild_all
from hexi.spine.spine import Job
from hexi.spine.work import Taken


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.check()
    world.close()


def quarantined(world: World) -> list[str]:
    with world.store.read() as tx:
        return [item.reason for item in tx.quarantine.find(10)]


class TestRescue:
    def test_a_rule_that_raises_costs_the_cry_nothing(self, world: World) -> None:
        taken = world.send("crash.sos", "device:D1")
        assert (taken.fate, taken.flags) == ("accepted", ("failed",))
        case = world.case(taken.case_id)
        assert (case.scenario, case.severity) == ("core.unknown_sos", "extreme")
        assert world.told(case.id) >= {f"roster:street-{STREET}", "person:W1"}
        assert quarantined(world) == ["RuntimeError: a rule of a pack is broken"]

    def test_what_is_no_cry_is_kept_for_later(self, world: World) -> None:
        taken = world.send("crash.level", "device:D1")
        assert (taken.fate, taken.case_id, len(quarantined(world))) == ("accepted", None, 1)

    def test_the_others_of_the_batch_go_on(self, world: World) -> None:
        kinds = ["pendant.sos", "crash.sos", "battery.low", "crash.level", "heartbeat"]
        taken = world.take(*(world.signal(kind, f"person:N{i}") for i, kind in enumerate(kinds)))
        assert [t.fate for t in taken] == ["accepted"] * 5
        assert [bool(t.case_id) for t in taken] == [True, True, True, False, False]

    def test_it_happens_once(self, world: World) -> None:
        signal = world.signal("crash.sos", "device:D1")
        first, second = world.take(signal)[0], world.take(signal)[0]
        assert (second.case_id, len(world.ids()), len(quarantined(world))) == (first.case_id, 1, 1)

    def test_with_a_directory_in_ruins_the_case_is_still_there(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def ruined(*_: object) -> None:
            raise RuntimeError("the directory is in ruins")

        with monkeypatch.context() as broken:
            broken.setattr("hexi.spine.directory.Directory._get", ruined)
            taken = world.take(world.signal("pendant.sos", "device:D1"))[0]
            assert world.case(taken.case_id).is_open
            assert world.send("pendant.sos", "device:D1").case_id == taken.case_id
        world.wait("61s")
        assert "roster:district" in world.told(taken.case_id)

    def test_an_act_that_fails_is_refused(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        case = world.send("pendant.sos", "device:D1").case_id

        def broken(*_: object) -> str:
            raise RuntimeError("no notes today")

        monkeypatch.setattr("hexi.spine.act.Doing.note", broken)
        taken = world.act(case, "commented", "user:desk", text="好")
        assert (taken.fate, bool(taken.error), "commented" in world.kinds(case)) == ("refused", True, False)


class TestRecords:
    @pytest.mark.parametrize(
        ("kind", "identity", "fields"),
        [
            ("centre", "S1", {"hours": "whenever"}),
            ("centre", "S1", {"lon": "east"}),
            ("contact", "K1", {"quiet_hours": "at night"}),
            ("contact", "K1", {"order": "first"}),
            ("person", "E1", {"lives_alone": "perhaps"}),
            ("person", "W1", {"addresses": "none"}),
            ("device", "D1", {"lon": "here", "heartbeat": 5}),
            ("roster", f"street-{STREET}", {"shifts": [{"person": "P1", "hours": "often"}]}),
        ],
    )
    def test_one_bad_field_keeps_nobody_from_being_told(
        self, world: World, kind: str, identity: str, fields: dict
    ) -> None:
        world.spoil(kind, identity, **fields)
        taken = world.send("pendant.sos", "device:D1")
        assert taken.flags == ()
        world.wait("2m")
        told = world.told(taken.case_id)
        assert {"contact:K1", "contact:K2", "person:W1", f"roster:street-{STREET}"} <= told
        assert told & {"centre:S1", "centre:S2"}

    def test_a_desk_that_cannot_be_read_is_passed_over(self, world: World) -> None:
        world.spoil("roster", f"street-{STREET}", level="nonsense")
        case = world.send("pendant.sos", "person:nobody").case_id
        world.wait("2m")
        assert "roster:district" in world.told(case)


class TestDeadlines:
    def bad(self, world: World, case: str | None, *, early: int) -> None:
        due = world.clock.now() - early
        deadline = Deadline(key="bad", due_at=due, kind=DeadlineKind.PROMISE, case_id=case, body={})
        with world.store.write() as tx:
            tx.deadlines.arm([deadline])

    def test_one_that_fails_is_put_off_and_reported(self, world: World) -> None:
        cases = [world.send("pendant.sos", f"person:N{i}").case_id for i in range(40)]
        world.clock.advance(61_000)
        self.bad(world, cases[0], early=500)
        for _ in range(2):
            world.settle(world.spine.tick())
        assert all(world.case(case).promises["acknowledged"].missed for case in cases)
        (technical,) = world.cases("core.technical")
        assert world.log(technical.id)[0].body["signal"]["kind"] == "tech.deadline_failed"
        with world.store.read() as tx:
            put_off = tx.deadlines.get("bad")
            assert put_off
            assert put_off.due_at == world.clock.now() + 60_000

    def test_it_folds_into_one_case_however_often_it_fails(self, world: World) -> None:
        self.bad(world, None, early=0)
        with world.store.write() as tx:
            tx.deadlines.arm([Deadline(key="bad", due_at=world.clock.now(), kind=DeadlineKind.SEQUENCE)])
        world.wait("10m")
        assert len(world.cases("core.technical")) == 1

    def test_it_is_put_off_even_when_it_cannot_be_reported(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hexi.spine.notify.dispatch", lambda *_: 1 / 0)
        self.bad(world, world.ids()[0] if world.ids() else None, early=0)
        with world.store.write() as tx:
            tx.deadlines.arm([Deadline(key="bad", due_at=world.clock.now(), kind=DeadlineKind.SEQUENCE)])
        world.spine.tick()
        with world.store.read() as tx:
            put_off = tx.deadlines.get("bad")
            assert put_off
            assert put_off.due_at == world.clock.now() + 60_000


def test_a_change_that_is_refused_costs_the_others_nothing(world: World) -> None:
    def change(tx: Transaction) -> None:
        tx.settings.put("x", "1")
        raise ValueError("not like this")

    jobs = [Job(signals=[world.signal("pendant.sos", "device:D1")]), Job(call=change), Job(call=lambda _: 7)]
    outcome = world.spine.process(jobs)
    assert [str(job.error) for job in jobs] == ["None", "not like this", "None"]
    assert (jobs[2].result, len(outcome.taken), len(world.ids())) == (7, 1, 1)
    with world.store.read() as tx:
        assert tx.settings.get("x") is None


def failing_store(world: World, monkeypatch: pytest.MonkeyPatch, words: str, after: int) -> None:
    """From its use number ``after`` on, a method of the spine finds the store full."""
    real, used = getattr(world.spine, words), [0]

    def use(*args: object) -> object:
        used[0] += 1
        if used[0] > after:
            raise StoreError("no space left", kind="full")
        return real(*args)

    monkeypatch.setattr(world.spine, words, use)


class TestTheStoreFailsHalfway:
    def test_only_the_jobs_it_did_not_take_have_failed(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cries = [world.signal("pendant.sos", f"person:N{i}") for i in range(3)]
        jobs = [Job(signals=[cries[0]]), Job(signals=[world.signal("crash.sos", "device:D1")])]
        jobs += [Job(signals=[cry]) for cry in cries[1:]]
        failing_store(world, monkeypatch, "_rescue", 0)
        outcome = world.spine.process(jobs)
        assert [job.error is None for job in jobs] == [True, False, False, False]
        assert jobs[0].result[0].case_id in outcome.changed
        assert outcome.trouble
        assert len(world.ids()) == 1

    def test_a_batch_it_took_in_part_has_failed_and_its_cries_are_told(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        batch = [world.signal("pendant.sos", "person:E2"), world.signal("crash.sos", "device:D1")]
        job = Job(signals=batch)
        failing_store(world, monkeypatch, "_rescue", 0)
        outcome = world.spine.process([job])
        assert isinstance(job.error, StoreError)
        assert (len(outcome.notices) > 0, len(world.ids())) == (True, 1)
        monkeypatch.undo()
        again = Job(signals=batch)
        world.spine.process([again])
        assert [taken.fate for taken in again.result] == ["repeat", "accepted"]

    def test_when_it_took_nothing_nothing_has_happened(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing_store(world, monkeypatch, "_rescue", 0)
        with pytest.raises(StoreError):
            world.spine.process([Job(signals=[world.signal("crash.sos", "device:D1")]) for _ in range(2)])

    def test_what_fell_due_is_told_though_what_is_owed_cannot_be_read(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        case = world.send("pendant.sos", "device:D1").case_id
        told: list[dict[str, int]] = []

        async def play() -> None:
            intake = Intake(world.spine, Hub(), lambda _: None)
            intake.tell = lambda outcome: told.append(outcome.changed)
            failing_store(world, monkeypatch, "owed", 0)
            world.clock.advance(61_000)
            await intake.start()
            try:
                async with asyncio.timeout(20):
                    while not told:  # noqa: ASYNC110 -- told in the writer's thread
                        await asyncio.sleep(0.01)
            finally:
                await intake.stop()

        asyncio.run(play())
        assert case in told[0]


def test_what_was_heard_is_kept_when_no_case_is_waited_for_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes that keep the same devices in the midst of their cases would wait for each other."""
    told: list[str] = []
    for port, verb in ((SqlHeard, "note"), (SqlCases, "get"), (SqlCases, "save")):
        real = getattr(port, verb)

        def noticed(*args: object, _real: object = real, _verb: str = verb) -> object:
            told.append(_verb)
            return _real(*args)  # type: ignore[operator]

        monkeypatch.setattr(port, verb, noticed)
    world.send("heartbeat", "device:D9")
    world.clock.advance(5_000)
    case = world.send("pendant.sos", "device:D1").case_id
    world.clock.advance(5_000)
    told.clear()
    jobs = [Job(signals=[world.signal("heartbeat", "device:D9")])]
    jobs += [Job(signals=[world.signal("act.acknowledged", f"case:{case}", by="person:W1")])]
    world.spine.process(jobs)
    assert {"get", "save", "note"} <= set(told)
    assert told[-1] == "note"
    assert told.count("note") == 1


async def running(world: World) -> Intake:
    intake = Intake(world.spine, Hub(), lambda _: None)
    await intake.start()
    return intake


class TestIntake:
    async def submit(self, world: World, *batches: list[Signal]) -> list[list[Taken]]:
        intake = await running(world)
        try:
            return await asyncio.gather(*(intake.submit(batch) for batch in batches))
        finally:
            await intake.stop()

    def test_two_cries_at_once_are_one_case(self, world: World) -> None:
        cries = [[world.signal("pendant.sos", "device:D1", source=f"link{i}")] for i in range(20)]
        taken = asyncio.run(self.submit(world, *cries))
        assert len({t.case_id for [t] in taken}) == len(world.ids()) == 1

    def test_two_operators_at_once_close_once(self, world: World) -> None:
        case = world.send("battery.low", "device:D2").case_id
        acts = [[world.signal("act.closed", f"case:{case}", by=f"user:desk{i}")] for i in range(2)]
        taken = asyncio.run(self.submit(world, *acts))
        assert sorted(t.fate for [t] in taken) == ["accepted", "refused"]
        assert world.kinds(case).count("closed") == 1

    def test_one_sent_twice_at_once_is_taken_once(self, world: World) -> None:
        signal = world.signal("pendant.sos", "device:D1")
        taken = asyncio.run(self.submit(world, [signal], [signal], [signal, signal]))
        assert sorted(t.fate for batch in taken for t in batch) == ["accepted", *["repeat"] * 3]

    def test_a_cry_overtakes_what_waits(self, world: World) -> None:
        async def play() -> list[str]:
            intake = Intake(world.spine, Hub(), lambda _: None)
            intake._loop = asyncio.get_running_loop()
            bulk = [world.signal("heartbeat", f"device:R{i}") for i in range(1_000)]
            ended: list[str] = []
            tasks = []
            for name, batch in (("a", bulk[:500]), ("b", bulk[500:]), ("c", bulk[:1])):
                tasks.append(asyncio.ensure_future(intake.submit(batch)))
                tasks[-1].add_done_callback(lambda _, name=name: ended.append(name))
            tasks.append(asyncio.ensure_future(intake.submit([world.signal("sos", None)])))
            tasks[-1].add_done_callback(lambda _: ended.append("sos"))
            await asyncio.sleep(0)
            await intake.start()
            await asyncio.gather(*tasks)
            await intake.stop()
            return ended

        assert asyncio.run(play())[0] == "sos"

    def test_the_writer_outlives_one_that_cannot_be_told(self, world: World) -> None:
        def broken(_: object) -> None:
            raise RuntimeError("nobody listens")

        async def play() -> list[Taken]:
            intake = await running(world)
            intake.tell = broken
            await intake.submit([world.signal("pendant.sos", "device:D1")])
            async with asyncio.timeout(20):
                taken = await intake.submit([world.signal("pendant.sos", "device:D1")])
            await intake.stop()
            return taken

        assert asyncio.run(play())[0].case_id

    def test_a_full_disk_is_told_and_the_writer_goes_on(self, world: World) -> None:
        def full(_: Transaction) -> None:
            raise StoreError("no space left", kind="full")

        async def play() -> list[Taken]:
            intake = await running(world)
            with suppress(StoreError):
                await intake.call(full)
                pytest.fail("acknowledged what was not committed")
            taken = await intake.submit([world.signal("pendant.sos", "device:D1")])
            await intake.stop()
            return taken

        assert asyncio.run(play())[0].case_id


def test_a_writer_in_another_process_is_waited_for(tmp_path: Path) -> None:
    world = World(url=f"sqlite:///{tmp_path / 'hexi.db'}")
    other = sqlite3.connect(tmp_path / "hexi.db", isolation_level=None, check_same_thread=False)

    async def play() -> float:
        intake = await running(world)
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        asyncio.get_running_loop().call_later(0.5, other.execute, "ROLLBACK")
        taken = await intake.submit([world.signal("pendant.sos", "device:D1")])
        assert taken[0].case_id
        await intake.stop()
        return time.monotonic() - began

    assert 0.4 < asyncio.run(play()) < 3
    other.close()
    world.close()


def test_one_that_never_lets_go_is_told_to_the_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "BUSY_MS", 100)
    world = World(url=f"sqlite:///{tmp_path / 'hexi.db'}")
    other = sqlite3.connect(tmp_path / "hexi.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    signal = world.signal("pendant.sos", "device:D1")
    with pytest.raises(StoreError) as caught:
        world.take(signal)
    assert (caught.value.kind, world.ids()) == ("locked", [])
    other.execute("ROLLBACK")
    assert world.take(signal)[0].fate == "accepted"
    other.close()
    world.close()


def test_two_processes_at_the_same_millisecond_open_one_case(shared_url: str) -> None:  # noqa: F811
    """Both press for the same people at the same moment, in opposite orders."""
    command = [sys.executable, "-m", "tests.unit.spine_worker", shared_url]
    start = str(time.time() + 4)
    workers = [
        subprocess.Popen([*command, name, start], stdout=subprocess.PIPE, text=True) for name in ("a", "b")
    ]
    said = [worker.communicate(timeout=60)[0].splitlines() for worker in workers]
    found = [dict(line.split() for line in lines) for lines in said]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert found[0] == found[1]
    assert len(set(found[0].values())) == len(found[0]) == 60
    store = open_store(shared_url)
    with store.read() as tx:
        for case_id in found[0].values():
            log = tx.cases.log(case_id)
            assert tx.cases.get(case_id) == rebuild(case_id, log)
            assert [e.kind for e in log if e.kind in {"reported", "joined"}] == ["reported", "joined"]
    world = World()
    assert rebuild_all(store, world.catalogue, repair=False).differences == []
    store.close()
    world.close()
