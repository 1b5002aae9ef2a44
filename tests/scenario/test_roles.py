"""Several processes on one PostgreSQL: real ``hexi serve --role``, killed, skewed, standing by, cut off."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
import pytest
from bench._crew import TOKEN, Crew, Hand, alarm, crew, post, server, until
from bench.roles import cases, missed, siege
from tests.contract.conftest import postgresql_url  # noqa: F401 -- the server
from tests.contract.databases import database
from tests.peers.receivers import Receiver, receiving

from hexi.kernel.clock import SECOND

pytestmark = pytest.mark.postgresql

EARLY_MS = 20
"""The measured error of the database's clock on one machine, and the rounding of two clocks, stay below."""


@pytest.fixture
def url(postgresql_url: str) -> Iterator[str]:  # noqa: F811
    with database(postgresql_url) as own:
        yield own


@asynccontextmanager
async def working(url: str) -> AsyncIterator[tuple[Crew, Receiver, httpx.AsyncClient]]:
    async with (
        receiving() as receiver,
        crew(url, receiver.url) as all_,
        httpx.AsyncClient(trust_env=False, timeout=10) as client,
    ):
        yield all_, receiver, client


def handed(all_: Crew) -> set[str]:
    with all_.store.read() as tx:
        found = [n for identity in tx.cases.ids("", 1_000) for n in tx.notices.of_case(identity)]
    return {n.id for n in found if n.state == "handed"}


def promised(all_: Crew, count: int) -> bool:
    """Whether so many cases have noticed that nobody answered, and told the next desk."""
    found = cases(all_)
    return len(found) == count and all(missed(log) and len(case.notices) > 1 for case, log in found)


def test_killed_again_and_again(postgresql_url: str) -> None:  # noqa: F811
    fates = asyncio.run(siege(postgresql_url, 4, seed=3))
    assert fates.kills == 4
    assert sum(fates.acknowledged.values()) > 20
    assert fates.lost == []
    assert fates.two_keys + fates.strange_calls == []
    assert fates.undelivered == []
    assert fates.wrong_rows == []
    assert fates.missed_twice == []


def test_the_same_signals_at_two_doors_are_one_case_each_and_a_wrong_clock_changes_nothing(url: str) -> None:
    async def day() -> None:
        async with working(url) as (all_, receiver, client):
            hands = await asyncio.gather(
                all_.start("intake"),
                all_.start("intake", skew=5),
                all_.start("clock"),
                all_.start("clock", skew=5),
                all_.start("senders", skew=-5),
            )
            wall = time.time() * SECOND - time.monotonic() * SECOND
            events = [alarm(f"s{n}", n) for n in range(10)]
            doors = [hand.address for hand in hands[:2] for _ in range(2)]
            answers = await asyncio.gather(*(post(client, door, events) for door in doors))
            taken = [results for results in answers if results]
            assert len(taken) == 4
            assert {tuple(r["case"] for r in results) for results in taken} == {
                tuple(r["case"] for r in taken[0])
            }
            assert [r["status"] for results in taken for r in results].count("accepted") == 10
            await until(lambda: promised(all_, 10))
            await until(lambda: handed(all_) == set(receiver.idempotency_keys()))
            assert len(receiver.calls) == len(set(receiver.idempotency_keys()))
            first_due = min(p.due for case, _ in cases(all_) for p in case.promises.values())
            steps = [c for c in receiver.calls if "roster:" in str(c.json)]
            assert steps
            assert all(wall + call.at * SECOND >= first_due - EARLY_MS for call in steps)
            for _, log in cases(all_):
                (broken,) = missed(log)
                assert 0 <= broken.at - broken.body["due"] < 3 * SECOND

    asyncio.run(day())


def playing(all_: Crew, hand: Hand) -> tuple[str, ...]:
    return next((p.playing for p in all_.processes() if p.pid == hand.process.pid), ("gone",))


async def ready(client: httpx.AsyncClient, hand: Hand) -> str:
    return (await client.get(f"{hand.address}/readyz")).text


def test_a_standby_takes_over_and_rests_again_and_both_alive_do_no_harm(url: str) -> None:
    async def day() -> None:
        async with working(url) as (all_, receiver, client):
            primary = await all_.start("intake", "clock", "senders")
            standby = await all_.start("intake", "clock", "senders", standby=True)
            assert await ready(client, primary) == "ready"
            assert await ready(client, standby) == "stands by"
            assert await post(client, primary.address, [alarm("before", 0)])
            assert await post(client, standby.address, [alarm("at the standby's door", 1)])
            await until(lambda: len(receiver.calls) >= 2)
            assert playing(all_, standby) == ()
            primary.kill()
            await until(lambda: playing(all_, standby) == standby.roles)
            await until(lambda: promised(all_, 2))
            assert await post(client, standby.address, [alarm("meanwhile", 2)])
            again = await all_.start("intake", "clock", "senders")
            assert playing(all_, standby) == playing(all_, again)
            doors = (again.address, standby.address)
            for number in range(20):
                assert await post(client, doors[number % 2], [alarm(f"both-{number}", 3 + number % 10)])
            await until(lambda: promised(all_, 13))
            await until(lambda: handed(all_) == set(receiver.idempotency_keys()))
            assert len(set(receiver.idempotency_keys())) == len(receiver.calls)
            assert all(len(missed(log)) == 1 for _, log in cases(all_))
            await until(lambda: playing(all_, standby) == ())
            assert await ready(client, standby) == "stands by"

    asyncio.run(day())


def test_postgresql_away_and_back_costs_no_process_and_no_signal() -> None:
    async def day() -> None:
        with server() as postgresql:
            async with working(postgresql.url) as (all_, receiver, client):
                door, *_ = await all_.start_all(("intake", "web"), ("clock", "senders"))
                assert await post(client, door.address, [alarm("before", 0)])
                await until(lambda: len(receiver.calls) >= 1)
                all_.store.close()
                await asyncio.to_thread(postgresql.stop)
                head = {"authorization": f"Bearer {TOKEN}", "content-type": "application/cloudevents+json"}
                for _ in range(3):
                    answer = await client.post(
                        f"{door.address}/api/v1/signals", json=alarm("during", 1), headers=head
                    )
                    assert answer.status_code == 503
                    assert (await client.get(f"{door.address}/healthz")).status_code == 200
                    assert (await client.get(f"{door.address}/readyz")).status_code == 503
                    await asyncio.sleep(1)
                await asyncio.to_thread(postgresql.start)
                await until_taken(client, door.address)
                await until(lambda: promised(all_, 2))
                await until(lambda: handed(all_) == set(receiver.idempotency_keys()))
                assert all(hand.process.poll() is None for hand in all_.hands)
                assert sorted(log[0].body["signal"]["id"] for _, log in cases(all_)) == ["before", "during"]
                assert all(len(missed(log)) == 1 for _, log in cases(all_))

    asyncio.run(day())


async def until_taken(client: httpx.AsyncClient, address: str) -> None:
    async with asyncio.timeout(30):
        while not await post(client, address, [alarm("during", 1)]):  # noqa: ASYNC110 -- it is asked itself
            await asyncio.sleep(0.2)


def test_screens_hear_what_other_processes_do_also_after_the_line_was_cut(url: str) -> None:
    async def day() -> None:
        async with working(url) as (all_, _, client):
            door, screen, *_ = await all_.start_all(("intake",), ("web",), ("web",))
            heard: list[str] = []
            listening = asyncio.create_task(listen(client, screen.address, heard))
            await until(lambda: "listening" in heard)
            case = await press_until_heard(client, door.address, heard)
            assert case
            times = heard.count("listening")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            await until(lambda: heard.count("listening") > times)
            assert await press_until_heard(client, door.address, heard)
            listening.cancel()

    asyncio.run(day())


async def listen(client: httpx.AsyncClient, address: str, heard: list[str]) -> None:
    head = {"authorization": f"Bearer {TOKEN}"}
    while True:
        try:
            async with client.stream("GET", f"{address}/api/v1/changes", headers=head, timeout=60) as lines:
                heard.append("listening")
                async for line in lines.aiter_lines():
                    heard.append(line)  # noqa: PERF401 -- each is wanted as it comes
        except httpx.HTTPError:
            await asyncio.sleep(0.1)


async def press_until_heard(client: httpx.AsyncClient, address: str, heard: list[str]) -> str:
    """Press until the screen hears of the very case: one that listens anew may miss what was before."""
    for number in range(50):
        results = await post(client, address, [alarm(f"press-{len(heard)}-{number}", number % 20)])
        assert results
        case = str(results[0]["case"])
        for _ in range(10):
            if any(case in line for line in heard):
                return case
            await asyncio.sleep(0.1)
    return ""


async def listed(all_: Crew) -> list[dict[str, Any]]:
    """What ``hexi processes`` says."""
    words = ("-m", "hexi", "--config", str(all_.config), "processes", "--json")
    asked = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    answer, _ = await asked.communicate()
    found: list[dict[str, Any]] = json.loads(answer)
    return found


def test_processes_of_one_installation_sign_with_one_secret(url: str) -> None:
    async def day() -> None:
        async with working(url) as (all_, _, _client):
            first = await all_.start("clock")
            process, log = all_.launch("clock", data=str(all_.folder / "elsewhere"))
            assert await asyncio.to_thread(process.wait, 60) == 1
            assert "signs with another secret" in log.read_text()
            (known,) = all_.processes()
            assert known.pid == first.process.pid
            assert known.roles == known.playing == ("clock",)
            told = await listed(all_)
            assert [(one["pid"], one["alive"], one["playing"]) for one in told] == [
                (first.process.pid, True, ["clock"])
            ]
            first.end()
            assert all_.processes() == []
            assert process.stdout
            process.stdout.close()

    asyncio.run(day())
