"""``hexi explain`` tells the time line in plain words; check, explain and new work together."""

import re

import pytest
import typer
from typer.testing import CliRunner

from hexi.adapters.packs.explain import explain
from hexi.adapters.packs.load import load_packs
from hexi.cli import common, packs

CHINESE = re.compile(r"[\u4e00-\u9fff]")
CATALOGUE = load_packs().catalogue()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty folder, with English chosen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(common.chosen, "language", "en")
    app = typer.Typer()
    packs.register(app)

    def command(*words):
        return CliRunner().invoke(app, list(words))

    return command


@pytest.mark.parametrize("scenario", sorted(CATALOGUE.scenarios))
def test_every_scenario_is_explained_in_both_languages(scenario):
    zh, en = (explain(CATALOGUE.scenarios[scenario], CATALOGUE, language) for language in ("zh", "en"))
    assert len(zh) == len(en) >= 6
    assert not [line for line in zh if not CHINESE.search(line)]
    assert not [line for line in en if CHINESE.search(line)]


def test_the_time_line_of_a_fall():
    lines = explain(CATALOGUE.scenarios["elder_care.fall_suspected"], CATALOGUE, "en")
    asked = next(n for n, line in enumerate(lines) if line.startswith("First ask the person"))
    told = [n for n, line in enumerate(lines) if line.startswith("At once: tell")]
    later = next(
        n for n, line in enumerate(lines) if line.startswith("After 2 minutes, unless the steward has")
    )
    promised = lines.index("Promise: within 15 minutes somebody is there")
    closing = lines.index("Closes only with: arrival, outcome")
    assert asked < told[0] < told[-1] < later < promised < closing
    assert len(told) == 3


def test_the_time_line_in_chinese_names_people_not_expressions():
    text = "\n".join(explain(CATALOGUE.scenarios["elder_care.fall_suspected"], CATALOGUE, "zh"))
    assert "同一时刻：电话、应用、短信告知紧急联系人（家属）" in text
    assert "subject." not in text
    assert "承诺：15 分钟内到场" in text


def test_a_cry_is_said_to_be_never_filtered_and_absence_names_its_hours():
    cry = explain(CATALOGUE.scenarios["core.unknown_sos"], CATALOGUE, "en")
    absent = explain(CATALOGUE.scenarios["elder_care.no_movement_by_morning"], CATALOGUE, "en")
    assert cry[1].endswith("(a cry for help, never filtered)")
    assert absent[1].startswith("On none of these between 05:00 and 09:00")


def test_explain_takes_the_short_name_and_suggests_for_a_typo(run):
    assert (
        "A fall is suspected (elder_care.fall_suspected), extreme" in run("explain", "fall_suspected").output
    )
    result = run("explain", "elder_care.fall_suspectd")
    assert isinstance(result.exception, common.Fault)
    assert "did you mean elder_care.fall_suspected?" in str(result.exception)


def test_new_check_and_explain_go_together(run, tmp_path):
    assert run("new", "scenario", "street_care.bin_full").exit_code == 0
    checked = run("check", "packs")
    assert (checked.exit_code, "0 errors" in checked.output) == (0, True)
    assert "street_care.bin_full" in run("explain", "bin_full", "packs").output
    again = run("new", "scenario", "street_care.bin_full")
    assert "not overwritten" in str(again.exception)
    assert run("new", "pack", "parks").exit_code == 0
    assert (tmp_path / "packs" / "parks" / "pack.toml").exists()


def test_check_fails_on_an_error_and_names_file_line_and_suggestion(run, tmp_path):
    run("new", "scenario", "street_care.bin_full")
    file = tmp_path / "packs" / "street_care" / "catalogue" / "bin_full.toml"
    text = file.read_text("utf-8").replace('tell = ["street.duty"]', 'tell = ["street.duti"]')
    file.write_text(text, "utf-8")
    line = 1 + next(n for n, words in enumerate(text.splitlines()) if "street.duti" in words)
    result = run("check", "packs")
    assert result.exit_code == 1
    assert f"packs/street_care/catalogue/bin_full.toml:{line}: error" in result.output
    assert "did you mean street.duty?" in result.output
    assert '"where": "response[0].tell"' in run("check", "packs", "--json").output


def test_strict_makes_warnings_errors(run, tmp_path):
    run("new", "scenario", "street_care.bin_full")
    (tmp_path / "packs" / "street_care" / "day.toml").unlink()
    assert run("check", "packs").exit_code == 0
    assert run("check", "packs", "--strict").exit_code == 1


def test_a_new_scenario_does_not_make_a_twin_of_a_known_pack(run, tmp_path):
    result = run("new", "scenario", "elder_care.another")
    assert "take another name, or --in" in str(result.exception)
    assert not (tmp_path / "packs").exists()
