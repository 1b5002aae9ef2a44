"""Records from tables and back: import with an error for each bad cell, and export.

A column is found by the field's name, its label in either language or one of its aliases. A row
updates the record with its id; an empty cell leaves the field as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Literal

import msgspec

from hexi.adapters.cells import CLEAR, CellError, read_cell, tidy, write_cell
from hexi.adapters.sheets import Formula, Sheet, SheetError, write_csv, write_xlsx
from hexi.kernel.clock import Instant
from hexi.kernel.ports import Store, Transaction
from hexi.kernel.record import Field, Privacy, Record, RecordKind, check_record
from hexi.kernel.text import Text
from hexi.spine.records import keep

_ID_HEADERS = ("id", "编号", "ID", "标识")
_ID = re.compile(r"[\w.-]{1,64}")
_PAGE = 1_000
_NAMED_LEVELS = frozenset({"district", "street", "community", "grid", "building"})


class RowProblem(msgspec.Struct, frozen=True):
    """One cell that is wrong: the row as a spreadsheet numbers it, the column's header, what stood there."""

    row: int
    column: str
    value: str
    message: Text


class Tally(msgspec.Struct, kw_only=True):
    """How many records an import made, or would make when it is dry or refused."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    written: int = 0


class ImportReport(Tally, kw_only=True):
    """What an import of a table did."""

    kind: str
    rows: int = 0
    unknown_columns: list[str] = []
    hints: dict[str, str] = {}
    """Unknown column -> the header that may have been meant."""
    problems: list[RowProblem] = []
    notes: list[RowProblem] = []
    """Doubts that do not stop a row: a reference to something that is not known yet."""

    @property
    def bad_rows(self) -> int:
        """How many rows have at least one problem."""
        return len({problem.row for problem in self.problems})


class ImportOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How an import is to be done. ``key``: a field that finds the record when the table has no ids."""

    by: str
    at: Instant
    key: str | None = None
    dry_run: bool = False
    skip_bad: bool = False


def import_sheet(
    store: Store,
    kind: RecordKind,
    sheet: Sheet,
    order: ImportOrder,
    progress: Callable[[int], None] = lambda _: None,
) -> ImportReport:
    """Check the whole table, then store its rows in one transaction.

    Nothing is stored when dry, or when a row is bad and ``skip_bad`` is off. SheetError when the
    table has no column of ids and no key is given.
    """
    with store.read() as tx:  # a long look holds up no signal
        report, records = _plan(tx, kind, sheet, order, progress)
        revision = tx.records.revision()
    if order.dry_run or (report.problems and not order.skip_bad):
        return report
    with store.write() as tx:
        if tx.records.revision() != revision:  # somebody changed records in the meantime: look again
            report, records = _plan(tx, kind, sheet, order, progress)
            if report.problems and not order.skip_bad:
                return report
        for record in records:
            keep(tx, {kind.id: kind}, record)
    report.written = len(records)
    return report


def _plan(
    tx: Transaction, kind: RecordKind, sheet: Sheet, order: ImportOrder, progress: Callable[[int], None]
) -> tuple[ImportReport, list[Record]]:
    report = ImportReport(kind=kind.id, rows=len(sheet.rows))
    reader = _Reader(tx, kind, sheet, order, report)
    return report, [record for record in reader.records(progress) if record]


class _Reader:
    """Reads the rows of one sheet into records."""

    def __init__(
        self, tx: Transaction, kind: RecordKind, sheet: Sheet, order: ImportOrder, report: ImportReport
    ) -> None:
        self.tx, self.kind, self.sheet, self.order, self.report = tx, kind, sheet, order, report
        self.id_column, self.columns = _match_columns(kind, sheet.headers, report)
        self.seen: dict[str, int] = {}
        self.names: dict[str, dict[str, list[Record]]] = {}
        self.present: dict[str, set[str]] = {}
        self.by_key, self.next_number = self._index_key()

    def _index_key(self) -> tuple[dict[str, str], int]:
        if self.id_column is not None:
            return {}, 0
        key = self.order.key
        if key is None or key not in self.columns.values():
            raise SheetError(
                "表格没有“编号”列：请加上，或用 --key 指定唯一的一列（如 phone）",
                "the table has no id column: add one, or name a unique column by --key (such as phone)",
            )
        records = list(all_records(self.tx, self.kind.id))
        numbers = [int(r.id[1:]) for r in records if r.id[1:].isascii() and r.id[1:].isdigit()]
        return {str(r.data.get(key)): r.id for r in records if r.data.get(key)}, max(numbers, default=0) + 1

    def records(self, progress: Callable[[int], None]) -> Iterator[Record | None]:
        """The record of each row that is new or changed; None for a bad or unchanged one."""
        for done, (number, line) in enumerate(self.sheet.rows, 1):
            yield self._record(number, line)
            if done % 200 == 0 or done == len(self.sheet.rows):
                progress(done)

    def _record(self, number: int, line: list[Any]) -> Record | None:
        before = len(self.report.problems)
        self._check_width(number, line)
        values = self._values(number, line)
        identity = self._identity(number, line, values)
        if identity is None:
            return None
        known = self.tx.records.get(self.kind.id, identity)
        data = _merged(known.data if known else {}, values)
        self._check(number, line, data)
        if len(self.report.problems) > before:
            return None
        return self._changed(identity, known, data)

    def _check_width(self, number: int, line: list[Any]) -> None:
        """A cell beyond the head row: most often a comma inside a cell of a CSV without quotes."""
        width = len(self.sheet.headers)
        extra = [cell for cell in line[width:] if cell not in (None, "")]
        if extra:
            message = Text(
                zh="比表头多出单元格；含逗号的内容要加引号",
                en="there are more cells than in the head row; quote what has a comma",
            )
            self.report.problems.append(RowProblem(number, str(width + 1), _shown(extra[0]), message))

    def _changed(self, identity: str, known: Record | None, data: dict[str, Any]) -> Record | None:
        if known and known.data == data:
            self.report.unchanged += 1
            return None
        if known:
            self.report.changed += 1
        else:
            self.report.new += 1
        return Record(
            kind=self.kind.id, id=identity, version=0, data=data, at=self.order.at, by=self.order.by
        )

    def _values(self, number: int, line: list[Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for column, name in self.columns.items():
            raw = line[column] if column < len(line) else None
            if tidy(raw) in CLEAR:
                values[name] = _CLEARED
                continue
            try:
                value = self._read(number, column, name, raw)
            except CellError as error:
                self._problem(number, column, raw, error.message)
                continue
            if value is not None:
                values[name] = value
        return values

    def _read(self, number: int, column: int, name: str, raw: Any) -> Any:
        if isinstance(raw, Formula):
            raise CellError("不读取公式，请粘贴为数值", "formulas are not read; paste the values")
        field = self.kind.field[name]
        value = read_cell(name, field, raw)
        if value is not None and field.ref:
            return self._resolve(number, column, field.ref, name, value)
        return value

    def _resolve(self, number: int, column: int, kind: str, field: str, value: str) -> str:
        """The id a reference means: an id, or the name of exactly one record of the kind."""
        known = self.present.setdefault(kind, set())
        if value in known:
            return value
        if self.tx.records.get(kind, value):
            known.add(value)
            return value
        named = self._named(kind).get(value, [])
        if field in _NAMED_LEVELS:
            named = [record for record in named if record.data.get("level") == field]
        if len(named) == 1:
            return named[0].id
        if len(named) > 1:
            raise CellError(f"有 {len(named)} 个同名，请写编号", f"{len(named)} have this name; write the id")
        if kind != self.kind.id:
            note = Text(zh=f"还没有这条记录（{kind}）", en=f"there is no such {kind} yet")
            self.report.notes.append(RowProblem(number, self.sheet.headers[column], value, note))
        return value

    def _named(self, kind: str) -> dict[str, list[Record]]:
        if kind not in self.names:
            table: dict[str, list[Record]] = {}
            # only places: two people may share a name, and a file must never reach the wrong one
            for record in all_records(self.tx, kind) if kind == "place" else ():
                table.setdefault(str(record.data.get("name")), []).append(record)
            self.names[kind] = table
        return self.names[kind]

    def _identity(self, number: int, line: list[Any], values: dict[str, Any]) -> str | None:
        if self.id_column is None:
            identity = self._identity_by_key(number, values)
        else:
            identity = tidy(line[self.id_column]) if self.id_column < len(line) else ""
        if identity is None:
            return None
        message = self._id_fault(identity)
        if message:
            self._problem(number, self.id_column, identity, message)
            return None
        self.seen[identity] = number
        return identity

    def _id_fault(self, identity: str) -> Text | None:
        if not identity:
            return Text(zh="缺少编号", en="the id is missing")
        if not _ID.fullmatch(identity):
            return Text(
                zh="编号只能用字母、数字、点、横线，至多 64 个",
                en="an id has letters, digits, dots and hyphens, at most 64",
            )
        if identity in self.seen:
            row = self.seen[identity]
            return Text(zh=f"编号重复，第 {row} 行已有", en=f"the id stands already in row {row}")
        return None

    def _identity_by_key(self, number: int, values: dict[str, Any]) -> str | None:
        key = str(values.get(self.order.key or "", ""))
        if not key:
            column = next(c for c, name in self.columns.items() if name == self.order.key)
            self._problem(number, column, "", Text(zh="键列不能为空", en="the key may not be empty"))
            return None
        if key not in self.by_key:
            self.by_key[key] = f"{self.kind.id[0].upper()}{self.next_number:06d}"
            self.next_number += 1
        return self.by_key[key]

    def _check(self, number: int, line: list[Any], data: dict[str, Any]) -> None:
        column_of = {name: column for column, name in self.columns.items()}
        reported = {problem.column for problem in self.report.problems if problem.row == number}
        for problem in check_record(self.kind, data):
            column = column_of.get(problem.field)
            header = self.kind.field[problem.field].label.zh if column is None else self.sheet.headers[column]
            if header in reported:
                continue
            raw = line[column] if column is not None and column < len(line) else None
            self.report.problems.append(RowProblem(number, header, _shown(raw), problem.message))

    def _problem(self, number: int, column: int | None, raw: Any, message: Text) -> None:
        header = self.sheet.headers[column] if column is not None else (self.order.key or "id")
        self.report.problems.append(RowProblem(number, header, _shown(raw), message))


_CLEARED = object()


def _merged(old: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    merged = {**old, **values}
    return {name: value for name, value in merged.items() if value is not _CLEARED}


def _shown(raw: Any) -> str:
    text = raw.text if isinstance(raw, Formula) else tidy(raw)
    return text if len(text) <= 60 else text[:57] + "..."


def all_records(tx: Transaction, kind: str) -> Iterator[Record]:
    """Every record of a kind, by id."""
    offset = 0
    while page := tx.records.find(kind, limit=_PAGE, offset=offset):
        yield from page
        offset += len(page)


def _match_columns(
    kind: RecordKind, headers: list[str], report: ImportReport
) -> tuple[int | None, dict[int, str]]:
    """The column of ids, and the field of each known column; unknown ones go to the report."""
    names = _header_names(kind)
    ids = {_plain(header) for header in (*_ID_HEADERS, f"{kind.title.zh}编号", f"{kind.title.en} id")}
    id_column: int | None = None
    columns: dict[int, str] = {}
    for column, header in enumerate(headers):
        name = names.get(_plain(header))
        if name in columns.values() or (_plain(header) in ids and id_column is not None):
            raise SheetError(f"“{header}”一列重复", f'the column "{header}" is there twice')
        if _plain(header) in ids:
            id_column = column
        elif name:
            columns[column] = name
        elif header:
            report.unknown_columns.append(header)
            report.hints.update(_hint(header, names, kind))
    return id_column, columns


def _header_names(kind: RecordKind) -> dict[str, str]:
    names: dict[str, str] = {}
    for name, field in kind.field.items():
        names.setdefault(_plain(name), name)
        for header in (field.label.zh, field.label.en):
            names[_plain(header)] = name
    for name, field in kind.field.items():
        for header in field.aliases:
            names.setdefault(_plain(header), name)
    return names


def _plain(header: str) -> str:
    text = unicodedata.normalize("NFKC", header).lower()
    return re.sub(r"[\s*_·]+|\(.*?\)", "", text)


def _hint(header: str, names: dict[str, str], kind: RecordKind) -> dict[str, str]:
    close = get_close_matches(_plain(header), list(names), 1, 0.6)
    return {header: kind.field[names[close[0]]].label.zh} if close else {}


def export_records(
    kind: RecordKind,
    records: Iterable[Record],
    form: Literal["csv", "xlsx"],
    language: str = "zh",
    *,
    personal: bool = True,
) -> bytes:
    """A file of records that ``import_sheet`` reads back; without personal data when told so."""
    shown = {n: f for n, f in kind.field.items() if personal or f.privacy is Privacy.PUBLIC}
    lines = _lines(shown, records, language)
    return write_xlsx(lines, kind.title.get(language)) if form == "xlsx" else write_csv(lines)


def _lines(
    fields: dict[str, Field], records: Iterable[Record], language: str
) -> Iterator[list[str | int | float]]:
    yield ["编号" if language != "en" else "id", *(field.label.get(language) for field in fields.values())]
    for record in records:
        yield [record.id, *(write_cell(f, record.data.get(n), language) for n, f in fields.items())]
