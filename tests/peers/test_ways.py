"""A way out to people that is down: a gateway fails, hangs and recovers, and several processes see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.contract.conftest import postgresql_url  # noqa: F401 -- the server
from tests.contract.databases import database
from tests.contract.make import a_notice
from tests.peers.receivers import Answer, Receiver, receiving

from hexi.app import App, open_app
from hexi.app import ways as watched
from hexi.app.compose import Manner
from hexi.app.ways import FAILING_FOR, LEAST, WayWatch
from hexi.kernel.case import Case, CaseState, Rung
from hexi.kernel.clock import MINUTE
from hexi.kernel.ports import CaseFilter
from hexi.kernel.record import Record
from hexi.kernel.response import Notice, Receipt
from hexi.kernel.signal import Signal
from hexi.settings import ChannelSettings, Database, Settings, Span
from hexi.spine import notify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DESK = {
    "name": "区值班台",
    "level": "district",
    "place": "120103",
    "addresses": [{"by": "desk", "to": "district"}, {"by": "call", "to": "+862212345"}],
}
T0 = 1_780_000_000_000

pytestmark = pytest.mark.anyio


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is half a second, and a failed notice is tried again and again."""
    monkeypatch.setattr(watched, "FAILING_FOR", 500)
    monkeypatch.setattr(watched, "EVERY", 0.05)
    monkeypatch.setattr(notify, "RETRY_AFTER", (100,) * 1_000)


async def until(reached: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 -- the store tells nobody
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(settings: Settings, manner: Manner = Manner()) -> AsyncIterator[App]:  # noqa: B008 -- frozen
    app = open_app(settings, manner)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


def cases(app: App, **wanted: Any) -> list[Case]:
    """The cases about a way that is down."""
    with app.store.read() as tx:
        rows = tx.cases.find(CaseFilter(scenario="core.channel_down", **wanted), 9)
        found = [tx.cases.get(row.id) for row in rows]
    return [case for case in found if case]


def told(app: App) -> list[dict[str, Any]]:
    """What was said of ways that are down, the oldest first."""
    with app.store.read() as tx:
        found = [signal for signal, _ in tx.signals.recent("channel:call", 99)]
    return [signal.data for signal in reversed(found) if signal.kind == watched.DOWN]


def shown(app: App) -> float | None:
    return app.metrics.registry.get_sample_value("hexi_way_down", {"way": "call"})


async def cry(app: App, number: int) -> None:
    now = app.platform.clock.now()
    await app.platform.intake.submit([Signal(id=f"s{number}", source=f"t{number}", kind="sos", received=now)])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def calling(folder: Path, gateway: Receiver) -> AsyncIterator[App]:
    """A platform whose duty desk is called through a gateway."""
    call = ChannelSettings(use="webhook", url=gateway.url, secret=SECRET, timeout=Span(200))
    async with running(Settings(data_dir=folder, channels={"call": call})) as app:
        desk = Record(kind="roster", id="district", version=0, data=DESK, at=1, by="user:test")
        await app.platform.intake.call(lambda tx: tx.records.put(desk))
        yield app


async def test_a_gateway_that_fails_hangs_and_recovers_is_one_case(tmp_path: Path, hasty: None) -> None:
    answer = Answer(503)
    async with receiving(lambda _: answer) as gateway, calling(tmp_path, gateway) as app:
        await asyncio.gather(cry(app, 1), cry(app, 2))
        await until(lambda: cases(app, open=True) and shown(app) == 1)
        (said,) = told(app)
        assert (said["way"], said["error"], said["waiting"]) == ("call", "HTTP 503", 2)
        assert said["attempts"] >= LEAST

        answer, calls = Answer(after=None), len(gateway.calls)
        await until(lambda: len(gateway.calls) > calls + 4)
        assert (len(cases(app)), len(told(app))) == (1, 1)

        answer = Answer()
        await until(lambda: not cases(app, open=True))
        (case,) = cases(app)
        assert (case.state, case.subject, shown(app)) == (CaseState.CLOSED, "channel:call", 0)

        answer = Answer(503)
        await cry(app, 3)
        await until(lambda: cases(app, open=True))
        assert len(cases(app)) == 1, "within the hour it is the same case"


@pytest.fixture
def shared(request: pytest.FixtureRequest) -> Iterator[str]:
    with database(request.getfixturevalue("postgresql_url")) as url:
        yield url


@asynccontextmanager
async def looking(app: App) -> AsyncIterator[WayWatch]:
    """A second watch in a running process, fed by hand."""
    watch = WayWatch(app.platform, app.metrics, {"call"})
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def fail(watch: WayWatch) -> None:
    for number in range(LEAST):
        watch.attempted(notice(), failed(number * MINUTE))


def passes(watch: WayWatch) -> None:
    watch.attempted(notice(), Receipt(notice_id="N1", at=T0, rung=Rung.HANDED_OVER))


@pytest.mark.postgresql
async def test_of_several_senders_each_may_fail_and_it_is_one_case(
    tmp_path: Path, shared: str, hasty: None
) -> None:
    (tmp_path / "key").write_text("one secret of all processes\n")

    def settings(name: str) -> Settings:
        told = Database(url=shared)
        return Settings(data_dir=tmp_path / name, database=told, secret_file=tmp_path / "key")

    async with running(settings("a")) as a, looking(a) as seen_by_a:
        async with running(settings("b")) as b, looking(b) as seen_by_b:
            fail(seen_by_a)
            await until(lambda: cases(a, open=True) and marks(a))
            fail(seen_by_b)
            await until(lambda: len(marks(a)) == 2)
            passes(seen_by_a)
            await until(lambda: marks(a) == {b.platform.spine.share.name})
            assert (len(cases(a, open=True)), len(told(a))) == (1, 1)
            passes(seen_by_b)
            await until(lambda: not cases(a, open=True))
            fail(seen_by_b)
            await until(lambda: cases(a, open=True) and marks(a))
        passes(seen_by_a)  # and the process for which it was down is gone
        await until(lambda: not cases(a, open=True))
        assert len(cases(a)) == 1


def marks(app: App) -> set[str]:
    with app.store.read() as tx:
        return set(watched._marks(tx, "call"))


def notice(address: str = "+862212345", **other: Any) -> Notice:
    return replace(a_notice("N1"), way="call", address=address, **other)


def failed(after: int, *, permanent: bool = False) -> Receipt:
    return Receipt(notice_id="N1", at=T0 + after, error="HTTP 503", permanent=permanent)


class Seen:
    """A watch of which only what it has seen is asked."""

    def __init__(self) -> None:
        self.watch = WayWatch(None, None, {"call"})  # type: ignore[arg-type]

    def fails(self, *attempts: tuple[Notice, Receipt]) -> bool:
        for each in attempts:
            self.watch.attempted(*each)
        return any(run.is_down for run in self.watch._runs.values())


def test_a_way_is_down_after_a_minute_and_three_attempts() -> None:
    assert not Seen().fails(*((notice(), failed(n * (FAILING_FOR - 1) // 9)) for n in range(10)))
    assert not Seen().fails((notice(), failed(0)), (notice(), failed(FAILING_FOR)))
    assert Seen().fails(*((notice(), failed(n * FAILING_FOR // 2)) for n in range(LEAST)))


def test_a_number_that_does_not_exist_says_nothing_of_the_way_but_two_do() -> None:
    dead = [(notice(), failed(n * MINUTE, permanent=True)) for n in range(9)]
    assert not Seen().fails(*dead)
    assert Seen().fails(*dead, (notice("+862254321"), failed(10 * MINUTE, permanent=True)))


def test_one_that_got_through_begins_the_count_anew() -> None:
    seen = Seen()
    assert seen.fails(*((notice(), failed(n * MINUTE)) for n in range(LEAST)))
    passes(seen.watch)
    assert not seen.fails((notice(), failed(9 * MINUTE)), (notice(), failed(10 * MINUTE)))


def test_exercises_and_ways_that_were_never_set_up_do_not_count() -> None:
    exercise, strange = notice(drill=True), replace(notice(), way="sms")
    assert not Seen().fails(*((each, failed(n * MINUTE)) for n in range(9) for each in (exercise, strange)))
