"""The day of every pack, and what elder care promises beside its day, on PostgreSQL."""

from __future__ import annotations

import pytest
from tests.scenario import test_elder_care
from tests.scenario.test_days import PACKS
from tests.scenario.world import catalogue, loaded

from hexi.adapters.sql import open_store
from hexi.sim.day import day_of, play
from hexi.spine.rebuild import rebuild_all

pytestmark = [pytest.mark.postgresql, pytest.mark.usefixtures("on_postgresql")]


@pytest.mark.parametrize("pack", PACKS)
def test_day_goes_as_expected(pack: str, on_postgresql: str) -> None:
    report = play(day_of(loaded(), pack), catalogue(), pack, on_postgresql)
    assert [f"{moment.at}: {finding}" for moment, finding in report.failures] == []
    on_sqlite = play(day_of(loaded(), pack), catalogue(), pack)
    assert report.stories == on_sqlite.stories
    store = open_store(on_postgresql, catalogue().record_kinds)
    rebuilt = rebuild_all(store, catalogue(), repair=False)
    store.close()
    assert rebuilt.cases == len(report.stories)
    assert rebuilt.differences == []


for _name in dir(test_elder_care):
    if _name.startswith(("Test", "test_")):
        globals()[_name] = getattr(test_elder_care, _name)
