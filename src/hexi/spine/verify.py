"""Verify: whether a case may close, and what it still needs; asked by screens before the act."""

from __future__ import annotations

from hexi.kernel.case import ALLOWED, Act, Case
from hexi.spine.close import missing_evidence


def allowed_acts(case: Case) -> list[Act]:
    """The acts that the case allows now, in the order of the table."""
    return [act for act in Act if case.state in ALLOWED[act]]


def may_close(case: Case) -> bool:
    """Whether all evidence is there."""
    return case.is_open and not missing_evidence(case)
