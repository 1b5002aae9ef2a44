"""The catalogue: every pack's scenarios, kinds of signal and record, and indicators, made ready to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import msgspec

from hexi.kernel.condition import Condition
from hexi.kernel.indicator import Indicator, Meter
from hexi.kernel.record import RecordKind
from hexi.kernel.scenario import Scenario
from hexi.kernel.signal import is_sos_kind
from hexi.kernel.text import Text

FALLBACK = "core.unknown_sos"
"""The scenario for a cry that no scenario answers."""

TECHNICAL = "core.technical"
"""The scenario for the platform's own trouble."""

SILENT, BACK, FALSE_ALARM = "device.silent", "device.back", "device.false_alarm"
"""Kinds that our own clock and desk make: a device fell silent, is heard again, was false."""

ONLINE, OFFLINE = "device.online", "device.offline"
"""Kinds that a device sends when it connects, and its broker when it has gone without a word."""


class KindInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kind of signal: its title, whether it is a cry for help, an example, and who sends it."""

    title: Text
    sos: bool = False
    example: dict[str, Any] = {}
    source: tuple[str, ...] = msgspec.field(default=(), name="from")


class Pack(msgspec.Struct, frozen=True, kw_only=True):
    """One folder of scenarios with what they need."""

    id: str
    title: Text
    owner: str = ""
    needs: tuple[str, ...] = ()
    kinds: dict[str, KindInfo] = {}
    records: tuple[RecordKind, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    indicators: tuple[Indicator, ...] = ()
    predicates: dict[str, Callable[..., Any]] = {}
    recipients: dict[str, Callable[..., Any]] = {}


class Answering(NamedTuple):
    """A scenario with its condition compiled."""

    scenario: Scenario
    when: Condition | None


class Catalogue:
    """What the spine asks while it works. Immutable: a reload makes another one."""

    def __init__(self, packs: Iterable[Pack]) -> None:
        self.packs = {pack.id: pack for pack in packs}
        self.scenarios = {s.id: s for pack in self.packs.values() for s in pack.scenarios}
        self.kinds = {kind: info for pack in self.packs.values() for kind, info in pack.kinds.items()}
        self.record_kinds = {kind.id: kind for pack in self.packs.values() for kind in pack.records}
        self.indicators = {i.id: i for pack in self.packs.values() for i in pack.indicators}
        self.recipients = {n: f for pack in self.packs.values() for n, f in pack.recipients.items()}
        self.predicates = {n: f for pack in self.packs.values() for n, f in pack.predicates.items()}
        self._meters = [Meter(indicator) for indicator in self.indicators.values()]
        self._meters_of: dict[tuple[str, ...], list[Meter]] = {}
        self.sos_kinds = frozenset(self._sos_kinds())
        self._index()

    def _sos_kinds(self) -> Iterable[str]:
        yield from (kind for kind, info in self.kinds.items() if info.sos or is_sos_kind(kind))
        yield from (kind for s in self.scenarios.values() if s.signal.sos for kind in s.signal.kinds)

    def _index(self) -> None:
        self._answering: dict[str, list[Answering]] = {}
        self._clearing: dict[str, list[Scenario]] = {}
        self._first: dict[str, list[Scenario]] = {}
        self._then: dict[str, list[Scenario]] = {}
        self._expected: dict[str, list[Scenario]] = {}
        for scenario in sorted(self.scenarios.values(), key=lambda s: s.case.severity.rank):
            self._index_one(scenario)
        self.quiet = frozenset(self.kinds) - {
            *self._answering,
            *self._clearing,
            *self._first,
            *self._then,
            *self._expected,
            *self.sos_kinds,
        }
        """Known kinds that nothing answers to: stored, counted as heard, and no more."""

    def _index_one(self, scenario: Scenario) -> None:
        when = Condition(scenario.signal.when) if scenario.signal.when else None
        _add(self._answering, scenario.kinds(), Answering(scenario, when))
        _add(self._clearing, scenario.signal.cleared_by, scenario)
        if scenario.sequence:
            _add(self._first, scenario.sequence.first, scenario)
            _add(self._then, scenario.sequence.then, scenario)
        if scenario.absence:
            _add(self._expected, scenario.absence.kinds, scenario)

    def answering(self, kind: str) -> list[Answering]:
        """Scenarios that answer a kind, the worst first."""
        return self._answering.get(kind, [])

    def clearing(self, kind: str) -> list[Scenario]:
        """Scenarios whose trouble a kind reports over."""
        return self._clearing.get(kind, [])

    def starting(self, kind: str) -> list[Scenario]:
        """Scenarios of a sequence that a kind begins."""
        return self._first.get(kind, [])

    def following(self, kind: str) -> list[Scenario]:
        """Scenarios of a sequence that a kind completes."""
        return self._then.get(kind, [])

    def expecting(self, kind: str) -> list[Scenario]:
        """Scenarios that miss a kind when it is absent."""
        return self._expected.get(kind, [])

    def is_sos(self, kind: str) -> bool:
        """Whether a kind is a cry for help, known or only by its name."""
        return kind in self.sos_kinds or is_sos_kind(kind)

    def meters(self, scenarios: tuple[str, ...]) -> list[Meter]:
        """The meters of every indicator that covers a case with these scenarios."""
        if scenarios not in self._meters_of:
            self._meters_of[scenarios] = [m for m in self._meters if m.indicator.covers_any(scenarios)]
        return self._meters_of[scenarios]

    def title(self, scenario: str) -> Text:
        """A scenario's title, also when its file has since gone."""
        known = self.scenarios.get(scenario)
        return known.title if known else Text(zh=scenario, en=scenario)


_Item = TypeVar("_Item")


def _add(index: dict[str, list[_Item]], kinds: Iterable[str], item: _Item) -> None:
    for kind in kinds:
        index.setdefault(kind, []).append(item)


def winner(candidates: list[Scenario]) -> Scenario | None:
    """The scenario that takes a signal: not beaten by another candidate, then the worst severity."""
    beaten = {loser for scenario in candidates for loser in scenario.beats}
    left = [scenario for scenario in candidates if scenario.id not in beaten] or candidates
    return min(left, key=lambda s: s.case.severity.rank, default=None)
