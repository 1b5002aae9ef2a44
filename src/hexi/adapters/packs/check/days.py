"""Promises about the simulated day, which is a pack's test; and how finished a scenario is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from hexi.adapters.packs.check.item import Item, Whole
from hexi.adapters.packs.load import Loaded, Source
from hexi.adapters.packs.problem import Problem

Tier = Literal["bronze", "silver", "gold"]


def every_scenario_is_played(whole: Whole) -> Iterator[Problem]:
    """Each scenario is named in its pack's ``day.toml``."""
    for source in whole.sources:
        named = _played(source)
        for file, scenario in source.scenarios.items():
            if scenario.id not in named:
                yield Item(file, source, scenario).doubtful(
                    "id", "day.toml 没有演练它（铜级）", "no day.toml plays it yet (bronze)"
                )


def tiers(loaded: Loaded) -> dict[str, Tier]:
    """How finished every scenario is."""
    played = {source.manifest.id: _played(source) for source in loaded.sources}
    return {
        item.scenario.id: tier(item.source, item, played[item.source.manifest.id])
        for item in Whole(loaded).items
    }


def tier(source: Source, item: Item, played: set[str] | None = None) -> Tier:
    """Bronze loads and explains, silver is played by the day, gold is counted and guided too."""
    scenario = item.scenario
    if scenario.id not in (_played(source) if played is None else played):
        return "bronze"
    counted = bool(scenario.indicator or source.manifest.indicator)
    return "gold" if counted and scenario.guidance else "silver"


def _played(source: Source) -> set[str]:
    """Ids of the scenarios whose cases the day looks at: ``fall_suspected of person:E1``."""
    cases = {words.partition(" of ")[0] for words in _words(source.day) if " of " in words}
    return cases | {f"{source.manifest.id}.{name}" for name in cases}


def _words(value: Any) -> set[str]:
    """Every string of a table, however deep."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return set().union(*map(_words, value)) if isinstance(value, list) else set()
