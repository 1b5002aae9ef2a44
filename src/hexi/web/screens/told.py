"""Who was told, by which ways, how far each notice came, and who has not answered."""

from __future__ import annotations

from typing import NamedTuple

from hexi.kernel.case import Case, NoticeTrace, Role, Rung
from hexi.kernel.clock import Instant
from hexi.kernel.ports import Transaction
from hexi.kernel.response import Notice
from hexi.web.screens.names import Names
from hexi.web.screens.words import gettext, mark, word

RUNGS = tuple(rung.value for rung in Rung)
_ANSWERS = ("arrived", "set_off", "declined", "acknowledged")
_FAILED = mark("failed: %(reason)s")


class WayLine(NamedTuple):
    """One notice: its way, the rungs it has reached, and the highest in words."""

    notice: str
    way: str
    rungs: dict[str, Instant]
    said: str
    at: Instant
    failed: bool


class ToldPerson(NamedTuple):
    """One person who was told, and that person's own answer."""

    ref: str
    name: str
    role: str
    role_word: str
    note: str
    phone: str
    ways: list[WayLine]
    answer: str
    answered_at: Instant | None
    text: str

    @property
    def silent(self) -> bool:
        """Told, and has not answered."""
        return self.answered_at is None


def told(case: Case, tx: Transaction, names: Names) -> list[ToldPerson]:
    """Everyone who was told, in the order of telling; the same person in one role once."""
    notices = {notice.id: notice for notice in tx.notices.of_case(case.id)}
    groups: dict[tuple[str, str], list[tuple[str, NoticeTrace]]] = {}
    for identity, trace in case.notices.items():
        groups.setdefault((trace.recipient, trace.role), []).append((identity, trace))
    return [_person(case, names, notices, group) for group in groups.values()]


def _person(
    case: Case, names: Names, notices: dict[str, Notice], group: list[tuple[str, NoticeTrace]]
) -> ToldPerson:
    first = group[0][1]
    notice = notices.get(group[0][0])
    contact = names.contact(first.recipient)
    record = names.record(first.recipient)
    answer, at = _answer(case.roles.get(first.role, Role()), first.recipient)
    return ToldPerson(
        ref=first.recipient,
        name=notice.name if notice else names.of(first.recipient),
        role=first.role,
        role_word=word("role", _shown_role(first)),
        note=contact.relation if contact else "",
        phone=str(record.data.get("phone") or "") if record else "",
        ways=[_way(identity, trace) for identity, trace in group],
        answer=answer,
        answered_at=at,
        text=notice.text if notice else "",
    )


def _shown_role(trace: NoticeTrace) -> str:
    """A centre and a unit are shown as what they are, whatever role they were told in."""
    kind = trace.recipient.partition(":")[0]
    return kind if kind in {"centre", "unit"} else trace.role


def _answer(role: Role, ref: str) -> tuple[str, Instant | None]:
    for name in _ANSWERS:
        at = getattr(role, name).get(ref)
        if at is not None:
            return name, at
    return "", None


def _way(identity: str, trace: NoticeTrace) -> WayLine:
    highest = max(trace.rungs, default="L0")
    said = gettext(_FAILED, reason=trace.failed) if trace.failed else f"{highest} {word('rung', highest)}"
    return WayLine(
        identity, trace.way, trace.rungs, said, trace.rungs.get(highest, trace.t0), bool(trace.failed)
    )


def spread(case: Case) -> int | None:
    """Milliseconds between the first and the last hand-over of the first moment."""
    handed = case.first_handover()
    return max(handed) - min(handed) if handed else None
