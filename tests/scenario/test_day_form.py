"""The form of day.toml: strict, and honest about what was found instead."""

import json
import tomllib
from pathlib import Path

import pytest
from tests.scenario.world import catalogue
from typer.testing import CliRunner

from hexi.cli import build
from hexi.sim.day import DayReport, play
from hexi.sim.day_file import CaseName, DayFileError, parse_day

HEAD = """
title = { zh = "一天", en = "A day" }
date = 2026-05-06
[records.person.E1]
name = "王秀英"
steward = "W1"
[records.person.W1]
name = "赵管家"
phone = "+8613700000001"
[records.device]
D1 = { name = "挂件", owner = "E1" }
[records.roster.district]
name = "区值班台"
level = "district"
place = "120103"
addresses = [{ by = "desk", to = "district" }]
"""
PRESS = """
[[event]]
at = "03:10:00"
signal = { kind = "pendant.sos", subject = "device:D1" }
"""


def play_text(text: str, tmp_path: Path) -> DayReport:
    file = tmp_path / "day.toml"
    file.write_text(HEAD + text, "utf-8")
    return play(parse_day(tomllib.loads(HEAD + text), file), catalogue(), "elder_care")


def fails(text: str, tmp_path: Path) -> list[str]:
    return [str(finding) for _, finding in play_text(text, tmp_path).failures]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[event]]\nat = "3:10"\nsignal = { kind = "x" }', "not a time of day: '3:10'"),
        ('[[event]]\nat = "24:00:01"\nsignal = { kind = "x" }', "after the end of the day"),
        ('[[event]]\nat = "03:10:00"\nsginal = { kind = "x" }', "did you mean signal"),
        ('[[event]]\nat = "03:10:00"', "exactly one of signal, act, fault, record"),
        (
            '[[event]]\nat = "03:10:00"\nact = { case = "a of person:E1", by = "person:W1" }',
            "either do or reply",
        ),
        (
            '[[event]]\nat = "03:10:00"\nact = { case = "a", by = "person:W1", do = "closed" }',
            "not a case: 'a'",
        ),
        ('[[expect]]\nat = "03:10:00"\ntold = ["person:W1"]', "which case is meant"),
        ('[[expect]]\nat = "03:10:00"\ncase = "a of nobody"\ntold = "person:W1"', "should be array"),
    ],
)
def test_errors_name_the_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DayFileError) as raised:
        play_text(text, tmp_path)
    (problem,) = raised.value.problems
    assert said in problem.message.en
    assert problem.line is not None
    assert problem.line >= len(HEAD.splitlines())


@pytest.mark.parametrize(
    ("expect", "found"),
    [
        ("cases = 2", "expected 2, found 1"),
        ('state = "closed"', "expected closed, found dispatched"),
        ('severity = "minor"', "found extreme"),
        ("drill = true", "found False"),
        ("signals = 3", "found 1"),
        ('asked = "well"', "found None"),
        ('told = ["person:W1 by sms"]', "person:W1 by call"),
        ('not_told = ["person:W1"]', "found person:W1"),
        ('answered = ["steward"]', "found nobody and nothing"),
        ('unanswered = ["family"]', "steward"),
        ('kept = ["arrived"]', "expected arrived"),
        ('missed = ["arrived"]', "expected arrived"),
        ('entries = ["closed"]', "expected closed"),
        ('no_entries = ["told"]', "found told"),
        ('flags = ["drill"]', "expected drill"),
        ('said = ["你好"]', "王秀英按下"),
        ("totals = { cases = 7 }", "totals.cases: expected 7, found 1"),
        ("indicators = { open_now = { value = 3 } }", "expected 3.0, found 1.0"),
        ("indicators = { nonsense = { value = 3 } }", "none of that name"),
    ],
)
def test_what_is_not_so_is_told_with_what_was_found(expect: str, found: str, tmp_path: Path) -> None:
    text = f'{PRESS}[[expect]]\nat = "03:10:01"\ncase = "pendant_sos of person:E1"\n{expect}\n'
    (said,) = fails(text, tmp_path)
    assert found in said


def test_a_case_that_is_not_there(tmp_path: Path) -> None:
    text = '[[expect]]\nat = "03:10:01"\ncase = "pendant_sos of person:E1"\nstate = "closed"\n'
    assert fails(text, tmp_path) == ["pendant_sos of person:E1: expected a case, found none"]


def test_an_act_that_is_refused_or_means_nothing(tmp_path: Path) -> None:
    act = '[[event]]\nat = "03:11:00"\nact = {{ case = "pendant_sos of person:E1", by = "person:W1", {} }}\n'
    assert "evidence is missing" in fails(PRESS + act.format('do = "closed"'), tmp_path)[0]
    assert fails(PRESS + act.format('do = "closed", refused = true'), tmp_path) == []
    assert "a notice with that digit" in fails(PRESS + act.format('reply = "9"'), tmp_path)[0]
    assert fails(act.format('do = "closed"'), tmp_path) == [
        "act on pendant_sos of person:E1: expected such a case, found none"
    ]


def test_a_hanging_telephone_works_again(tmp_path: Path) -> None:
    fault = '[[event]]\nat = "{}"\nfault = {{ does = "{}", way = "call", to = "person:W1" }}\n'
    expect = '[[expect]]\nat = "{}"\ncase = "pendant_sos of person:E1"\n{} = ["person:W1 by call"]\n'
    text = fault.format("03:00:00", "hangs") + PRESS + expect.format("03:10:30", "not_told")
    text += fault.format("03:11:00", "works") + expect.format("03:11:00", "told")
    assert fails(text, tmp_path) == []


def test_case_names() -> None:
    assert CaseName("a.b of nobody").of is None
    assert CaseName("fall of person:E1").of == "person:E1"
    assert CaseName("fall of person:E1").scenario == "fall"


def pack_with(day: str, folder: Path) -> Path:
    (folder / "pack.toml").write_text('id = "trial"\ntitle = { zh = "试", en = "Trial" }\n', "utf-8")
    (folder / "day.toml").write_text(HEAD + day, "utf-8")
    return folder


class TestCommand:
    """``hexi day``."""

    def test_plays_the_pack(self) -> None:
        result = CliRunner().invoke(build(), ["--lang", "en", "day", "elder_care"])
        assert result.exit_code == 0, result.output
        assert "An elder has pressed the pendant" in result.output
        assert "0 not" in result.output

    def test_says_what_went_wrong_and_fails(self, tmp_path: Path) -> None:
        day = (
            PRESS + '[[expect]]\nat = "03:10:01"\ncase = "elder_care.pendant_sos of person:E1"\nsignals = 9\n'
        )
        folder = str(pack_with(day, tmp_path))
        result = CliRunner().invoke(build(), ["--lang", "en", "day", "--quiet", folder])
        assert result.exit_code == 1
        assert "signals: expected 9, found 1" in result.output

    def test_gives_json(self) -> None:
        result = CliRunner().invoke(build(), ["day", "--json", "elder_care"])
        lines = json.loads(result.output)
        assert {"at", "case", "ok", "text"} == set(lines[0])
        assert all(line["ok"] is not False for line in lines)

    def test_names_the_line_of_a_wrong_file(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(build(), ["day", str(pack_with('[[event]]\nat = "x"\n', tmp_path))])
        assert result.exit_code == 2
        assert "day.toml:" in result.output + result.stderr
