"""Tables in files: CSV in the encodings people have, and XLSX, read within limits and written safely."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import openpyxl
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils.exceptions import InvalidFileException

from hexi.adapters.cells import protect, tidy
from hexi.kernel.text import Text

MAX_BYTES = 64 * 1024 * 1024
MAX_UNPACKED = 512 * 1024 * 1024
MAX_RATIO = 200
MAX_ROWS = 200_000
MAX_CELLS = 5_000_000
MAX_COLUMNS = 500
MAX_CELL = 1024 * 1024

_ENCODINGS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class SheetError(Exception):
    """A file that cannot be read as a table, in both languages."""

    code = 2
    """The exit code of a command that was given the file."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh} / {en}")
        self.text = Text(zh=zh, en=en)


class Formula(NamedTuple):
    """A cell of an XLSX that holds a formula; its text is never evaluated."""

    text: str


class Sheet(NamedTuple):
    """A table: its headers and its rows, each with the number a spreadsheet shows beside it."""

    headers: list[str]
    rows: list[tuple[int, list[Any]]]


def read_sheet(content: bytes) -> Sheet:
    """The table in a file; SheetError when it is too large or neither CSV nor XLSX."""
    if len(content) > MAX_BYTES:
        raise SheetError(f"文件超过 {MAX_BYTES >> 20} MB", f"the file is larger than {MAX_BYTES >> 20} MB")
    lines = _xlsx_lines(content) if content[:4] == b"PK\x03\x04" else _csv_lines(content)
    return _sheet(lines)


def _sheet(lines: Iterator[tuple[int, Sequence[Any]]]) -> Sheet:
    headers: list[str] = []
    rows: list[tuple[int, list[Any]]] = []
    cells = 0
    for number, line in lines:
        cells += len(line)
        if cells > MAX_CELLS or len(rows) >= MAX_ROWS:
            raise SheetError(
                f"表格太大：最多 {MAX_ROWS} 行、{MAX_CELLS} 个单元格",
                f"the table is too large: at most {MAX_ROWS} rows and {MAX_CELLS} cells",
            )
        if not any(cell not in (None, "") for cell in line):
            continue
        if headers:
            rows.append((number, list(line[:MAX_COLUMNS])))
        else:
            headers = [tidy(cell) for cell in line[:MAX_COLUMNS]]
    if not headers:
        raise SheetError("文件是空的", "the file is empty")
    return Sheet(headers, rows)


def _decode(content: bytes) -> str:
    for mark, encoding in _ENCODINGS:
        if content.startswith(mark):
            return _decode_as(content, encoding)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_as(content, "gb18030")


def _decode_as(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise SheetError(
            "无法识别文件编码：请另存为 UTF-8 或 GBK 的 CSV，或 XLSX",
            "the file's encoding is not known: save it as CSV in UTF-8 or GBK, or as XLSX",
        ) from None


def _csv_lines(content: bytes) -> Iterator[tuple[int, list[str]]]:
    text = _decode(content)
    first = text.partition("\n")[0]
    delimiter = max((",", "\t", ";"), key=first.count)
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    number = 0
    try:
        for line in reader:
            number += 1
            yield number, line
    except csv.Error as error:
        raise SheetError(
            f"第 {number + 1} 行不是 CSV：{error}", f"row {number + 1} is not CSV: {error}"
        ) from None


def _xlsx_lines(content: bytes) -> Iterator[tuple[int, list[Any]]]:
    _check_archive(content)
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
    except (InvalidFileException, KeyError, ValueError, OSError, zipfile.BadZipFile, SyntaxError) as error:
        raise SheetError(f"不是 XLSX 文件：{error}", f"not an XLSX file: {error}") from None
    try:
        page = book.worksheets[0]
        page.reset_dimensions()  # a wrong size in the file would cut rows off or make millions
        for number, cells in enumerate(page.iter_rows(), 1):
            yield number, [Formula(str(c.value)) if c.data_type == "f" else c.value for c in cells]
    finally:
        book.close()


def _check_archive(content: bytes) -> None:
    """An archive that unpacks to far more than it weighs, or that defines entities, is refused unread."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(part.file_size for part in archive.infolist())
            tricky = any(
                _defines_entities(archive, p) for p in archive.infolist() if p.filename.endswith(".xml")
            )
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise SheetError(f"不是 XLSX 文件：{error}", f"not an XLSX file: {error}") from None
    if tricky or size > MAX_UNPACKED or size > MAX_RATIO * len(content) + MAX_CELL:
        raise SheetError("文件解压后过大，拒绝读取", "the file unpacks to far too much and is not read")


def _defines_entities(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    with archive.open(part) as stream:
        return b"<!DOCTYPE" in stream.read(2048)


def write_csv(lines: Iterable[Sequence[str | float]]) -> bytes:
    """A CSV in UTF-8 with its mark, so that spreadsheets show Chinese; nothing in it runs as a formula."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([protect(cell) for cell in line] for line in lines)
    return out.getvalue().encode("utf-8-sig")


def write_xlsx(lines: Iterable[Sequence[str | float]], title: str) -> bytes:
    """An XLSX with a fixed head row; text is written as text, whatever it looks like."""
    book = openpyxl.Workbook(write_only=True)
    page = book.create_sheet(title[:31])
    page.freeze_panes = "B2"
    for number, line in enumerate(lines):
        page.append([_typed(page, cell, head=number == 0) for cell in line])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _typed(page: Any, value: str | float, *, head: bool) -> Any:
    cell = WriteOnlyCell(page, value=protect(value))
    if isinstance(value, str):
        cell.data_type = "s"
    if head:
        cell.font = Font(bold=True)
    return cell
