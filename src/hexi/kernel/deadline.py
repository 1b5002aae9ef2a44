"""Deadlines: rows that fall due. One mechanism for promises, steps, silence, absence and sequences."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from hexi.kernel.clock import Instant


class DeadlineKind(StrEnum):
    """What happens when the row falls due."""

    PROMISE = "promise"
    STEP = "step"
    ASK = "ask"
    REMIND = "remind"
    SILENCE = "silence"
    ABSENCE = "absence"
    SEQUENCE = "sequence"
    DRILL = "drill"


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """One pending deadline. ``key`` is unique: arming it again moves it."""

    key: str
    due_at: Instant
    kind: DeadlineKind
    case_id: str | None = None
    body: dict[str, Any] = {}


def case_key(case_id: str, kind: DeadlineKind, name: str) -> str:
    """The key of a case's own deadline."""
    return f"{case_id}/{kind.value}/{name}"
