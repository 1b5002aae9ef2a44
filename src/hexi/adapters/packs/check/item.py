"""What checks look at: one scenario with its file, and everything the packs know together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hexi.adapters.packs.load import Loaded, Source
from hexi.adapters.packs.problem import Problem, problem_at, with_suggestion
from hexi.kernel.record import RecordKind
from hexi.kernel.scenario import Scenario
from hexi.kernel.signal import is_sos_kind
from hexi.kernel.text import Text


@dataclass(frozen=True)
class Placed:
    """Something that stands in a file of a pack."""

    file: Path
    source: Source

    def wrong(self, where: str, zh: str, en: str) -> Problem:
        """An error at a path of the file."""
        return problem_at(self.file, where, Text(zh=zh, en=en))

    def unknown(self, where: str, word: str, known: Iterable[str], what: Text) -> Problem:
        """An error about a word that nobody knows, with a suggestion."""
        message = Text(zh=f"不认识的{what.zh}：{word}", en=f"unknown {what.en}: {word}")
        return problem_at(self.file, where, with_suggestion(message, word, known))

    def doubtful(self, where: str, zh: str, en: str) -> Problem:
        """A warning at a path of the file."""
        return problem_at(self.file, where, Text(zh=zh, en=en), level="warning")


@dataclass(frozen=True)
class Item(Placed):
    """A scenario, the file it stands in and the pack it belongs to."""

    scenario: Scenario


class Whole:
    """All packs together."""

    def __init__(self, loaded: Loaded) -> None:
        self.sources = loaded.sources
        self.items = [
            Item(file, source, scenario)
            for source in loaded.sources
            for file, scenario in source.scenarios.items()
        ]
        self.scenarios = {item.scenario.id: item for item in self.items}
        self.kinds = {kind: info for pack in loaded.packs for kind, info in pack.kinds.items()}
        self.own_kinds = {kind for item in self.items for kind in item.scenario.kinds()} - {
            kind for item in self.items for kind in item.scenario.signal.kinds
        }
        self.predicates = {name for pack in loaded.packs for name in pack.predicates}
        self.recipients = {name for pack in loaded.packs for name in pack.recipients}
        self.records: dict[str, RecordKind] = {
            kind.id: kind for pack in loaded.packs for kind in pack.records
        }

    def is_cry(self, kind: str) -> bool:
        """Whether a kind is a call for help, by its declaration or its name."""
        return (kind in self.kinds and self.kinds[kind].sos) or is_sos_kind(kind)

    def answers_a_cry(self, scenario: Scenario) -> bool:
        """Whether a scenario may be what stands between a cry and the desk."""
        return scenario.signal.sos or any(self.is_cry(kind) for kind in scenario.signal.kinds)
