"""A played day in plain words: one line for everything that came in, happened to a case, or was expected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from hexi.kernel.case import Entry
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import HOUR, MINUTE, SECOND, Duration, Instant
from hexi.kernel.text import Text
from hexi.sim.day import DayReport, Moment, Story
from hexi.sim.day_file import Event

_IN, _CASE, _EXPECTED = range(3)
"""In what order lines of one instant are read."""

_WORDS = {
    "reported": Text(zh="上报", en="reported"),
    "joined": Text(zh="又一信号归入本案", en="another signal joins"),
    "raised": Text(zh="并入场景", en="scenario joins"),
    "asked": Text(zh="先问本人", en="the person is asked first"),
    "answered": Text(zh="问候结果", en="the question's answer"),
    "opened": Text(zh="立案", en="opened"),
    "told": Text(zh="通知", en="told"),
    "failed": Text(zh="未送达", en="not delivered"),
    "unreached": Text(zh="无人可通知", en="nobody to tell"),
    "skipped": Text(zh="不再需要的步骤", en="a step is not needed any more"),
    "acknowledged": Text(zh="应答", en="acknowledged"),
    "declined": Text(zh="去不了", en="cannot come"),
    "set_off": Text(zh="出发", en="set off"),
    "arrived": Text(zh="到场", en="arrived"),
    "handled": Text(zh="处置完毕", en="handled"),
    "missed": Text(zh="时限已破", en="a promise is broken"),
    "escalated": Text(zh="升级", en="escalated"),
    "whistled": Text(zh="吹哨", en="whistled"),
    "checked_in": Text(zh="报到", en="checked in"),
    "task_done": Text(zh="任务完成", en="task done"),
    "called": Text(zh="拨打", en="called"),
    "cleared": Text(zh="情况解除", en="the trouble is over"),
    "cancelled": Text(zh="本人取消", en="taken back"),
    "verified": Text(zh="核查", en="verified"),
    "false_alarm": Text(zh="误报", en="false alarm"),
    "closed": Text(zh="结案", en="closed"),
    "rejected": Text(zh="不予立案", en="rejected"),
    "reopened": Text(zh="重新立案", en="reopened"),
}
"""Entries of a case that are worth a line."""


_VALUES = {
    "well": Text(zh="平安", en="well"),
    "help": Text(zh="需要帮助", en="help"),
    "silence": Text(zh="没有回答", en="silence"),
    "unreachable": Text(zh="联系不上", en="out of reach"),
    "taken": Text(zh="已有人接手", en="somebody has taken it"),
    "overtaken": Text(zh="又有呼救", en="a cry has come meanwhile"),
    "closed": Text(zh="结案", en="closed"),
    "street": Text(zh="街道", en="street"),
    "district": Text(zh="区", en="district"),
}
"""Answers, levels and promises as people say them."""


class Line(NamedTuple):
    """One line: time since midnight, which case (its last letters), the words."""

    at: Duration
    case: str
    text: Text
    ok: bool | None = None
    """For an expectation: whether it was so."""

    @property
    def clock(self) -> str:
        """``03:10:00``; the end of the day is ``24:00:00``."""
        return f"{self.at // HOUR:02}:{self.at % HOUR // MINUTE:02}:{self.at % MINUTE // SECOND:02}"


def timeline(report: DayReport, catalogue: Catalogue) -> list[Line]:
    """Every line of the day in the order it came."""
    teller = _Teller(report, catalogue)
    ranked = [(_rank(moment), line) for moment in report.moments for line in teller.moment(moment)]
    ranked += [(_CASE, line) for story in report.stories for line in teller.story(story)]
    return [line for _, line in sorted(ranked, key=lambda pair: (pair[1].at, pair[0]))]


def _rank(moment: Moment) -> int:
    return _IN if moment.event else _EXPECTED


class _Teller:
    """Finds the words."""

    def __init__(self, report: DayReport, catalogue: Catalogue) -> None:
        self._report = report
        self._catalogue = catalogue

    def name(self, ref: str | None) -> str:
        """A record's name, or the reference itself."""
        return self._report.names.get(ref or "", ref or "")

    def moment(self, moment: Moment) -> Iterator[Line]:
        at = self._since_midnight(moment.at)
        if moment.event:
            text = self._event(moment.event)
            if text:
                yield Line(at, "", text)
        for finding in moment.findings:
            named = moment.expect.case if moment.expect and moment.expect.case else ""
            said = f"{named} {finding}".strip()
            yield Line(at, "", Text(zh=said, en=said), ok=False)
        if moment.expect and not moment.findings:
            yield Line(at, "", self._expected(moment), ok=True)

    def _since_midnight(self, at: Instant) -> Duration:
        return at - self._report.day.begins

    def _expected(self, moment: Moment) -> Text:
        expect = moment.expect
        assert expect is not None
        whole = Text(zh="全天合计", en="the whole day")
        return expect.why or (_same(str(expect.case)) if expect.case else whole)

    def _event(self, event: Event) -> Text | None:
        """What came in; an act shows in its case's log."""
        if event.signal:
            known = self._catalogue.kinds.get(event.signal.kind)
            title = known.title if known else Text(zh=event.signal.kind, en=event.signal.kind)
            return _beside(title, self.name(event.signal.subject))
        if event.fault:
            words = {
                "fails": ("不通", "fails"),
                "hangs": ("无响应", "hangs"),
                "works": ("恢复", "works again"),
            }
            zh, en = words[event.fault.does]
            where = " ".join(part for part in (self.name(event.fault.to), event.fault.way) if part)
            return _beside(Text(zh=zh, en=en), where or "*")
        if event.record:
            return _beside(Text(zh="档案变更", en="record changed"), f"{event.record.kind}:{event.record.id}")
        return None

    def story(self, story: Story) -> Iterator[Line]:
        short = story.case.id.rpartition("-")[2]
        shown = (entry for entry in story.log if entry.kind in _WORDS)
        for (at, kind), entries in groupby(shown, key=lambda entry: (entry.at, entry.kind)):
            detail = self._detail(kind, list(entries))
            yield Line(self._since_midnight(at), short, _together(_WORDS[kind], detail))

    def _detail(self, kind: str, entries: list[Entry]) -> Text | None:
        body = entries[0].body
        if kind == "reported":
            title = self._catalogue.title(body["scenario"])
            return _beside(title, self.name(body.get("subject") or body.get("device")))
        if kind == "told":
            return _same(self._people(entries))
        for name in ("promise", "level", "answer", "number", "unit"):
            if name in body:
                value = str(body[name])
                return _VALUES.get(value) or _WORDS.get(value) or _same(value)
        return None if entries[0].by == "system" else _same(self.name(entries[0].by))

    def _people(self, entries: Iterable[Entry]) -> str:
        ways: dict[str, list[str]] = {}
        for entry in entries:
            ways.setdefault(entry.body["recipient"], []).append(entry.body["way"])
        return ", ".join(f"{self.name(ref)} ({'/'.join(by)})" for ref, by in ways.items())


def _same(words: str) -> Text:
    return Text(zh=words, en=words)


def _together(title: Text, detail: Text | None) -> Text:
    return Text(zh=f"{title.zh}：{detail.zh}", en=f"{title.en}: {detail.en}") if detail else title


def _beside(title: Text, detail: str) -> Text:
    return Text(zh=f"{title.zh}：{detail}", en=f"{title.en}: {detail}") if detail else title
