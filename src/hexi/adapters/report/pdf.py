"""The report on A4, with its font inside, so that it looks and reads the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_LEFT, TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

from hexi.adapters.report.words import (
    METHOD,
    Labels,
    change,
    length,
    minute,
    month_title,
    share,
    stamp,
    why,
)
from hexi.kernel.report import PROMISES, Group, Line, Missed, MonthReport, Promise, month_before
from hexi.kernel.text import Text

FONTS = Path(__file__).resolve().parent / "fonts"
REGULAR, BOLD = "HexiSans", "HexiSans-Bold"
INK, QUIET, RULE, TINT = HexColor("#16262B"), HexColor("#5A6B70"), HexColor("#C9D3D5"), HexColor("#F1F5F5")
GOOD, BAD = HexColor("#1E6B4F"), HexColor("#A8321F")
MARGIN = 16 * mm
WIDTH = A4[0] - 2 * MARGIN - 12
"""Less the padding of the page's frame."""


class FontMissingError(Exception):
    """The report's font is not there; ``make assets`` makes it."""


@cache
def _load_fonts() -> None:
    for name, file in ((REGULAR, "regular.ttf"), (BOLD, "bold.ttf")):
        if not (FONTS / file).exists():
            raise FontMissingError(f"{FONTS / file}: run make assets")
        pdfmetrics.registerFont(TTFont(name, str(FONTS / file)))


def _style(size: float, *, bold: bool = False, color: Any = INK, right: bool = False) -> ParagraphStyle:
    return ParagraphStyle(
        f"{size}{bold}{color}{right}",
        fontName=BOLD if bold else REGULAR,
        fontSize=size,
        leading=size * 1.4,
        textColor=color,
        alignment=TA_RIGHT if right else TA_LEFT,
        wordWrap="CJK",
    )


def write_pdf(report: MonthReport, labels: Labels) -> bytes:
    """The PDF's bytes; FontMissingError where the assets have not been made."""
    _load_fonts()
    content = BytesIO()
    title = f"承诺兑现月报 {month_title(report.month).zh} Promises kept {report.month}"
    document = SimpleDocTemplate(
        content,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=18 * mm,
        title=title,
        author="hexi",
        subject=report.evidence.sha256,
        lang="zh-CN",
        invariant=1,
    )
    foot = _foot(report)
    document.build(_story(report, labels), onFirstPage=foot, onLaterPages=foot)
    return content.getvalue()


def _foot(report: MonthReport) -> Callable[[Any, Any], None]:
    def draw(canvas: Any, _: Any) -> None:
        canvas.saveState()
        canvas.setFont(REGULAR, 7)
        canvas.setFillColor(QUIET)
        canvas.drawString(MARGIN, 10 * mm, f"hexi · {report.month} · 凭证 SHA-256 {report.evidence.sha256}")
        canvas.drawRightString(A4[0] - MARGIN, 10 * mm, str(canvas.getPageNumber()))
        canvas.restoreState()

    return draw


def _story(report: MonthReport, labels: Labels) -> list[Any]:
    return [
        *_head(report, labels),
        _cards(report),
        *_section("各街道", "By street"),
        _group_table(report.streets, labels.place, Text(zh="街道", en="Street")),
        *_section("各场景", "By scenario"),
        _group_table(report.scenarios, labels.scenario, Text(zh="场景", en="Scenario")),
        *_section(f"未兑现的承诺（{len(report.missed)}）", "Promises not kept"),
        _missed_table(report.missed, labels),
        *_section("范围与口径", "Coverage and method"),
        *_method(report),
    ]


def _head(report: MonthReport, labels: Labels) -> list[Any]:
    area, title = labels.area(report), month_title(report.month)
    of = area.zh if area.zh == area.en else f"{area.zh} {area.en}"
    said = f"{of}　·　截至 as of {stamp(report.as_of)}　·　上月 month before {month_before(report.month)}"
    return [
        _text(f"承诺兑现月报　{title.zh}", _style(20, bold=True)),
        _text(f"Promises kept, {title.en}", _style(11, color=QUIET)),
        Spacer(1, 2 * mm),
        _text(said, _style(8.5, color=QUIET)),
        Spacer(1, 5 * mm),
    ]


def _section(zh: str, en: str) -> list[Any]:
    mixed = f'{escape(zh)} <font name="{REGULAR}" size="9" color="#5A6B70">{escape(en)}</font>'
    heading = Paragraph(mixed, _style(12, bold=True))
    heading.keepWithNext = True
    return [Spacer(1, 6 * mm), heading, Spacer(1, 1.5 * mm)]


def _text(said: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(said), style)


def _cards(report: MonthReport) -> Table:
    """The three promises side by side: the share, large, and how it came about."""
    before = {line.promise: line for line in report.before}
    known = {promise.id: promise for promise in PROMISES}
    cells = [_card(known[line.promise], line, before[line.promise]) for line in report.lines]
    table = Table([cells], colWidths=[WIDTH / len(cells)] * len(cells))
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("BACKGROUND", (0, 0), (-1, -1), TINT),
            ("LINEAFTER", (0, 0), (-2, -1), 4, HexColor("#FFFFFF")),
            ("TOPPADDING", (0, 0), (-1, -1), 9),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 10),
            ("LEFTPADDING", (0, 0), (-1, -1), 10),
        ]
    )
    return table


def _card(promise: Promise, line: Line, before: Line) -> list[Paragraph]:
    color = INK if line.share is None else GOOD if line.share >= promise.target else BAD
    target = f"{promise.target * 100:g}%"
    return [
        _text(promise.title.zh, _style(10, bold=True)),
        _text(promise.title.en, _style(7.5, color=QUIET)),
        _text(share(line.share), _style(24, bold=True, color=color)),
        _text(f"{line.kept} / {line.counted}　目标 target {target}", _style(8)),
        _text(f"较上月 vs. before {change(line.share, before.share)}", _style(8)),
        _text(f"中位 median {length(line.median)}　P95 {length(line.p95)}", _style(8)),
        _text(f"未到时 not yet due {line.pending}", _style(8, color=QUIET)),
    ]


_GRID = [
    ("LINEBELOW", (0, 0), (-1, 0), 0.8, INK),
    ("LINEBELOW", (0, 1), (-1, -1), 0.3, RULE),
    ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
    ("TOPPADDING", (0, 0), (-1, -1), 2.5),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ("RIGHTPADDING", (0, 0), (-1, -1), 4),
]


def _table(rows: Sequence[Sequence[Any]], widths: Sequence[float]) -> Any:
    """Rows that go on over pages under their repeated heading."""
    if len(rows) == 1:
        return _text("无 None", _style(8.5, color=QUIET))
    table = Table(list(map(list, rows)), colWidths=[WIDTH * width for width in widths], repeatRows=1)
    table.setStyle(_GRID)
    return table


def _cell(said: str, *, right: bool = False, color: Any = INK) -> Paragraph:
    return _text(said, _style(8, right=right, color=color))


def _heading(*names: str, right_from: int = 99) -> list[Paragraph]:
    style = _style(7.5, bold=True, color=QUIET), _style(7.5, bold=True, color=QUIET, right=True)
    return [_text(name, style[number >= right_from]) for number, name in enumerate(names)]


def _group_table(groups: Sequence[Group], name: Callable[[str | None], Text], title: Text) -> Any:
    heads = [_short(promise.id) for promise in PROMISES]
    rows: list[list[Any]] = [
        _heading(f"{title.zh} {title.en}", *_each(heads), "P95 应答", "P95 到场", right_from=1)
    ]
    rows += [_group_row(group, name(group.key)) for group in groups]
    return _table(rows, (0.27, 0.09, 0.09, 0.09, 0.09, 0.09, 0.09, 0.095, 0.095))


def _short(promise: str) -> str:
    return {"answered_60s": "60 s", "answered_180s": "180 s", "arrived_15m": "15 min"}[promise]


def _each(heads: Sequence[str]) -> list[str]:
    return [name for head in heads for name in (head, "兑现/计入")]


def _group_row(group: Group, title: Text) -> list[Any]:
    row: list[Any] = [_cell(title.zh)]
    targets = {promise.id: promise.target for promise in PROMISES}
    for line in group.lines:
        below = line.share is not None and line.share < targets[line.promise]
        row.append(_cell(share(line.share), right=True, color=BAD if below else INK))
        row.append(_cell(f"{line.kept}/{line.counted}", right=True, color=QUIET))
    return [
        *row,
        _cell(length(group.lines[0].p95), right=True),
        _cell(length(group.lines[-1].p95), right=True),
    ]


def _missed_table(missed: Sequence[Missed], labels: Labels) -> Any:
    rows: list[list[Any]] = [
        _heading("承诺", "案件 Case", "街道 Street", "场景 Scenario", "起点 From", "用时 Took", "原因 Reason")
    ]
    rows += [
        [
            _cell(_short(one.promise)),
            _cell(one.case),
            _cell(labels.place(one.street).zh),
            _cell(labels.scenario(one.scenario).zh),
            _cell(minute(one.start)),
            _cell(length(one.took)),
            _cell(why(one.why).zh),
        ]
        for one in missed
    ]
    return _table(rows, (0.07, 0.17, 0.14, 0.2, 0.13, 0.1, 0.19))


def _method(report: MonthReport) -> list[Any]:
    covered = report.coverage
    facts = (
        f"本月立案 {covered.cases} 件：负有承诺 {covered.counted}，不负这些承诺 {covered.without_promise}，"
        f"演练 {covered.drills}，并入他案 {covered.merged}。日志 {report.evidence.entries} 条。"
    )
    in_english = (
        f"{covered.cases} cases opened: {covered.counted} with a promise, {covered.without_promise} without, "
        f"{covered.drills} drills, {covered.merged} merged; {report.evidence.entries} log entries."
    )
    said = [facts, in_english, *(line for text in METHOD for line in (text.zh, text.en))]
    styles = _style(8.5), _style(7.5, color=QUIET)
    return [_text(line, styles[number % 2]) for number, line in enumerate(said)]
