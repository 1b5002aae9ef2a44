"""The past of a case as lines that people read, made from its log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hexi.kernel.case import Case, Entry
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import Instant
from hexi.web.screens.names import Names
from hexi.web.screens.plan import planned, promises, unless
from hexi.web.screens.words import gettext, listed, mark, say, word


class Line(NamedTuple):
    """One line: when, what, why, and how it is drawn (signal, person, good, bad, plan)."""

    at: Instant
    what: str
    reason: str = ""
    tone: str = ""
    by: str = ""
    via: str = ""

    @property
    def planned(self) -> bool:
        """Still to come."""
        return self.tone == "plan"


class _Said(NamedTuple):
    """How a kind of entry is said; ``%(...)s`` holes are filled from its words."""

    message: str
    tone: str = ""


_SAID: dict[str, _Said] = {
    "reported": _Said(mark("Alarm: %(signal)s"), "signal"),
    "joined": _Said(mark("Another signal: %(signal)s"), "signal"),
    "moved": _Said(mark("The person is elsewhere now"), "bad"),
    "asked_again": _Said(mark("%(by)s asks for help again"), "bad"),
    "raised": _Said(mark("Raised to %(severity)s: %(scenario)s"), "bad"),
    "asked": _Said(mark("The person is asked first")),
    "answered": _Said(mark("Answer to the question: %(answer)s")),
    "opened": _Said(mark("Case opened")),
    "skipped": _Said(mark("Step not needed"), "good"),
    "unreached": _Said(mark("Nobody could be told: %(role)s"), "bad"),
    "failed": _Said(mark("A notice to %(to)s by %(way)s has failed"), "bad"),
    "receipt": _Said(mark("%(to)s: %(rung)s")),
    "acknowledged": _Said(mark("%(by)s acknowledged"), "person"),
    "declined": _Said(mark("%(by)s cannot come"), "person"),
    "set_off": _Said(mark("%(by)s is on the way"), "person"),
    "arrived": _Said(mark("%(by)s has arrived"), "good"),
    "handled": _Said(mark("%(by)s has handled it"), "good"),
    "evidence": _Said(mark("%(by)s added evidence: %(type)s"), "person"),
    "commented": _Said(mark("%(by)s noted"), "person"),
    "whistled": _Said(mark("%(by)s whistled for %(unit)s"), "person"),
    "called": _Said(mark("%(by)s called %(number)s"), "person"),
    "task_given": _Said(mark("Task for %(owner)s: %(title)s")),
    "checked_in": _Said(mark("%(by)s checked in"), "person"),
    "task_done": _Said(mark("Task done"), "good"),
    "missed": _Said(mark("Promise broken: %(promise)s"), "bad"),
    "escalated": _Said(mark("One level up: %(level)s duty desk"), "bad"),
    "cleared": _Said(mark("The trouble is reported over"), "good"),
    "cancelled": _Said(mark("%(by)s cancelled the alarm"), "person"),
    "flagged": _Said(mark("Doubt: %(flags)s")),
    "false_alarm": _Said(mark("%(by)s says false alarm"), "person"),
    "verified": _Said(mark("%(by)s verified"), "good"),
    "closed": _Said(mark("%(by)s closed the case"), "good"),
    "rejected": _Said(mark("%(by)s rejected the case"), "good"),
    "merged": _Said(mark("Merged into %(into)s"), "person"),
    "absorbed": _Said(mark("Took in case %(case)s"), "person"),
    "released": _Said(mark("Released case %(case)s"), "person"),
    "unmerged": _Said(mark("The merge was undone"), "person"),
    "reopened": _Said(mark("%(by)s reopened the case"), "bad"),
}
_QUIET = {"planned", "stepped", "told"}
_TOLD = mark("%(count)s told at the same moment: %(people)s")
_BY = mark("%(name)s (%(ways)s)")
_PROMISED = mark("Promised: %(promise)s")
_AUTOMATIC = mark("%(who)s will be told (%(how)s)")


class Scribe:
    """Writes the lines of one case."""

    def __init__(self, case: Case, catalogue: Catalogue, names: Names) -> None:
        self._case = case
        self._catalogue = catalogue
        self._names = names

    def past(self, log: Sequence[Entry]) -> list[Line]:
        """One line for what happened, with all notices of one moment on one line."""
        lines: list[Line] = []
        moments: set[Instant] = set()
        for entry in log:
            if entry.kind == "told":
                if entry.at not in moments:
                    moments.add(entry.at)
                    lines.append(self._told([e for e in log if e.kind == "told" and e.at == entry.at]))
            elif entry.kind not in _QUIET and not _minor(entry):
                lines.append(self._line(entry))
        return lines

    def to_come(self) -> list[Line]:
        """The plan and the open promises, soonest first."""
        steps = [
            Line(p.at, gettext(_AUTOMATIC, who=p.who, how=p.how) if p.how else p.who, p.reason, "plan")
            for p in planned(self._case, self._catalogue)
        ]
        owed = [
            Line(d.at, gettext(_PROMISED, promise=word("promise", d.name)), d.reason, "plan")
            for d in promises(self._case)
        ]
        return sorted(steps + owed, key=lambda line: line.at)

    def _told(self, entries: list[Entry]) -> Line:
        people: dict[str, list[str]] = {}
        for entry in entries:
            people.setdefault(self._names.of(entry.body["recipient"]), []).append(
                word("way", entry.body["way"])
            )
        said = listed(gettext(_BY, name=name, ways=listed(ways)) for name, ways in people.items())
        return Line(entries[0].at, gettext(_TOLD, count=len(people), people=said))

    def _line(self, entry: Entry) -> Line:
        said = _SAID.get(entry.kind, _Said(entry.kind))
        words = self._words(entry)
        return Line(
            entry.at,
            gettext(said.message, **words),
            self._reason(entry),
            said.tone,
            words["by"] if entry.by != "system" else "",
            word("way", entry.via) if entry.via else "",
        )

    def _words(self, entry: Entry) -> dict[str, Any]:
        """Every hole's word; those that an entry does not have are not asked for."""
        body = entry.body
        notice = self._case.notices.get(body.get("notice", ""))
        return {
            "by": self._names.of(entry.by),
            "signal": self._signal(body),
            "to": self._names.of(notice.recipient) if notice else "",
            "way": word("way", notice.way) if notice else "",
            "scenario": say(self._catalogue.title(body["scenario"])) if body.get("scenario") else "",
            "title": say(body["title"]) if isinstance(body.get("title"), dict) else "",
            "unit": self._names.of(body.get("unit")) if body.get("unit") else "",
            "flags": listed(word("flag", flag) for flag in body.get("flags", [])),
            **{name: word(table, body.get(name, "")) for name, table in _TABLES.items()},
            **{name: body.get(name, "") for name in ("number", "into", "case")},
        }

    def _signal(self, body: dict[str, Any]) -> str:
        kind = str(body.get("signal", {}).get("kind", ""))
        info = self._catalogue.kinds.get(kind)
        return say(info.title) if info else kind

    def _reason(self, entry: Entry) -> str:
        body = entry.body
        if entry.kind == "skipped":
            return (
                unless(body.get("reason")) if "." in str(body.get("reason")) else str(body.get("reason", ""))
            )
        if entry.kind in {"reopened", "escalated", "unreached"}:
            return _known_reason(str(body.get("reason") or ""))
        if entry.kind == "arrived":
            return gettext(_PROOF.get(str(body.get("proof")), ""))
        return self._names.note(body.get("note"))


_TABLES: dict[str, str] = {
    "severity": "severity",
    "answer": "answer",
    "role": "role",
    "rung": "rung",
    "type": "evidence",
    "owner": "role",
    "promise": "promise",
    "level": "level",
}
_REASONS = {
    "reminder": mark("nobody at the last desk has answered"),
    "no address": mark("there is no address"),
    "nobody found": mark("nobody was found"),
}
_PROOF = {
    "claimed": mark("said so"),
    "qr": mark("proven by the code at the door"),
    "place": mark("proven by the telephone's position"),
}
_BROKEN = mark("a promise was broken: %(promise)s")


def _known_reason(code: str) -> str:
    if code in _REASONS:
        return gettext(_REASONS[code])
    said = word("promise", code)
    return gettext(_BROKEN, promise=said) if said != code else code


def _minor(entry: Entry) -> bool:
    """Rungs below seen stand with the person who was told, not on the line."""
    return entry.kind == "receipt" and entry.body["rung"] not in {"L3", "L4", "L5", "L6"}
