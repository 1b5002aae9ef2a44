"""The report as a workbook: numbers as numbers, so that they can be counted on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import Any

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from hexi.adapters.report.words import METHOD, TITLES, Labels, month_title, stamp, why
from hexi.kernel.clock import LOCAL, SECOND, Duration, Instant, to_datetime
from hexi.kernel.report import PROMISES, Group, Line, MonthReport, month_before
from hexi.kernel.text import Text

Cell = str | int | float | datetime | None
Row = list[Cell]
_HEAD = Font(bold=True, color="FFFFFF")
_FILL = PatternFill("solid", fgColor="1F4E5F")
_PERCENT, _SECONDS, _WHEN = "0.0%", "0.0", "yyyy-mm-dd hh:mm:ss"
_LINE = ("承诺 Promise", "计入 Counted", "兑现 Kept", "未兑现 Missed", "兑现率 Share kept")
_LENGTHS = ("中位(秒) Median (s)", "P95(秒) P95 (s)")
_REST = ("未到时 Not yet due", "不再负有 No longer owed")


def write_xlsx(report: MonthReport, labels: Labels) -> bytes:
    """The workbook's bytes."""
    book = Workbook()
    book.remove(book.active)
    _sheet(book, "总览 Overview", _overview(report), _about(report, labels))
    _sheet(book, "街道 Streets", _grouped(report.streets, "街道 Street", labels.place))
    _sheet(book, "场景 Scenarios", _grouped(report.scenarios, "场景 Scenario", labels.scenario))
    _sheet(book, "未兑现 Missed", _missed(report, labels))
    _sheet(
        book,
        "凭证 Evidence",
        [["案件 Case", "SHA-256"], *_digests(report)],
    )
    content = BytesIO()
    book.save(content)
    return content.getvalue()


def _sheet(book: Workbook, name: str, rows: Sequence[Row], notes: Sequence[Row] = ()) -> None:
    sheet = book.create_sheet(name)
    for row in rows:
        sheet.append([_plain(cell) for cell in row])
    for cell in sheet[1]:
        cell.font, cell.fill = _HEAD, _FILL
        cell.alignment = Alignment(wrap_text=True, vertical="center")
    sheet.freeze_panes = "A2"
    _dress(sheet, rows)
    for row in notes:
        sheet.append(row)
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", "9"
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True


def _plain(cell: Cell) -> Cell:
    """Text that a spreadsheet would take for a formula stays text."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in {"=", "+", "@"} else cell


def _dress(sheet: Any, rows: Sequence[Row]) -> None:
    """Column widths by their content, and the form of numbers by their heading."""
    for number, head in enumerate(rows[0], 1):
        said = [str(row[number - 1] or "") for row in rows]
        wide = max(sum(2 if ord(c) > 0x2E80 else 1 for c in one) for one in said)
        sheet.column_dimensions[get_column_letter(number)].width = min(60, max(11, wide * 0.8 + 2))
        form = _form(str(head))
        for (cell,) in sheet.iter_rows(2, len(rows), number, number) if form else ():
            cell.number_format = form


def _form(head: str) -> str:
    if "Share" in head or "Target" in head:
        return _PERCENT
    if "(s)" in head:
        return _SECONDS
    return _WHEN if head.startswith(("起点", "到时")) else ""


def _overview(report: MonthReport) -> list[Row]:
    head: Row = [*_LINE, "上月 Share before", "目标 Target", *_LENGTHS, *_REST]
    from_before = {line.promise: line.share for line in report.before}
    targets = {promise.id: promise.target for promise in PROMISES}
    return [
        head,
        *(
            [*_line(line), from_before[line.promise], targets[line.promise], *_lengths(line), *_rest(line)]
            for line in report.lines
        ),
    ]


def _line(line: Line) -> Row:
    return [_both(TITLES[line.promise]), line.counted, line.kept, line.missed, line.share]


def _lengths(line: Line) -> Row:
    return [_seconds(line.median), _seconds(line.p95)]


def _rest(line: Line) -> Row:
    return [line.pending, line.free]


def _grouped(groups: Sequence[Group], title: str, name: Any) -> list[Row]:
    head: Row = ["编号 Id", title, *_LINE, *_LENGTHS, *_REST]
    return [
        head,
        *(
            [group.key or "", _both(name(group.key)), *_line(line), *_lengths(line), *_rest(line)]
            for group in groups
            for line in group.lines
        ),
    ]


def _missed(report: MonthReport, labels: Labels) -> list[Row]:
    head: Row = ["承诺 Promise", "案件 Case", "街道 Street", "场景 Scenario", "起点 From", "到时 Due"]
    return [
        [*head, "用时(秒) Took (s)", "原因 Reason"],
        *(
            [
                _both(TITLES[one.promise]),
                one.case,
                labels.place(one.street).zh,
                _both(labels.scenario(one.scenario)),
                _when(one.start),
                _when(one.due),
                _seconds(one.took),
                _both(why(one.why)),
            ]
            for one in report.missed
        ),
    ]


def _about(report: MonthReport, labels: Labels) -> list[Row]:
    covered = report.coverage
    facts: list[tuple[str, Cell]] = [
        ("月份 Month", month_title(report.month).zh),
        ("范围 Area", _both(labels.area(report))),
        ("截至 As of", stamp(report.as_of)),
        ("对比 Month before", month_before(report.month)),
        ("案件 Cases opened", covered.cases),
        ("其中演练 Drills", covered.drills),
        ("其中并案 Merged", covered.merged),
        ("负有承诺 With a promise", covered.counted),
        ("不负这些承诺 Without one", covered.without_promise),
        ("日志条数 Log entries", report.evidence.entries),
        ("凭证 SHA-256", report.evidence.sha256),
    ]
    rows: list[Row] = [[name, value] for name, value in facts]
    method: list[Row] = [[_both(text)] for text in METHOD]
    return [[], *rows, [], *method]


def _digests(report: MonthReport) -> list[Row]:
    return [[case, digest] for case, digest in report.evidence.cases.items()]


def _seconds(span: Duration | None) -> float | None:
    return None if span is None else span / SECOND


def _when(at: Instant) -> datetime:
    """By the district's clocks; a spreadsheet knows no zones."""
    return to_datetime(at, LOCAL).replace(tzinfo=None)


def _both(text: Text) -> str:
    return text.zh if text.zh == text.en else f"{text.zh} {text.en}"
