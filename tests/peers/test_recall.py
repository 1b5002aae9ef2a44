"""A notice that is dropped while it is queued before a slow gateway is never sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.peers.receivers import receiving
from tests.peers.test_ways import DESK, SECRET, running, until

from hexi.app import App, recall
from hexi.kernel.record import Record
from hexi.kernel.signal import Signal
from hexi.settings import ChannelSettings, Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def cry(app: App, number: int) -> str:
    now = app.platform.clock.now()
    signal = Signal(id=f"s{number}", source=f"t{number}", kind="sos", received=now)
    (taken,) = await app.platform.intake.submit([signal])
    assert taken.case_id
    return taken.case_id


async def answered_here(app: App, case_id: str) -> None:
    """The desk has taken the case on its screen, so it need not be called."""
    data = {"by": "roster:district", "via": "desk"}
    now = app.platform.clock.now()
    act = Signal(
        id="a1",
        source="test",
        kind="act.acknowledged",
        received=now,
        subject=f"case:{case_id}",
        data=data,
    )
    (taken,) = await app.platform.intake.submit([act])
    assert taken.fate == "accepted"


async def dropped_elsewhere(app: App, case_id: str) -> None:
    """As another process does it, of which this one is told nothing."""
    with app.store.write() as tx:
        assert tx.notices.drop(case_id) == 1


@pytest.mark.parametrize("drop", [answered_here, dropped_elsewhere])
async def test_what_is_dropped_while_it_is_queued_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drop
) -> None:
    monkeypatch.setattr(recall, "EVERY", 0.02)
    async with receiving() as gateway:
        slow = ChannelSettings(use="webhook", url=gateway.url, secret=SECRET, limit=0.2)
        async with running(Settings(data_dir=tmp_path, channels={"call": slow})) as app:
            desk = Record(kind="roster", id="district", version=0, data=DESK, at=1, by="user:test")
            await app.platform.intake.call(lambda tx: tx.records.put(desk))
            first = await cry(app, 1)
            await until(lambda: gateway.calls)
            second, third = await cry(app, 2), await cry(app, 3)
            assert len(app.senders.queued(9)) == 2
            await drop(app, second)
            await until(lambda: len(app.senders.queued(9)) == 1)
            await until(lambda: len(gateway.calls) == 2)
            await until(lambda: not app.senders.on_the_way)
            assert [call.json["case_id"] for call in gateway.calls] == [first, third]
