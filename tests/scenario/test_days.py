"""Every pack's day is played, and what it leaves behind is what its logs add up to."""

from pathlib import Path

import pytest
from tests.scenario.world import catalogue, loaded

from hexi.adapters.sql import open_store
from hexi.sim.day import day_of, play
from hexi.sim.day_lines import timeline
from hexi.spine.rebuild import rebuild_all

PACKS = [source.manifest.id for source in loaded().sources if source.day_file.exists()]


def test_elder_care_has_a_day() -> None:
    assert "elder_care" in PACKS


@pytest.mark.parametrize("pack", PACKS)
def test_day_goes_as_expected(pack: str, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/day.db"
    report = play(day_of(loaded(), pack), catalogue(), pack, database)
    assert [f"{moment.at}: {finding}" for moment, finding in report.failures] == []
    store = open_store(database, catalogue().record_kinds)
    rebuilt = rebuild_all(store, catalogue(), repair=False)
    store.close()
    assert rebuilt.cases == len(report.stories)
    assert rebuilt.differences == []


@pytest.mark.parametrize("pack", PACKS)
def test_day_plays_every_scenario_of_its_pack(pack: str) -> None:
    report = play(day_of(loaded(), pack), catalogue(), pack)
    played = {scenario for story in report.stories for scenario in story.case.scenarios}
    own = {s.id for s in catalogue().scenarios.values() if s.pack == pack}
    assert own <= played


def test_a_day_is_the_same_every_time() -> None:
    first, second = (play(day_of(loaded(), "elder_care"), catalogue(), "elder_care") for _ in range(2))
    assert first.stories == second.stories


def test_timeline_tells_the_day_in_order() -> None:
    lines = timeline(play(day_of(loaded(), "elder_care"), catalogue(), "elder_care"), catalogue())
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    said = [f"{line.clock} {line.text.zh}" for line in lines]
    assert "03:10:00 上报：老人按下呼救挂件：王秀英" in said
    assert "04:30:20 问候结果：没有回答" in said
    assert lines[-1].clock == "24:00:00"
    assert lines[-1].ok is True
