"""The monthly report: what each promise counts, that it follows from the logs, and its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openpyxl import load_workbook
from pypdf import PdfReader
from tests.unit.spine_world import STREET, World
from typer.testing import CliRunner

from hexi.adapters.report import FontMissingError, Labels, pdf, write_pdf, write_xlsx
from hexi.adapters.report.pdf import FONTS
from hexi.adapters.report.words import share
from hexi.cli import build
from hexi.kernel.case import Entry
from hexi.kernel.clock import DAY, MINUTE, SECOND, Instant, parse_instant
from hexi.kernel.report import (
    Asked,
    MonthReport,
    Seen,
    compare,
    compile_month,
    look,
    month_after,
    month_before,
    span_of,
)
from hexi.kernel.text import Text
from hexi.spine.report import check_rows, month_report

MONTH = "2026-05"
START = span_of(MONTH).since + 5 * DAY
LATER = START + 2 * DAY
PROMISED = {"acknowledged": 60 * SECOND, "arrived": 15 * MINUTE}
ANSWERED, IN_180, ARRIVED = "answered_60s", "answered_180s", "arrived_15m"


class Story:
    """A case's log, told in seconds after its signal."""

    def __init__(self, start: Instant = START, **said: Any) -> None:
        self.start = start
        self.log: list[Entry] = []
        promised = said.pop("promised", PROMISED)
        self.add(
            0,
            "reported",
            signal={"received": start},
            promises={name: start + length for name, length in promised.items()},
            **{"scenario": "s.one", "severity": "extreme", "place": {"street": STREET}, **said},
        )

    def add(self, seconds: float, kind: str, **body: Any) -> Story:
        at = self.start + round(seconds * SECOND)
        self.log.append(Entry(seq=len(self.log) + 1, at=at, kind=kind, body=body))
        return self

    def seen(self, as_of: Instant = LATER, case: str = "C1") -> Seen:
        return look(case, self.log, as_of)

    def fates(self, as_of: Instant = LATER) -> dict[str, tuple[str, str]]:
        return {one.promise: (one.fate, one.why) for one in self.seen(as_of).owed}


def opened(**said: Any) -> Story:
    return Story(**said).add(0, "opened").add(0, "told", notice="n1")


class TestOnePromise:
    @pytest.mark.parametrize(
        ("seconds", "fates"),
        [
            (60, ("kept", "kept")),
            (60.001, ("missed", "kept")),
            (180, ("missed", "kept")),
            (180.001, ("missed", "missed")),
        ],
    )
    def test_it_is_kept_to_the_millisecond_of_its_limit(self, seconds: float, fates: tuple[str, str]) -> None:
        found = opened().add(seconds, "acknowledged", role="steward").fates()
        assert (found[ANSWERED][0], found[IN_180][0]) == fates

    @pytest.mark.parametrize("kind", ["acknowledged", "declined", "set_off", "arrived", "false_alarm"])
    def test_any_word_of_a_person_is_an_answer(self, kind: str) -> None:
        assert opened().add(10, kind, role="x").fates()[ANSWERED] == ("kept", "")

    @pytest.mark.parametrize(("seconds", "fate"), [(900, "kept"), (901, "missed")])
    def test_only_an_arrival_is_an_arrival(self, seconds: float, fate: str) -> None:
        story = opened().add(10, "set_off", role="x").add(seconds, "arrived", role="x")
        assert story.fates()[ARRIVED][0] == fate

    def test_what_is_not_yet_due_is_neither_kept_nor_missed(self) -> None:
        story = opened().add(10, "acknowledged", role="x")
        assert story.fates(START + 14 * MINUTE)[ARRIVED] == ("pending", "")
        assert story.fates(START + 15 * MINUTE)[ARRIVED] == ("missed", "silent")

    def test_later_entries_are_not_looked_at(self) -> None:
        story = opened().add(30, "acknowledged", role="x")
        assert story.fates(START + 20 * SECOND)[ANSWERED] == ("pending", "")

    def test_an_elder_who_said_to_be_well_was_owed_nothing_more(self) -> None:
        story = Story().add(1, "asked").add(20, "answered", answer="well").add(20, "closed")
        assert set(story.fates().values()) == {("free", "well")}

    @pytest.mark.parametrize(
        ("seconds", "found"), [(300, ("free", "false_alarm")), (1_000, ("missed", "closed_without"))]
    )
    def test_a_false_alarm_owes_only_what_was_due_before(
        self, seconds: float, found: tuple[str, str]
    ) -> None:
        story = opened().add(seconds, "false_alarm", reason="x").add(seconds, "rejected")
        assert story.fates()[ARRIVED] == found

    def test_closing_without_an_arrival_does_not_keep_it(self) -> None:
        story = opened().add(5, "acknowledged", role="x").add(60, "closed")
        assert story.fates()[ARRIVED] == ("missed", "closed_without")

    def test_the_reason_is_what_the_log_knows(self) -> None:
        assert Story().add(0, "opened").fates()[ANSWERED] == ("missed", "nobody_told")
        assert opened().add(9, "failed", notice="n1").fates()[ANSWERED] == ("missed", "undelivered")
        assert opened().fates()[ANSWERED] == ("missed", "silent")
        assert opened().add(70, "acknowledged", role="x").fates()[ANSWERED] == ("missed", "late")

    def test_a_scenario_that_promises_less_owes_less(self) -> None:
        story = opened(promised={"acknowledged": 2 * MINUTE, "closed": 60 * MINUTE})
        assert set(story.fates()) == {IN_180}

    def test_a_raised_case_owes_from_the_signal_that_raised_it(self) -> None:
        story = opened(promised={"closed": DAY}, severity="minor").add(100, "joined")
        story.log[-1] = msgspec.structs.replace(
            story.log[-1], body={"signal": {"received": START + 100 * SECOND}}
        )
        due = {name: START + 100 * SECOND + length for name, length in PROMISED.items()}
        story.add(100, "raised", promises=due, severity="extreme", scenario="s.two")
        assert story.add(150, "acknowledged", role="x").fates()[ANSWERED] == ("kept", "")
        assert story.seen().scenario == "s.two"

    def test_who_had_answered_before_it_was_raised_need_not_again(self) -> None:
        story = opened(promised={"closed": DAY}).add(50, "acknowledged", role="x")
        story.add(100, "joined", signal={"received": START + 100 * SECOND})
        due = {name: START + 100 * SECOND + length for name, length in PROMISED.items()}
        story.add(100, "raised", promises=due, severity="extreme", scenario="s.two")
        (first, *_) = story.seen().owed
        assert (first.fate, first.took) == ("kept", 0)

    def test_a_new_alarm_that_reopens_the_case_is_owed_anew(self) -> None:
        story = opened().add(10, "arrived", role="x").add(20, "closed")
        due = {name: START + 300 * SECOND + length for name, length in PROMISED.items()}
        story.add(300, "reopened", again=True, promises=due).add(300, "opened").add(300, "told", notice="n2")
        fates = [(one.promise, one.fate) for one in story.seen().owed]
        assert fates.count((ANSWERED, "kept")) == 1
        assert fates.count((ANSWERED, "missed")) == 1


class TestWhatCounts:
    def test_drills_and_merged_cases_do_not(self) -> None:
        drill, merged = opened(drill=True), opened().add(5, "merged", into="C9")
        apart = opened().add(5, "merged", into="C9").add(9, "unmerged", state="opened")
        report = _report(drill.seen(case="A"), merged.seen(case="B"), apart.seen(case="C"))
        covered = report.coverage
        assert (covered.cases, covered.drills, covered.merged, covered.counted) == (3, 1, 1, 1)
        assert report.lines[0].counted == 1

    def test_shares_lengths_and_the_month_before(self) -> None:
        seen = [opened().add(s, "arrived", role="x").seen(case=f"C{s}") for s in (10, 20, 30, 70)]
        report = compile_month(Asked(MONTH, LATER), seen, [opened().seen(case="B")])
        line = report.lines[0]
        assert (line.kept, line.missed, line.share) == (3, 1, 0.75)
        assert (line.median, line.p95) == (25 * SECOND, 70 * SECOND)
        assert report.before[0].share == 0.0
        assert [m.case for m in report.missed] == ["C70"]

    def test_by_street_and_by_scenario(self) -> None:
        one = opened().add(5, "acknowledged", role="x").seen(case="A")
        other = opened(place={}, scenario="s.two").seen(case="B")
        report = _report(one, other)
        assert [(g.key, g.lines[0].kept) for g in report.streets] == [(STREET, 1), (None, 0)]
        assert [(g.key, g.lines[0].missed) for g in report.scenarios] == [("s.one", 0), ("s.two", 1)]

    def test_nothing_counted_has_no_share(self) -> None:
        assert _report().lines[0].share is None
        assert share(None) == "—"

    def test_a_share_is_never_rounded_up_to_a_whole(self) -> None:
        assert (share(0.99999), share(1.0), share(0.975)) == ("99.9%", "100.0%", "97.5%")


class TestEvidence:
    def test_a_changed_entry_changes_the_digest_and_is_named(self) -> None:
        told = _report(opened().add(5, "acknowledged", role="x").seen(case="A"), opened().seen(case="B"))
        counted = _report(opened().add(65, "acknowledged", role="x").seen(case="A"), opened().seen(case="B"))
        where = {one.where for one in compare(told, counted)}
        assert {"/lines/0/kept", "/evidence/sha256", "/evidence/cases/A"} <= where
        assert "/evidence/cases/B" not in where
        assert compare(told, told) == []

    def test_erasing_words_about_a_person_does_not_change_it(self) -> None:
        story = opened(subject="person:E1").add(5, "acknowledged", role="x", note="N1")
        before = story.seen().sha256
        blank = [
            msgspec.structs.replace(
                e, by="erased", body={k: v for k, v in e.body.items() if k not in {"subject", "note"}}
            )
            for e in story.log
        ]
        assert look("C1", blank, LATER).sha256 == before

    def test_the_order_of_reading_does_not_matter(self) -> None:
        a, b = opened().seen(case="A"), opened().add(3, "acknowledged", role="x").seen(case="B")
        assert _report(a, b).evidence == _report(b, a).evidence


class TestMonths:
    def test_the_month_is_that_of_the_districts_clocks(self) -> None:
        assert span_of("2026-12").since == parse_instant("2026-12-01T00:00:00+08:00")
        assert span_of("2026-12").until == parse_instant("2027-01-01T00:00:00+08:00")
        assert (month_before("2026-01"), month_after("2026-12")) == ("2025-12", "2027-01")

    @pytest.mark.parametrize("wrong", ["2026-13", "May", "2026-05-01", ""])
    def test_anything_else_is_refused(self, wrong: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            span_of(wrong)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


class TestFromTheStore:
    def test_it_agrees_with_what_the_spine_did(self, world: World) -> None:
        quick = world.send("pendant.sos", "device:D1").case_id
        world.act(quick, "acknowledged", "person:W1")
        slow = world.send("pendant.sos", "device:D3").case_id
        world.wait("20m")
        month = "2026-05"
        report = _stored(world, month)
        answered, _, arrived = report.lines
        assert (answered.kept, answered.missed) == (1, 1)
        assert arrived.missed == 2
        assert {m.case for m in report.missed if m.promise == ANSWERED} == {slow}
        assert quick != slow

    def test_rows_and_measures_that_were_tampered_with_are_named(self, world: World) -> None:
        case_id = world.send("pendant.sos", "device:D1").case_id
        with world.store.read() as tx:
            assert check_rows(tx, world.spine.catalogue, MONTH) == []
        with world.store.write() as tx:
            case = tx.cases.get(case_id)
            assert case
            case.opened_at -= 1
            tx.cases.replace(case)
        with world.store.read() as tx:
            assert [one.case_id for one in check_rows(tx, world.spine.catalogue, MONTH)] == [case_id]


def _stored(world: World, month: str) -> MonthReport:
    with world.store.read() as tx:
        return month_report(tx, Asked(month, world.clock.now()))


def _report(*seen: Seen) -> MonthReport:
    return compile_month(Asked(MONTH, LATER), seen, [])


def _full() -> MonthReport:
    return _report(*(opened().add(s, "arrived", role="x").seen(case=f"C{s}") for s in (10, 20, 70, 1_000)))


LABELS = Labels({STREET: "友谊路街"}, {"s.one": Text(zh="老人按下呼救挂件", en="The pendant")})


class TestFiles:
    def test_the_pdf_reads_in_chinese_and_no_page_is_empty(self) -> None:
        if not (FONTS / "regular.ttf").exists():
            pytest.skip("no font; run make assets")
        pages = [page.extract_text() for page in PdfReader(BytesIO(write_pdf(_full(), LABELS))).pages]
        text = "".join(pages)
        for said in (
            "承诺兑现月报",
            "2026 年 5 月",
            "60 秒内有人应答",
            "友谊路街",
            "老人按下呼救挂件",
            "50.0%",
            "C1000",
        ):
            assert said in text
        assert all(len(page) > 100 for page in pages)

    def test_its_font_is_inside(self) -> None:
        if not (FONTS / "regular.ttf").exists():
            pytest.skip("no font; run make assets")
        (page, *_) = PdfReader(BytesIO(write_pdf(_full(), LABELS))).pages
        fonts: Any = page["/Resources"]["/Font"]  # type: ignore[index]
        described = [fonts[name].get("/FontDescriptor") for name in fonts]
        assert any(one and "/FontFile2" in one.get_object() for one in described)

    def test_without_the_font_it_says_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(pdf, "FONTS", tmp_path)
        pdf._load_fonts.cache_clear()
        with pytest.raises(FontMissingError, match="make assets"):
            write_pdf(_full(), LABELS)
        pdf._load_fonts.cache_clear()

    def test_the_workbook_has_numbers_as_numbers(self) -> None:
        book = load_workbook(BytesIO(write_xlsx(_full(), LABELS)))
        assert [name.split()[0] for name in book.sheetnames] == ["总览", "街道", "场景", "未兑现", "凭证"]
        row = [cell.value for cell in book.worksheets[0][2]]
        assert row[1:5] == [4, 2, 2, 0.5]
        missed = book.worksheets[3]
        assert [cell.value for cell in missed["B"]][1:] == [m.case for m in _full().missed]

    def test_a_name_that_looks_like_a_formula_stays_text(self) -> None:
        labels = Labels({STREET: "=1+1"}, {})
        book = load_workbook(BytesIO(write_xlsx(_full(), labels)))
        assert book.worksheets[1]["B2"].data_type == "s"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEXI_DATA_DIR", str(tmp_path / "var"))
    return tmp_path


class TestTheCommand:
    def test_it_writes_each_form_and_verifies_its_own_file(self, installed: Path) -> None:
        forms = ["json", "xlsx", *(["pdf"] if (FONTS / "regular.ttf").exists() else [])]
        for form in forms:
            ran = CliRunner().invoke(build("report"), ["report", MONTH, "--out", f"r.{form}"])
            assert ran.exit_code == 0, ran.output
            assert (installed / f"r.{form}").stat().st_size > 500
        assert CliRunner().invoke(build("report"), ["report", "r.json", "--verify"]).exit_code == 0

    def test_a_figure_that_was_changed_is_named(self, installed: Path) -> None:
        CliRunner().invoke(build("report"), ["report", MONTH, "--out", "r.json"])
        told = json.loads((installed / "r.json").read_text())
        told["lines"][0]["kept"] = 7
        (installed / "r.json").write_text(json.dumps(told))
        ran = CliRunner().invoke(build("report"), ["report", "r.json", "--verify", "--json"])
        assert ran.exit_code == 1
        assert json.loads(ran.output) == [{"where": "/lines/0/kept", "told": 7, "counted": 0}]

    @pytest.mark.parametrize("words", [["2026-13"], ["2026-05", "--out", "r.doc"]])
    def test_what_cannot_be_is_refused(self, installed: Path, words: list[str]) -> None:
        assert CliRunner().invoke(build("report"), ["report", *words]).exit_code != 0

    def test_a_month_is_verified_against_what_the_screens_show(self, installed: Path) -> None:
        assert CliRunner().invoke(build("report"), ["report", MONTH, "--verify"]).exit_code == 0
