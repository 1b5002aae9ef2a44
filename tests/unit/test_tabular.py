"""Tables of records: encodings, headers, cells, keys, limits and what goes wrong."""

import io
import sys
import time
import zipfile
from datetime import datetime

import openpyxl
import pytest

from hexi.adapters.cells import protect
from hexi.adapters.packs.load import load_packs
from hexi.adapters.sheets import MAX_ROWS, SheetError, read_sheet, write_csv, write_xlsx
from hexi.adapters.sql import open_store
from hexi.adapters.tabular import ImportOrder, all_records, export_records, import_sheet
from hexi.kernel.record import Record

KINDS = load_packs().catalogue().record_kinds
ORDER = ImportOrder(by="user:test", at=1_800_000_000_000)
BORN = datetime(1948, 5, 1)  # noqa: DTZ001 -- a spreadsheet's dates have no zone
TEXT = "编号,姓名,手机号,是否独居,出生日期\nE1,王秀英,138 0000-0001,是,1948/5/1\nE2,李桂兰,,N,1950年12月3日\n"


@pytest.fixture
def store():
    store = open_store("sqlite:///:memory:", KINDS)
    yield store
    store.close()


def run(store, content, kind="person", **order):
    content = content.encode() if isinstance(content, str) else content
    wanted = ImportOrder(by=ORDER.by, at=ORDER.at, **order)
    return import_sheet(store, KINDS[kind], read_sheet(content), wanted)


def data(store, identity, kind="person"):
    with store.read() as tx:
        return tx.records.get(kind, identity).data


def count(store, kind="person"):
    with store.read() as tx:
        return tx.records.count(kind)


def put(store, kind, identity, **values):
    with store.write() as tx:
        tx.records.put(Record(kind=kind, id=identity, version=0, data=values, at=1, by="x"))


def xlsx(rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode("utf-8"),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("gbk"),
        TEXT.encode("gb18030"),
        TEXT.encode("utf-16"),
        TEXT.replace(",", "\t").encode("utf-16"),
        TEXT.replace(",", ";").encode("utf-8"),
        TEXT.replace("\n", "\r\n").encode("gbk"),
        xlsx([line.split(",") for line in TEXT.splitlines()]),
    ],
    ids=["utf-8", "bom", "gbk", "gb18030", "utf-16", "tabs", "semicolons", "crlf", "xlsx"],
)
def test_a_table_is_read_in_whatever_form_people_have_it(store, content):
    report = run(store, content)
    assert (report.new, report.written, report.problems) == (2, 2, [])
    assert data(store, "E1") == {
        "name": "王秀英",
        "phone": "138 0000-0001",
        "lives_alone": True,
        "birth_date": "1948-05-01",
    }
    assert data(store, "E2")["birth_date"] == "1950-12-03"


def test_typed_cells_of_a_spreadsheet_become_the_fields_types(store):
    rows = [
        ["人员编号", "姓名", "电话", "出生日期", "是否独居", "经度"],
        [1001, "甲", 13800000001, BORN, True, 117.2],
        [1002.0, "乙", 13800000002.0, "19480501", 0, "117.25"],
    ]
    assert run(store, xlsx(rows)).problems == []
    assert data(store, "1001") == {
        "name": "甲",
        "phone": "13800000001",
        "birth_date": "1948-05-01",
        "lives_alone": True,
        "lon": 117.2,
    }
    assert data(store, "1002")["lives_alone"] is False


def test_each_bad_cell_is_named_by_row_column_and_value_and_nothing_is_stored(store):
    text = (
        "编号,姓名,手机号,独居,出生日期,性别,联系方式,经度\n"
        "E1,好,,,,女,,\n"
        "E2,坏,1.38E+10,也许,1948-13-01,不明,call,东经\n"
        ",无号,,,,,,\n"
        "E 4,空格,,,,,,\n"
        "E1,重复,,,,,,\n"
        "E6,,,,,,,\n"
    )
    report = run(store, text)
    found = {(p.row, p.column, p.value) for p in report.problems}
    assert found == {
        (3, "手机号", "1.38E+10"),
        (3, "独居", "也许"),
        (3, "出生日期", "1948-13-01"),
        (3, "性别", "不明"),
        (3, "联系方式", "call"),
        (3, "经度", "东经"),
        (4, "编号", ""),
        (5, "编号", "E 4"),
        (6, "编号", "E1"),
        (7, "姓名", ""),
    }
    assert all(p.message.zh and p.message.en for p in report.problems)
    assert report.bad_rows == 5
    assert (report.written, count(store)) == (0, 0)
    assert run(store, text, skip_bad=True).written == 1
    assert count(store) == 1


def test_a_dry_run_counts_and_stores_nothing(store):
    report = run(store, TEXT, dry_run=True)
    assert (report.new, report.written, count(store)) == (2, 0, 0)


def test_a_second_import_updates_by_id_and_leaves_empty_cells_alone(store):
    run(store, TEXT)
    report = run(store, "编号,姓名,手机号,独居\nE1,王秀英,,否\nE2,李桂兰,13900000000,\nE3,新,,\n")
    assert (report.new, report.changed, report.unchanged) == (1, 2, 0)
    assert data(store, "E1")["phone"] == "138 0000-0001"
    assert data(store, "E1")["lives_alone"] is False
    again = run(store, "编号,姓名\nE1,王秀英\n")
    assert (again.unchanged, again.written) == (1, 0)
    run(store, "编号,手机号\nE1,(清空)\n")
    assert "phone" not in data(store, "E1")


def test_without_ids_a_key_finds_the_record_and_new_ones_get_the_next_number(store):
    put(store, "person", "P000007", name="甲", phone="138")
    text = "姓名,电话\n甲甲,138\n乙,139\n丙,137\n"
    with pytest.raises(SheetError, match="no id column"):
        run(store, text)
    report = run(store, text, key="phone")
    assert (report.changed, report.new) == (1, 2)
    assert data(store, "P000007")["name"] == "甲甲"
    assert data(store, "P000008")["phone"] == "139"
    assert run(store, text, key="phone").unchanged == 3
    assert run(store, "姓名,电话\n丁,\n戊,137\n己,137\n", key="phone").bad_rows == 2


def test_a_record_changed_while_the_table_was_read_is_not_overwritten(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/hexi.sqlite", KINDS)
    put(store, "person", "E1", name="甲")

    def meanwhile(_):
        if "phone" not in data(store, "E1"):
            put(store, "person", "E1", name="甲", phone="138")

    sheet = read_sheet("编号,独居\nE1,是\n".encode())
    report = import_sheet(store, KINDS["person"], sheet, ORDER, meanwhile)
    assert report.written == 1
    assert data(store, "E1") == {"name": "甲", "phone": "138", "lives_alone": True}
    store.close()


def test_unknown_columns_are_reported_with_a_hint(store):
    report = run(store, "编号,姓名,手机号吗,备注\nE1,甲,1,2\n")
    assert report.unknown_columns == ["手机号吗", "备注"]
    assert report.hints == {"手机号吗": "电话"}


def test_headers_are_matched_by_name_label_alias_in_any_case_and_width(store):
    run(store, "ID,Name*,ＰＨＯＮＥ Number,living alone,现住址（详细）\nE1,A,138,yes,x\n")
    assert data(store, "E1") == {"name": "A", "phone": "138", "lives_alone": True, "address": "x"}


@pytest.mark.parametrize("text", ["编号,电话,手机\nE1,1,2\n", "编号,id,姓名\n1,2,3\n"])
def test_one_field_in_two_columns_is_refused(store, text):
    with pytest.raises(SheetError, match="twice"):
        run(store, text)


def test_places_may_be_given_by_name_when_only_one_has_it(store):
    put(store, "place", "120103001", name="大营门街道", level="street")
    put(store, "place", "120103002", name="同名", level="street")
    put(store, "place", "120103003", name="同名", level="street")
    put(store, "place", "120103001001", name="大营门街道", level="community")
    report = run(
        store, "编号,姓名,街道\nE1,甲,大营门街道\nE2,乙,120103001\nE3,丙,同名\nE4,丁,没有\n", skip_bad=True
    )
    assert data(store, "E1")["street"] == "120103001"
    assert data(store, "E2")["street"] == "120103001"
    assert [(p.row, p.value) for p in report.problems] == [(4, "同名")]
    assert [(n.row, n.value) for n in report.notes] == [(5, "没有")]


def test_merged_lists_are_read_and_written_alike(store):
    text = (
        "编号,姓名,标签,联系方式\nE1,甲,失能、听力不便;独居,call:+8613800000000;group:dingtalk://a/b?c=1,2\n"
    )
    sheet = 'E1,甲,失能、听力不便;独居,"call:+8613800000000；group:dingtalk://a/b?c=1,2"\n'
    run(store, text.splitlines()[0] + "\n" + sheet)
    assert data(store, "E1")["tags"] == ["失能", "听力不便", "独居"]
    assert data(store, "E1")["addresses"] == [
        {"by": "call", "to": "+8613800000000"},
        {"by": "group", "to": "dingtalk://a/b?c=1,2"},
    ]
    run(
        store,
        "编号,名称,层级,所在地,班次\nstreet-1,甲,街道,1,W1@Mo-Fr 08:00-18:00;Sa 09:00-12:00|W2\n",
        "roster",
    )
    assert data(store, "street-1", "roster")["shifts"] == [
        {"person": "W1", "hours": "Mo-Fr 08:00-18:00; Sa 09:00-12:00"},
        {"person": "W2", "hours": "24/7"},
    ]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_export_is_read_back_unchanged(store, form, language):
    put(
        store,
        "person",
        "E1",
        name="=1+1",
        phone="+8613800000000",
        lives_alone=False,
        gender="female",
        tags=["a;b", "c"],
        addresses=[{"by": "app", "to": "x;y"}],
        medical_note="-一行\n又一行,逗号",
        lon=-117.25,
        birth_date="1948-05-01",
    )
    put(
        store,
        "place",
        "1",
        name="街",
        level="street",
        polygon={"type": "Polygon", "coordinates": [[[1.5, 2]]]},
    )
    for kind in ("person", "place"):
        with store.read() as tx:
            content = export_records(KINDS[kind], all_records(tx, kind), form, language)
        report = run(store, content, kind)
        assert (report.unchanged, report.problems, report.unknown_columns) == (1, [], [])


def test_an_export_runs_nothing_in_a_spreadsheet(store):
    put(
        store, "person", "E1", name='=cmd|"/C calc"!A0', phone="+86", address="@x", key_holder="\ty", lon=-1.5
    )
    with store.read() as tx:
        records = list(all_records(tx, "person"))
    text = export_records(KINDS["person"], records, "csv").decode("utf-8-sig")
    assert "'=cmd" in text
    assert ",-1.5," in text
    book = openpyxl.load_workbook(io.BytesIO(export_records(KINDS["person"], records, "xlsx")))
    assert not [cell for row in book.active.iter_rows() for cell in row if cell.data_type == "f"]
    assert [protect(v) for v in ("=a", "+a", "-a", "@a", "\ta", "\ra", "a=", -3)] == [
        "'=a", "'+a", "'-a", "'@a", "'\ta", "'\ra", "a=", -3,
    ]  # fmt: skip


def test_personal_fields_stay_out_when_told_so(store):
    put(store, "person", "E1", name="王秀英", phone="138", medical_note="x", street="120103001", consent=True)
    with store.read() as tx:
        text = export_records(KINDS["person"], all_records(tx, "person"), "csv", personal=False).decode(
            "utf-8-sig"
        )
    assert "120103001" in text
    for personal in ("王秀英", "138", "健康提示", "姓名"):
        assert personal not in text


def test_a_comma_that_shifts_the_cells_of_a_row_is_noticed(store):
    report = run(store, "编号,姓名,标签\nE1,甲,a,b\nE2,乙,a,,\n")
    assert [(p.row, p.value) for p in report.problems] == [(2, "b")]


def test_formulas_are_not_read(store):
    report = run(store, xlsx([["编号", "姓名"], ["E1", "=A1"]]))
    assert report.problems[0].message.zh.startswith("不读取公式")
    assert run(store, '编号,姓名,电话\nE1,甲,"=""138"""\n').problems == []
    assert data(store, "E1")["phone"] == "138"


def bomb(size):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * size)
    return out.getvalue()


def entities():
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(xlsx([["编号"]]))) as old, zipfile.ZipFile(out, "w") as archive:
        for part in old.infolist():
            body = old.read(part)
            if part.filename.endswith("sheet1.xml"):
                body = b'<!DOCTYPE a [<!ENTITY x "y">]>' + body
            archive.writestr(part.filename, body)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n\n,,\n", "empty"),
        (b"PK\x03\x04rubbish", "not an XLSX"),
        (b"\x81\x00\xff\xfe\x81", "encoding"),
        (bomb(60_000_000), "unpacks"),
        (entities(), "unpacks"),
        (b"id\n" + b"1\n" * (MAX_ROWS + 1), "too large"),
        (b"id,name\nE1," + b"x" * 2_000_000, "row 2 is not CSV"),
        (b"0" * (64 * 1024 * 1024 + 1), "larger than 64 MB"),
    ],
    ids=["nothing", "blank", "no zip", "no text", "bomb", "entities", "rows", "cell", "bytes"],
)
def test_a_file_that_cannot_or_must_not_be_read_is_refused(content, said):
    with pytest.raises(SheetError, match=said):
        read_sheet(content)


def test_a_broken_workbook_is_refused():
    content = xlsx([["编号"]])
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", old.read("[Content_Types].xml"))
    with pytest.raises(SheetError, match="not an XLSX"):
        read_sheet(out.getvalue())


def test_a_device_that_owes_a_heartbeat_is_watched_from_its_import_on(store):
    run(store, "设备编号,类型,心跳间隔\nD1,pendant,4h\n", "device")
    with store.read() as tx:
        assert tx.deadlines.pending() == 1


def test_twenty_thousand_rows(store, capsys):
    lines = [["编号", "姓名", "电话", "独居", "出生日期", "标签", "联系方式"]]
    lines += [
        [f"E{n:05d}", f"老人{n}", f"138{n:08d}", "是", "1948-05-01", "失能;独居", f"app:E{n:05d}"]
        for n in range(20_000)
    ]
    seconds = {}
    for form, content in (("CSV", write_csv(lines)), ("XLSX", write_xlsx(lines, "人员"))):
        began = time.perf_counter()
        report = run(store, content)
        seconds[form] = time.perf_counter() - began
        assert report.problems == []
    assert count(store) == 20_000
    assert report.unchanged == 20_000
    with capsys.disabled():
        sys.stdout.write(f"\n20,000 rows: CSV {seconds['CSV']:.1f} s, XLSX {seconds['XLSX']:.1f} s\n")
    assert max(seconds.values()) < 60
