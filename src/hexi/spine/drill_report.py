"""The report of a drill: its promises, its notices and what was missed, from the logs of its cases alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from hexi.kernel.case import QUESTION, Case, CaseState, Entry, NoticeTrace
from hexi.kernel.clock import Duration, Instant
from hexi.kernel.fold import rebuild
from hexi.kernel.text import Text
from hexi.spine.drill import DrillState

SPREAD = "told_spread"
"""The promise on the time between the first and the last hand-over of the first moment."""

_ROLE_OF = {"acknowledged": "acknowledged", "set_off": "set_off", "arrived": "arrived"}


class PromiseJudged(msgspec.Struct, frozen=True, kw_only=True):
    """One promise of one case. ``held`` is None when the drill ended before it was due."""

    name: str
    within: Duration
    took: Duration | None
    held: bool | None
    why: Text | None = None


class NoticeSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One notice and every receipt of it: the rung and when, from the moment the case was told."""

    id: str
    role: str
    recipient: str
    way: str
    step: str
    owed_after: Duration
    receipts: dict[str, Duration]
    failed: str | None


class CaseJudged(msgspec.Struct, frozen=True, kw_only=True):
    """One case of the drill; lengths run from its signal."""

    id: str
    scenario: str
    subject: str | None
    street: str | None
    community: str | None
    opened_at: Instant
    open: bool
    promises: list[PromiseJudged]
    told_spread: Duration | None
    notices: list[NoticeSeen]
    unreached: list[str]


class DrillReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a drill has shown; it has passed when every promise was judged and kept."""

    id: str
    plan: str
    title: Text
    live: bool
    send: str
    began: Instant
    ended: Instant | None
    passed: bool
    held: int
    missed: int
    not_judged: int
    cases: list[CaseJudged]


class Beginning(msgspec.Struct, kw_only=True):
    """A drill that has begun; its signals come from ``source``."""

    id: str
    source: str
    send: str


class Seen(msgspec.Struct, kw_only=True):
    """A drill as it stands now, by the platform's clock."""

    now: Instant
    report: DrillReport


Log = tuple[str, Sequence[Entry]]


def judge(identity: str, state: DrillState, logs: Iterable[Log]) -> DrillReport:
    """Measure every case of a drill against the promises of its plan."""
    cases = [_case(state, rebuild(case_id, log), log) for case_id, log in logs]
    held = [promise.held for case in cases for promise in case.promises]
    return DrillReport(
        id=identity,
        plan=state.plan.id,
        title=state.plan.title,
        live=state.live,
        send=state.send,
        began=state.began,
        ended=state.ended,
        passed=bool(held) and state.ended is not None and all(held),
        held=held.count(True),
        missed=held.count(False),
        not_judged=held.count(None),
        cases=cases,
    )


def _case(state: DrillState, case: Case, log: Sequence[Entry]) -> CaseJudged:
    until = min(at for at in (case.closed_at, state.ended, log[-1].at) if at is not None)
    over = until if not case.is_open else None
    return CaseJudged(
        id=case.id,
        scenario=case.scenario,
        subject=case.subject,
        street=case.place.street,
        community=case.place.community,
        opened_at=case.opened_at,
        open=case.is_open,
        promises=[_promise(case, name, within, over) for name, within in state.plan.promises.items()],
        told_spread=_spread(case),
        notices=[_notice(identity, trace, case) for identity, trace in case.notices.items()],
        unreached=[_unreached(entry) for entry in log if entry.kind == "unreached"],
    )


def _spread(case: Case) -> Duration | None:
    handed = case.first_handover()
    return max(handed) - min(handed) if handed else None


def _took(case: Case, name: str) -> Duration | None:
    if name == SPREAD:
        return _spread(case)
    if name == "told":
        handed = case.first_handover()
        return max(handed) - case.opened_at if handed else None
    reached = case.milestones.get(name)
    return None if reached is None else reached - case.opened_at


def _promise(case: Case, name: str, within: Duration, over: Instant | None) -> PromiseJudged:
    took = _took(case, name)
    if took is not None:
        held: bool | None = took <= within
    elif over is None or over - case.opened_at < within:
        held = None
    else:
        held = False
    why = None if held else _why(case, name, took, judged=held is not None)
    return PromiseJudged(name=name, within=within, took=took, held=held, why=why)


def _why(case: Case, name: str, took: Duration | None, *, judged: bool) -> Text:
    if not judged:
        return Text(zh="演练在到时前结束，不作评判", en="the drill ended before it was due; not judged")
    if took is not None:
        return Text(zh="做到了，但超过时限", en="done, but later than promised")
    if not case.notices:
        return Text(zh="没有通知到任何人", en="nobody was told")
    if all(trace.failed for trace in case.notices.values()):
        return Text(zh="所有通知都没有送达", en="no notice was delivered")
    if case.state is CaseState.REJECTED or case.false_alarm:
        return Text(zh="案件按误报结束", en="the case ended as a false alarm")
    return _silent(case, name)


def _silent(case: Case, name: str) -> Text:
    roles = [n for n, role in case.roles.items() if role.need and role.told and not _did(case, n, name)]
    who = ", ".join(roles)
    if not who:
        return Text(zh="没有发生", en="it did not come about")
    return Text(zh=f"已通知但没有做到的角色：{who}", en=f"told, but did not do it: {who}")


def _did(case: Case, role: str, name: str) -> bool:
    return bool(getattr(case.roles[role], _ROLE_OF.get(name, "acknowledged")))


def _notice(identity: str, trace: NoticeTrace, case: Case) -> NoticeSeen:
    return NoticeSeen(
        id=identity,
        role=trace.role if trace.step != QUESTION else "subject",
        recipient=trace.recipient,
        way=trace.way,
        step=trace.step,
        owed_after=trace.t0 - case.opened_at,
        receipts={rung: at - case.opened_at for rung, at in sorted(trace.rungs.items())},
        failed=trace.failed,
    )


def _unreached(entry: Entry) -> str:
    return f"{entry.body['role']} {entry.body['recipient']}: {entry.body['reason']}".replace(" :", ":")
