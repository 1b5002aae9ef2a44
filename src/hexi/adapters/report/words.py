"""What a report's codes are called, and its figures as people read them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hexi.kernel.clock import LOCAL, SECOND, Duration, Instant, to_datetime
from hexi.kernel.ports import Transaction
from hexi.kernel.report import PROMISES, WHY, MonthReport
from hexi.kernel.text import Text

TITLES = {promise.id: promise.title for promise in PROMISES}
UNKNOWN_PLACE = Text(zh="位置不明", en="place unknown")
DISTRICT = Text(zh="全区", en="the whole district")


class Labels(msgspec.Struct, frozen=True):
    """Names of the places and titles of the scenarios that a report speaks of; no person's."""

    places: Mapping[str, str]
    scenarios: Mapping[str, Text]

    def place(self, code: str | None) -> Text:
        """A place by its name; its code when it has none."""
        if code is None:
            return UNKNOWN_PLACE
        name = self.places.get(code) or code
        return Text(zh=name, en=name)

    def area(self, report: MonthReport) -> Text:
        """What the whole report is about."""
        return self.place(report.place) if report.place else DISTRICT

    def scenario(self, identity: str | None) -> Text:
        """A scenario by its title; its id when its file has gone."""
        return self.scenarios.get(identity or "") or Text(zh=identity or "-", en=identity or "-")


def labels_of(tx: Transaction, report: MonthReport, titles: Mapping[str, Text]) -> Labels:
    """The names of the places that a report speaks of, from their records."""
    codes = {report.place, *(g.key for g in report.streets), *(m.street for m in report.missed)} - {None}
    records = {code: tx.records.get("place", code) for code in codes if code}
    names = {code: str(record.data.get("name") or code) for code, record in records.items() if record}
    return Labels(names, titles)


def share(value: float | None) -> str:
    """``97.5 %``, rounded down so that a broken promise never shows as 100 %; a dash for nothing counted."""
    return "—" if value is None else f"{int(value * 1000 + 1e-9) / 10:.1f}%"


def change(now: float | None, before: float | None) -> str:
    """The change in points against the month before: ``+1.2``."""
    return "—" if now is None or before is None else f"{(now - before) * 100:+.1f}"


def length(span: Duration | None) -> str:
    """``45.2 s`` or ``12:34``; a dash for nothing."""
    if span is None:
        return "—"
    if span < 100 * SECOND:
        return f"{span / SECOND:.1f} s"
    minutes, seconds = divmod(round(span / SECOND), 60)
    return f"{minutes}:{seconds:02}"


def minute(at: Instant) -> str:
    """``11-22 14:02`` by the district's clocks."""
    return f"{to_datetime(at, LOCAL):%m-%d %H:%M}"


def stamp(at: Instant) -> str:
    """``2026-11-22 14:02:11``."""
    return f"{to_datetime(at, LOCAL):%Y-%m-%d %H:%M:%S}"


def month_title(month: str) -> Text:
    """``2026 年 11 月``, ``2026-11``."""
    year, number = month.split("-")
    return Text(zh=f"{year} 年 {int(number)} 月", en=month)


def why(code: str) -> Text:
    """The reason of a missed promise."""
    return WHY.get(code) or Text(zh=code or "-", en=code or "-")


METHOD = (
    Text(
        zh="起点是作出承诺的信号到达平台的时刻；应答指任何人确认、谢绝、出发、到场或判为误报；到场指第一位到场者。",
        en="Counted from the arrival of the signal that made the promise; answered: a person acknowledged, "
        "declined, set off, arrived or found it false; arrived: the first one there.",
    ),
    Text(
        zh="计入：场景所许时限不长于该承诺的报警。不计：演练、已并入他案的案件、问候后报平安的、到时前判为误报的；"
        "未到时的另列。",
        en="Counted: alarms whose scenario promises no less. Not counted: drills, cases merged into others, "
        "elders who said to be well when asked, alarms found false before they were due; those not yet due "
        "stand apart.",
    ),
    Text(
        zh="每个数字都由只增不改的案件日志算出；用 hexi report --verify 可随时重算核对。",
        en="Every figure is counted from the append-only logs of cases; hexi report --verify counts again.",
    ),
)
"""How the figures came about, for the foot of every form of the report."""
