"""Telephones of a simulated day: a notice is handed over at once, unless a fault says otherwise."""

from __future__ import annotations

from hexi.kernel.case import Rung
from hexi.kernel.clock import Instant
from hexi.kernel.response import Notice, Receipt


class Phones:
    """Every way out to people, with the faults that hold now."""

    def __init__(self) -> None:
        self._faults: dict[tuple[str | None, str | None], str] = {}
        self._hanging: dict[str, tuple[str | None, str | None]] = {}

    def set(self, does: str, way: str | None, to: str | None) -> None:
        """A fault begins for a way, a person, or both; ``works`` ends it and what hung goes through again."""
        if does == "works":
            self._faults.pop((way, to), None)
            self._hanging = {n: fault for n, fault in self._hanging.items() if fault != (way, to)}
        else:
            self._faults[way, to] = does

    def hangs(self, notice_id: str) -> bool:
        """Whether the notice is still on a line that never answers."""
        return notice_id in self._hanging

    def send(self, notice: Notice, now: Instant) -> Receipt | None:
        """The receipt, or None while the line hangs."""
        for fault in (
            (notice.way, notice.recipient),
            (None, notice.recipient),
            (notice.way, None),
            (None, None),
        ):
            does = self._faults.get(fault)
            if does == "hangs":
                self._hanging[notice.id] = fault
                return None
            if does == "fails":
                return Receipt(notice_id=notice.id, at=now, error="out of reach")
        return Receipt(notice_id=notice.id, at=now, rung=Rung.HANDED_OVER)
