"""``hexi archive`` and ``hexi query``: what they print, write and refuse."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import duckdb
import openpyxl
import pytest

from hexi.adapters.archive import query
from hexi.adapters.sql import open_store
from hexi.cli import main
from hexi.kernel.clock import HOUR
from hexi.kernel.signal import Signal


class Hexi:
    """Runs one command and keeps what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = monkeypatch, capfd

    def __call__(self, *words: str, code: int = 0, stdin: str = "") -> str:
        self._patch.setattr(sys, "argv", ["hexi", *words])
        self._patch.setattr(sys, "stdin", io.StringIO(stdin))
        self._capture.readouterr()
        try:
            main()
            ended = 0
        except SystemExit as error:
            ended = int(error.code or 0)
        out, err = self._capture.readouterr()
        assert ended == code, out + err
        return out + err


@pytest.fixture
def hexi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Hexi:
    """An installation with sixty hours of signals, a hundred an hour."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEXI_LANG", "en")
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "var").mkdir()
    now = time.time_ns() // 1_000_000
    store = open_store("sqlite:///var/hexi.sqlite")
    batch = [
        Signal(
            id=f"s{hour}-{n}",
            source="=HYPERLINK(1)",
            kind="vital.heart",
            received=now - hour * HOUR + n,
            subject="device:D1",
            data={"rate": n, "words": "张三"},
        )
        for hour in range(60, 0, -1)
        for n in range(10)
    ]
    with store.write() as tx:
        tx.signals.claim(batch)
        for signal in batch:
            tx.signals.add(signal, None)
    store.close()
    return Hexi(monkeypatch, capfd)


def test_the_archive_is_made_listed_and_verified(hexi: Hexi, tmp_path: Path) -> None:
    report = json.loads(hexi("archive", "run", "--json"))
    assert report["moved"] in {110, 120}
    files = json.loads(hexi("archive", "list", "--json"))
    assert sum(sum(f["kinds"].values()) for f in files) == report["moved"]
    assert "bytes a signal" in hexi("archive", "list", "--last", "2")
    told = hexi("archive", "verify")
    assert f"{len(files)} files are whole, {len(files)} hourly summaries too" in told
    assert f"{len(files)} hourly summaries" in hexi("archive", "list")
    told = hexi("query", "SELECT sum(signals)::INT AS n FROM signal_hours", "--format", "json")
    assert f'"n": {report["moved"]}' in told
    assert "0 files are not summarised" in told
    path = tmp_path / "var" / "archive" / files[0]["name"]
    good = path.read_bytes()
    path.write_bytes(good[:50] + b"x" + good[51:])
    assert f"damaged: {files[0]['name']}" in hexi("archive", "verify", code=1)
    told = hexi("query", "SELECT count(*) AS n FROM signals", "--format", "json", code=1)
    assert files[0]["name"] in told
    assert json.loads(told.rpartition("]")[0] + "]")[0]["n"] in {590, 591}
    path.write_bytes(good)
    assert "right again" in hexi("archive", "verify")


def test_an_answer_in_every_form(hexi: Hexi, tmp_path: Path) -> None:
    hexi("archive", "run")
    sql = "SELECT source, id, hot, numbers, received FROM signals ORDER BY received"
    assert "600" in hexi("query", "SELECT count(*) FROM signals")
    assert "wrote 600 rows" in hexi("query", sql, "--out", "a.csv")
    content = (tmp_path / "a.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbfsource,id")
    assert b"'=HYPERLINK(1),s60-0,false," in content
    hexi("query", sql, "--out", "b.csv", "--no-bom")
    assert (tmp_path / "b.csv").read_bytes() == content[3:]
    hexi("query", "-", "--out", "a.xlsx", stdin=sql)
    page = openpyxl.load_workbook(tmp_path / "a.xlsx").worksheets[0]
    assert page.max_row == 601
    assert page["A2"].data_type == "s"
    hexi("query", sql, "--out", "a.parquet")
    assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/a.parquet'").fetchall() == [(600,)]
    assert "there are more" in hexi("query", sql, "--limit", "3")


def test_nobody_else_may_look_at_an_answer_while_it_is_written(
    hexi: Hexi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights = []
    ask_into = query.ask_into

    def looked(desk: query.Desk, question: query.Question, target: Path) -> list[str]:
        left_out = ask_into(desk, question, target)
        rights.append(target.parent.stat().st_mode & 0o077)
        return left_out

    monkeypatch.setattr(query, "ask_into", looked)
    hexi("query", "SELECT 1", "--out", "a.parquet")
    assert rights == [0]
    assert (tmp_path / "a.parquet").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.glob("*a.parquet*")] == ["a.parquet"]


def test_personal_data_need_a_reason_which_is_kept(hexi: Hexi) -> None:
    sql = "SELECT DISTINCT data FROM signals"
    assert "张三" not in hexi("query", sql)
    assert "say why" in hexi("query", sql, "--personal", " ", code=2)
    assert "张三" in hexi("query", sql, "--personal", "complaint 17")
    store = open_store("sqlite:///var/hexi.sqlite")
    with store.read() as tx:
        assert [(look.record, look.what) for look in tx.access.looks(None, 9)] == [("query", "complaint 17")]
    store.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["DELETE FROM signals"], "one SELECT"),
        (["SELECT 1", "--out", "x.doc"], "use .csv"),
        (["SELECT 1", "--format", "parquet"], "needs --out"),
        (["SELECT 1", "--timeout", "soon"], "not a duration"),
        (["SELECT * FROM account"], "there is no view account"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(hexi: Hexi, words: list[str], said: str) -> None:
    told = hexi("query", *words, code=2)
    assert said in told
    assert "Traceback" not in told
