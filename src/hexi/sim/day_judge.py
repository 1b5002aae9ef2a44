"""Whether what a day expects of a case is so, and what was found instead."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from hexi.kernel.case import Case, Entry, Rung
from hexi.kernel.indicator import Figure
from hexi.sim.day_file import Expect, Figures, Totals


class Finding(NamedTuple):
    """One expectation that is not so."""

    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, found {self.found}"


class Seen(NamedTuple):
    """Everything that is known of a case at an instant."""

    case: Case
    log: list[Entry]
    texts: list[str]


def judge_case(expect: Expect, seen: Seen) -> list[Finding]:
    """What is expected of a case and not so."""
    case = seen.case
    kinds = {entry.kind for entry in seen.log}
    handed = _handed(case)
    return [
        *_plain(expect, case),
        *_within("told", expect.told, handed),
        *_without("not_told", expect.not_told, handed),
        *_within("answered", expect.answered, _roles(case, answered=True)),
        *_within("unanswered", expect.unanswered, _roles(case, answered=False)),
        *_within("kept", expect.kept, {n for n, p in case.promises.items() if p.kept and not p.missed}),
        *_within("missed", expect.missed, {n for n, p in case.promises.items() if p.missed}),
        *_within("entries", expect.entries, kinds),
        *_without("no_entries", expect.no_entries, kinds),
        *_within("flags", expect.flags, case.flags),
        *_said(expect.said, seen.texts),
    ]


def _plain(expect: Expect, case: Case) -> Iterator[Finding]:
    found: dict[str, Any] = {
        "state": case.state.value,
        "severity": case.severity.value,
        "level": case.level,
        "drill": case.drill,
        "asked": case.asked,
        "outcome": case.outcome,
        "signals": len(case.signals),
    }
    for name, value in found.items():
        wanted = getattr(expect, name)
        if wanted is not None and wanted != value:
            yield Finding(name, str(wanted), str(value))


def _handed(case: Case) -> set[str]:
    """Who was handed a notice, alone and with the way: ``contact:C1``, ``contact:C1 by call``."""
    handed = [n for n in case.notices.values() if Rung.HANDED_OVER in n.rungs]
    return {n.recipient for n in handed} | {f"{n.recipient} by {n.way}" for n in handed}


def _roles(case: Case, *, answered: bool) -> set[str]:
    told = {name: role for name, role in case.roles.items() if role.told}
    return {name for name, role in told.items() if (role.satisfied and bool(role.acknowledged)) is answered}


def _within(what: str, wanted: Collection[str], found: Collection[str]) -> Iterator[Finding]:
    missing = [item for item in wanted if item not in found]
    if missing:
        yield Finding(what, ", ".join(missing), ", ".join(sorted(found)) or "nobody and nothing")


def _without(what: str, unwanted: Collection[str], found: Collection[str]) -> Iterator[Finding]:
    present = [item for item in unwanted if item in found]
    if present:
        yield Finding(what, f"none of {', '.join(unwanted)}", ", ".join(present))


def _said(wanted: Collection[str], texts: Collection[str]) -> Iterator[Finding]:
    for words in wanted:
        if not any(words in text for text in texts):
            yield Finding("said", repr(words), " | ".join(sorted(set(texts))) or "no notice")


def judge_totals(wanted: Totals, found: dict[str, int]) -> list[Finding]:
    """Counts over the day that are not as expected."""
    expected = {name: getattr(wanted, name) for name in found}
    return [
        Finding(f"totals.{name}", str(number), str(found[name]))
        for name, number in expected.items()
        if number is not None and number != found[name]
    ]


def judge_figure(name: str, wanted: Figures, found: Figure) -> list[Finding]:
    """An indicator that does not show what is expected."""
    pairs = {"counted": found.counted, "hits": found.hits, "value": found.value}
    return [
        Finding(f"indicators.{name}.{part}", str(getattr(wanted, part)), str(value))
        for part, value in pairs.items()
        if getattr(wanted, part) is not None and not _close(getattr(wanted, part), value)
    ]


def _close(wanted: float, found: float | None) -> bool:
    return found is not None and abs(wanted - found) < 0.0005
