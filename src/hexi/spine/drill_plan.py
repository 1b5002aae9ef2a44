"""The plan of a drill: which signals come when, who answers after how long, which promises must hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from hexi.kernel.clock import MINUTE, SECOND, Duration, parse_duration
from hexi.kernel.text import Text

MOST_PEOPLE = 50
"""Homes that one drill may be about."""

JUDGED = ("told", "answered", "acknowledged", "set_off", "arrived", "escalated", "told_spread")
"""What a plan can promise."""

Act = Literal["acknowledged", "declined", "set_off", "arrived", "well", "help"]


class Cast(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whom the drill is about: devices of a type whose owners have somebody to be told."""

    device: str
    many: Annotated[int, msgspec.Meta(ge=1, le=MOST_PEOPLE)] = 1


class PlannedSignal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A signal of each device of the cast, ``after`` the drill began."""

    kind: str
    after: Duration = 0
    data: dict[str, Any] = {}


class PlannedAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the drill answers for a role, ``after`` that role was told; ``who``: the first told, or each."""

    role: str
    act: Act
    after: Duration
    who: Literal["first", "all"] = "first"


class DrillPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A drill as its file in ``drills/`` says it; lengths are ``"60s"`` there and milliseconds here."""

    id: str
    title: Text
    about: Text
    lasts: Duration
    cast: Cast
    signal: Annotated[tuple[PlannedSignal, ...], msgspec.Meta(min_length=1)]
    answer: tuple[PlannedAnswer, ...] = ()
    promises: dict[str, Duration] = {}
    """A milestone (``told``, ``acknowledged``, ``escalated`` ...) or ``told_spread``, and within what."""
    down: tuple[str, ...] = ()
    """Ways out that are played as failing."""


def parse_plan(table: Mapping[str, Any]) -> DrillPlan:
    """A plan from its file; ValueError says what is wrong."""
    plan = msgspec.convert(_measured(table), DrillPlan)
    if not SECOND <= plan.lasts <= 240 * MINUTE:
        raise ValueError("from 1s to 4h - at `$.lasts`")
    return plan


_LENGTHS = frozenset({"lasts", "after"})


def _measured(value: Any, name: str = "", above: str = "", path: str = "$") -> Any:
    """The same with every length in milliseconds; what a signal's data holds is left alone."""
    if isinstance(value, Mapping) and name != "data":
        return {key: _measured(one, key, name, f"{path}.{key}") for key, one in value.items()}
    if isinstance(value, list):
        return [_measured(one, "", name, f"{path}[{number}]") for number, one in enumerate(value)]
    if isinstance(value, str) and (name in _LENGTHS or above == "promises"):
        return _length(value, path)
    return value


def _length(said: str, path: str) -> Duration:
    try:
        return parse_duration(said)
    except ValueError as error:
        raise ValueError(f"{error} - at `{path}`") from None
