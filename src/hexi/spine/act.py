"""Act: what people do to a case, each allowed or refused by the one table of the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hexi.kernel.case import ALLOWED, Act, Case, Rung
from hexi.kernel.clock import MINUTE, parse_duration
from hexi.kernel.place import distance_m, point_in
from hexi.kernel.record import NOTE, Record
from hexi.kernel.signal import ACT_PREFIX, Flag, Signal
from hexi.kernel.text import Text
from hexi.spine import ask, close, escalate, merge, notify
from hexi.spine.work import CaseFile, RefusedError, Work

NEAR_ENOUGH_M = 150.0
"""An arrival is proven by place within this distance: a building and the error of a telephone's fix."""

CHECK_IN_WITHIN = 30 * MINUTE
"""A whistled unit reports within this time unless the whistle says otherwise."""

_EVIDENCE = frozenset({"outcome", "text", "photo", "location"})


class Doing:
    """One act on one case: who, by which way, with what."""

    def __init__(self, work: Work, file: CaseFile, signal: Signal) -> None:
        self.work = work
        self.file = file
        self.data: dict[str, Any] = signal.data
        self.by = str(signal.data.get("by") or "user:unknown")
        self.via = str(signal.data.get("via") or signal.source)[:40]
        self.role = self._role()

    @property
    def case(self) -> Case:
        """The case acted upon."""
        return self.file.case

    def _role(self) -> str:
        named = self.data.get("role")
        if isinstance(named, str) and named:
            return named
        told = [name for name, role in self.case.roles.items() if self.by in role.told]
        if told:
            return told[0]
        return "duty" if self.by.startswith("user:") and "duty" in self.case.roles else "desk"

    def log(self, kind: str, **body: Any) -> None:
        """Log in the actor's name."""
        self.file.log(kind, self.by, self.via, **body)

    def text(self, name: str, *, needed: str = "") -> str | None:
        """A text of the act; refused when it is needed and missing."""
        value = self.data.get(name)
        text = value.strip()[:4_000] if isinstance(value, str) else ""
        if needed and not text:
            raise RefusedError(f"请填写{needed}", f"say the {name.replace('_', ' ')} first")
        return text or None

    def note(self, text: str | None) -> str | None:
        """Keep words in a record of their own, so that the log holds only its id."""
        if text is None:
            return None
        identity = f"{self.case.id}-{self.case.version + 1}"
        data = {"case": self.case.id, "text": text}
        self.work.tx.records.put(
            Record(kind=NOTE, id=identity, version=0, data=data, at=self.work.now, by=self.by)
        )
        return identity


def do(work: Work, signal: Signal) -> str:
    """Do an act; returns the case. RefusedError when it is unknown or not allowed now."""
    case_id = (signal.subject or "").removeprefix("case:")
    file = work.case(case_id)
    if file is None:
        raise RefusedError(f"没有案件 {case_id}", f"there is no case {case_id}")
    name = signal.kind.removeprefix(ACT_PREFIX)
    if name not in ALLOWED:
        raise RefusedError(f"没有“{name}”这个操作", f"there is no act {name!r}")
    if Flag.DRILL in signal.flags and not file.case.drill:
        raise RefusedError(f"{case_id} 不是演练", f"{case_id} is not a drill")
    act = Act(name)
    if act is not Act.UNMERGED:  # an answer to a merged case counts for the one it was merged into
        file = work.surviving(case_id) or file
    if file.case.state not in ALLOWED[act]:
        state = file.case.state
        raise RefusedError(
            f"案件现为“{_STATES[state]}”，不能这样操作", f"not possible while the case is {state}"
        )
    _ACTS[act](Doing(work, file, signal))
    return file.case.id


_STATES = {
    "reported": "上报",
    "accepted": "受理",
    "opened": "立案",
    "dispatched": "派遣",
    "handled": "处置",
    "verified": "核查",
    "closed": "结案",
    "rejected": "不予立案",
    "merged": "已并案",
    "reopened": "重新立案",
}


def _acknowledged(doing: Doing) -> None:
    _answer(doing, "acknowledged")


def _answer(doing: Doing, kind: str, **body: Any) -> None:
    role = doing.case.roles.get(doing.role)
    said = getattr(role, kind).get(doing.by) if role else None
    if said is None or said < escalate.last_told(doing.case):
        doing.log(kind, role=doing.role, **body)
    _climb(doing, kind)
    doing.work.tx.notices.drop(doing.case.id, [doing.by])
    if doing.case.asked == "waiting":
        ask.go_on(doing.work, doing.file, "taken", doing.by, doing.via)


_RUNG_OF = {"set_off": Rung.UNDER_WAY, "arrived": Rung.ARRIVED}


def _climb(doing: Doing, kind: str) -> None:
    """An answer that came through a notice is that notice's own evidence; no other rung follows from it."""
    notice = doing.case.notices.get(str(doing.data.get("notice")))
    rung = _RUNG_OF.get(kind, Rung.ANSWERED)
    if notice and rung not in notice.rungs:
        evidence = {"act": kind, "by": doing.by}
        doing.log("receipt", notice=doing.data["notice"], rung=rung, at=doing.work.now, evidence=evidence)


def _declined(doing: Doing) -> None:
    """Cannot come. When nobody of a needed role is left, or was relied upon, the case goes up at once."""
    known = doing.case.roles.get(doing.role)
    before = known is not None and doing.by in known.declined
    relied_on = known is not None and known.need != 0 and known.satisfied
    _answer(doing, "declined", note=doing.note(doing.text("reason")))
    role = doing.case.roles[doing.role]
    left = [ref for ref in role.told if ref not in role.declined]
    nobody = bool(role.told) and not left and not role.acknowledged
    if role.need and not before and (nobody or (relied_on and not role.satisfied)):
        escalate.up(doing.work, doing.file, reason=f"{doing.role}.declined")


def _set_off(doing: Doing) -> None:
    _answer(doing, "acknowledged")
    _answer(doing, "set_off")


def _arrived(doing: Doing) -> None:
    """Claimed, or proven by a code on the spot or by the telephone's position."""
    distance = _distance(doing)
    proof = doing.data.get("proof")
    proven = proof == "qr" or (distance is not None and distance <= NEAR_ENOUGH_M)
    named = ("qr" if proof == "qr" else "place") if proven else "claimed"
    _answer(doing, "acknowledged")
    _answer(doing, "arrived", proof=named, distance=distance)
    if proven and not _proven(doing):
        doing.log("arrived", role=doing.role, proof=named, distance=distance)


def _proven(doing: Doing) -> bool:
    """Whether an arrival of this person stands in the log with a proof; a word alone may be proven later."""
    log = (*doing.work.tx.cases.log(doing.case.id), *doing.file.fresh)
    return any(e.kind == "arrived" and e.by == doing.by and e.body.get("proof") != "claimed" for e in log)


def _distance(doing: Doing) -> float | None:
    here, there = point_in(doing.data), doing.case.place.point
    return round(distance_m(here, there), 1) if here and there else None


def _handled(doing: Doing) -> None:
    text = doing.text("outcome", needed="处置结果")
    doing.log("evidence", type="outcome", note=doing.note(text))
    doing.log("handled", role=doing.role)


def _evidence(doing: Doing) -> None:
    kind = doing.data.get("type")
    if kind not in _EVIDENCE:
        raise RefusedError(
            "凭证类型应为 outcome、text、photo 或 location", "evidence is outcome, text, photo or location"
        )
    file = doing.text("file")
    if kind == "photo" and file is None:
        raise RefusedError("请附上照片", "attach the photo first")
    words = doing.text("text", needed="" if file or kind == "location" else "内容")
    place = {name: doing.data[name] for name in ("lon", "lat") if kind == "location" and name in doing.data}
    doing.log("evidence", type=kind, note=doing.note(words), file=file, **place)


def _commented(doing: Doing) -> None:
    doing.log("commented", note=doing.note(doing.text("text", needed="内容")))


def _whistled(doing: Doing) -> None:
    """吹哨: a unit is called in, and has to report."""
    ref = f"unit:{doing.text('unit', needed='单位')}"
    recipient = doing.work.directory.recipient(ref)
    if recipient is None:
        raise RefusedError(f"通讯录中没有单位 {ref[5:]}", f"the directory has no unit {ref[5:]}")
    task = f"whistle#{len(doing.case.tasks) + 1}"
    words = doing.text("text")
    due = doing.work.now + _within(doing)
    doing.log("whistled", unit=ref, task=task, note=doing.note(words))
    title = {"zh": f"到场协同处置：{recipient.name}", "en": f"Report and help: {recipient.name}"}
    doing.log("task_given", task=task, owner=ref, title=title, due=due)
    escalate.await_task(doing.work, doing.file, task)
    doing.log("planned", step=task, role=ref, need=1, due=doing.work.now)
    doing.log("stepped", step=task)
    said = words or "{scenario}：{subject}，{place}"
    text = Text(zh=f"【吹哨】{said}。回复 1 报到。", en=f"[WHISTLE] {said}. Reply 1 to report.")
    message = notify.Message(
        step=task, role=ref, by=("app", "call"), text=text, replies={"1": "checked_in"}, else_by=("sms",)
    )
    notify.tell(doing.work, doing.file, [recipient], message)


def _within(doing: Doing) -> int:
    given = doing.text("within")
    try:
        return parse_duration(given) if given else CHECK_IN_WITHIN
    except ValueError as error:
        raise RefusedError(f"时限写法不对：{given}（如 30m）", str(error)) from error


def _task(doing: Doing) -> str:
    """The task named by the act, else the actor's own oldest that is not done."""
    named = doing.data.get("task")
    if named in doing.case.tasks:
        return str(named)
    mine = [k for k, t in doing.case.tasks.items() if t.owner in {doing.by, doing.role} and t.done is None]
    if not mine:
        raise RefusedError("没有待办任务", "there is no such task")
    return mine[0]


def _checked_in(doing: Doing) -> None:
    """报到: the whistled unit answers."""
    doing.log("checked_in", task=_task(doing))
    _answer(doing, "acknowledged")


def _task_done(doing: Doing) -> None:
    doing.log("task_done", task=_task(doing))


def _called(doing: Doing) -> None:
    """120 or 119 was called by a person; what was said is kept."""
    number = doing.text("number", needed="号码")
    doing.log("called", number=number, note=doing.note(doing.text("said")))


def _well(doing: Doing) -> None:
    """The person is well: while asked that closes the case, later the desk has to verify."""
    if doing.case.asked != "waiting":
        _cancelled(doing)
        return
    doing.log("answered", answer="well")
    close.end(doing.work, doing.file, "closed", doing.by, doing.via, outcome="well")


def _help(doing: Doing) -> None:
    if doing.case.asked == "waiting":
        ask.go_on(doing.work, doing.file, "help", doing.by, doing.via)
    elif not doing.case.is_open:
        doing.log("asked_again")
        close.reopen(doing.work, doing.file, by="system", reason="help")
    else:
        doing.log("asked_again")


def _cancelled(doing: Doing) -> None:
    """The person takes the cry back: noted, told on the desk, and never a closing by itself."""
    doing.log("cancelled")


def _false_alarm(doing: Doing) -> None:
    reason = doing.text("reason", needed="误报原因")
    doing.log("false_alarm", reason="marked", note=doing.note(reason))
    close.end(doing.work, doing.file, "rejected", doing.by, doing.via, outcome="false_alarm")
    close.report_false(doing.work, doing.case)


def _verified(doing: Doing) -> None:
    doing.log("verified", note=doing.note(doing.text("text")))


def _closed(doing: Doing) -> None:
    """Closes only with the evidence that its scenarios ask for."""
    outcome = doing.text("outcome")
    missing = close.missing_evidence(doing.case, {"outcome"} if outcome else set())
    if missing:
        raise RefusedError(
            "还缺凭证：" + "、".join(close.EVIDENCE_NAMES.get(m, Text(zh=m, en=m)).zh for m in missing),
            "evidence is missing: "
            + ", ".join(close.EVIDENCE_NAMES.get(m, Text(zh=m, en=m)).en for m in missing),
        )
    if outcome:
        doing.log("evidence", type="outcome", note=doing.note(outcome))
    close.end(doing.work, doing.file, "closed", doing.by, doing.via, outcome="done")


def _reopened(doing: Doing) -> None:
    reason = doing.text("reason", needed="重新立案的原因")
    close.reopen(doing.work, doing.file, doing.by, doing.via, note=doing.note(reason))


def _merged(doing: Doing) -> None:
    into = doing.text("into", needed="并入的案件编号") or ""
    merge.merge(doing.work, doing.file, into, doing.by, doing.via)


def _unmerged(doing: Doing) -> None:
    merge.unmerge(doing.work, doing.file, doing.by, doing.via)


_ACTS: dict[Act, Callable[[Doing], None]] = {
    Act.ACKNOWLEDGED: _acknowledged,
    Act.DECLINED: _declined,
    Act.SET_OFF: _set_off,
    Act.ARRIVED: _arrived,
    Act.HANDLED: _handled,
    Act.EVIDENCE: _evidence,
    Act.COMMENTED: _commented,
    Act.WHISTLED: _whistled,
    Act.CHECKED_IN: _checked_in,
    Act.CALLED: _called,
    Act.TASK_DONE: _task_done,
    Act.WELL: _well,
    Act.HELP: _help,
    Act.CANCELLED: _cancelled,
    Act.FALSE_ALARM: _false_alarm,
    Act.VERIFIED: _verified,
    Act.CLOSED: _closed,
    Act.REOPENED: _reopened,
    Act.MERGED: _merged,
    Act.UNMERGED: _unmerged,
}
