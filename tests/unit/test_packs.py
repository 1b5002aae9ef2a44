"""Nothing in a file makes reading packs fail, and a file broken while running keeps its old form."""

import re
from pathlib import Path

import pytest
from msgspec.structs import fields

from hexi.adapters.packs.check import check
from hexi.adapters.packs.load import Manifest, load_packs, reload, stamp
from hexi.adapters.packs.problem import line_of
from hexi.adapters.packs.scaffold import ScaffoldError, new_pack, new_scenario
from hexi.adapters.packs.table import BEGIN, END, catalogue_table, with_table, write_tables
from hexi.kernel.case import Case
from hexi.kernel.catalogue import KindInfo
from hexi.kernel.directory import VIEWS, WAYS
from hexi.kernel.indicator import CASE_NAMES
from hexi.kernel.record import Field, Privacy, check_record
from hexi.kernel.scenario import (
    AbsenceRule,
    AskRule,
    AtLeast,
    CaseRule,
    IndicatorRule,
    SameCase,
    Scenario,
    SequenceRule,
    Severity,
    SignalRule,
    Step,
)
from hexi.spine.close import EVIDENCE_NAMES
from hexi.spine.directory import WHO
from hexi.spine.wording import HOLES


@pytest.fixture
def folder(tmp_path):
    """A folder with one scaffolded pack of one scenario."""
    new_scenario("street_care.bin_full", tmp_path)
    return tmp_path


def scenario_file(folder: Path) -> Path:
    return folder / "street_care" / "catalogue" / "bin_full.toml"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def problems_of(loaded, file: Path):
    return [p for p in loaded.problems if p.file == str(file)]


def test_built_in_packs_are_whole():
    loaded = load_packs()
    assert {"core", "elder_care"} <= {pack.id for pack in loaded.packs}
    assert [p for p in check(loaded) if p.level == "error"] == []


def test_core_answers_what_the_spine_asks_for_by_name():
    catalogue = load_packs().catalogue()
    assert catalogue.scenarios["core.unknown_sos"].case.severity is Severity.EXTREME
    assert "tech.undecodable" in catalogue.scenarios["core.technical"].signal.kinds
    wanted = {
        *("answered_in_60s", "answered_in_180s", "told_spread_p50", "told_spread_p95", "arrived_in_15m"),
        *("closed", "false_alarm_share", "devices_silent"),
        *(f"open_{severity}" for severity in Severity),
    }
    assert wanted == {i.removeprefix("core.") for i in catalogue.indicators if i.startswith("core.")}


def test_an_indicator_over_everything_counts_every_case_and_a_scenarios_own_only_its():
    indicators = load_packs().catalogue().indicators
    case = Case(id="1", scenario="street_care.bin_full", scenarios=["street_care.bin_full"])
    assert indicators["core.closed"].covers(case)
    assert not indicators["elder_care.device_silent.devices_silent"].covers(case)


@pytest.mark.parametrize("kind", VIEWS)
def test_record_kinds_of_the_directory_have_the_fields_of_its_views(kind):
    record_kind = load_packs().catalogue().record_kinds[kind]
    assert set(record_kind.field) == set(VIEWS[kind].__struct_fields__) - {"id"}


def test_personal_data_is_classed():
    fields = load_packs().catalogue().record_kinds["person"].field
    sensitive = {name for name, field in fields.items() if field.privacy is Privacy.SENSITIVE}
    assert sensitive == {"birth_date", "key_holder", "door_code", "medical_note"}
    assert all(fields[name].privacy is Privacy.PERSONAL for name in ("name", "phone", "address", "addresses"))


def test_a_person_with_chinese_headers_can_be_stored():
    kind = load_packs().catalogue().record_kinds["person"]
    headers = {
        alias: name for name, field in kind.field.items() for alias in (field.label.zh, *field.aliases)
    }
    assert [headers[h] for h in ("姓名", "联系电话", "手机", "住址", "独居")] == [
        *("name", "phone", "phone", "address", "lives_alone")
    ]
    assert check_record(kind, {"name": "张三", "phone": "13800000000", "lives_alone": True}) == []


def test_a_scaffolded_scenario_passes_every_check(folder):
    loaded = load_packs([folder])
    assert [p for p in check(loaded) if "street_care" in p.file] == []
    assert "street_care.bin_full" in loaded.catalogue().scenarios


def test_a_second_scenario_joins_its_pack_and_nothing_is_overwritten(folder):
    new_scenario("street_care.bin_gone", folder)
    assert [p for p in check(load_packs([folder])) if "street_care" in p.file] == []
    before = scenario_file(folder).read_text("utf-8")
    with pytest.raises(ScaffoldError):
        new_scenario("street_care.bin_full", folder)
    with pytest.raises(ScaffoldError):
        new_pack("street_care", folder)
    assert scenario_file(folder).read_text("utf-8") == before


def test_a_scaffold_wants_a_proper_name(tmp_path):
    for name in ("Bad.name", "nodot", "a.b.c", "../x.y", "a."):
        with pytest.raises(ScaffoldError):
            new_scenario(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_is_left_out_and_named_with_its_line(folder):
    new_scenario("street_care.bin_gone", folder)
    edit(scenario_file(folder), "[case]", "[case")
    loaded = load_packs([folder])
    (problem,) = problems_of(loaded, scenario_file(folder))
    assert problem.line == 1 + scenario_file(folder).read_text("utf-8").splitlines().index("[case")
    scenarios = loaded.catalogue().scenarios
    assert "street_care.bin_full" not in scenarios
    assert "street_care.bin_gone" in scenarios


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"\x00", b"", b"a = " + b"[" * 5000, b'id = "x"\n' * 2, b"[signal]\n"]
)
def test_no_content_makes_reading_fail(folder, content):
    scenario_file(folder).write_bytes(content)
    assert problems_of(load_packs([folder]), scenario_file(folder))
    (folder / "street_care" / "pack.toml").write_bytes(content)
    loaded = load_packs([folder])
    assert problems_of(loaded, folder / "street_care" / "pack.toml")
    assert "core" in {pack.id for pack in loaded.packs}


def test_a_file_broken_while_running_keeps_its_old_scenario_and_shows_the_error(folder):
    first = load_packs([folder])
    old = first.catalogue().scenarios["street_care.bin_full"]
    edit(scenario_file(folder), 'severity = "moderate"', 'severity = "moderat"')
    second = reload(first, [folder])
    assert second.catalogue().scenarios["street_care.bin_full"] == old
    (problem,) = problems_of(second, scenario_file(folder))
    assert (problem.where, "moderate" in problem.message.en) == ("case.severity", True)
    edit(scenario_file(folder), 'severity = "moderat"', 'severity = "severe"')
    third = reload(second, [folder])
    assert third.catalogue().scenarios["street_care.bin_full"].case.severity is Severity.SEVERE
    assert third.problems == []


def test_a_broken_manifest_keeps_its_pack_and_a_removed_file_goes(folder):
    first = load_packs([folder])
    edit(folder / "street_care" / "pack.toml", "id =", "idd =")
    second = reload(first, [folder])
    assert "street_care.bin_full" in second.catalogue().scenarios
    (problem,) = second.problems
    assert "id" in problem.message.en
    scenario_file(folder).unlink()
    assert "street_care.bin_full" not in reload(second, [folder]).catalogue().scenarios


def test_the_stamp_changes_with_any_file(folder):
    before = stamp([folder])
    assert stamp([folder]) == before
    edit(scenario_file(folder), "moderate", "severe  ")
    changed = stamp([folder])
    (folder / "street_care" / "rules.py").write_text("", "utf-8")
    assert len({before, changed, stamp([folder])}) == 3


def test_one_id_twice_leaves_out_the_later_file(folder):
    copy = scenario_file(folder).with_name("zz.toml")
    copy.write_text(scenario_file(folder).read_text("utf-8"), "utf-8")
    loaded = load_packs([folder])
    (problem,) = problems_of(loaded, copy)
    assert "already" in problem.message.en
    loaded.catalogue()


def test_one_pack_twice_leaves_out_the_later_folder(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    new_scenario("street_care.else", other)
    loaded = load_packs([folder, other])
    assert "street_care.else" not in loaded.catalogue().scenarios
    assert problems_of(loaded, other / "street_care" / "pack.toml")


def test_a_bad_condition_leaves_out_its_file_and_a_bad_indicator_only_itself(folder):
    edit(scenario_file(folder), "data.level >= 2", "data.level >=")
    assert "street_care.bin_full" not in load_packs([folder]).catalogue().scenarios
    edit(scenario_file(folder), "data.level >=", "data.level >= 2")
    edit(scenario_file(folder), "handled_in <= ", "handled_in <= <= ")
    loaded = load_packs([folder])
    assert loaded.catalogue().scenarios["street_care.bin_full"].indicator == ()
    assert problems_of(loaded, scenario_file(folder))[0].where == "indicator.where"


def test_marked_functions_of_rules_are_found(folder):
    (folder / "street_care" / "rules.py").write_text(
        "from hexi.pack import predicate, recipient\n"
        "@predicate\ndef night(hour):\n    return hour < 6\n"
        "@recipient\ndef cleaners(directory, case):\n    return ['unit:U1']\n"
        "def other():\n    return 1\n",
        "utf-8",
    )
    pack = next(p for p in load_packs([folder]).packs if p.id == "street_care")
    assert set(pack.predicates) == {"night"}
    assert pack.predicates["night"](3) is True
    assert pack.recipients["cleaners"](None, None) == ["unit:U1"]


@pytest.mark.parametrize("code", ["def (", "1 / 0", "import nowhere_at_all", "raise SystemExit"])
def test_failing_rules_leave_the_pack_standing(folder, code):
    rules = folder / "street_care" / "rules.py"
    rules.write_text(code, "utf-8")
    loaded = load_packs([folder])
    assert problems_of(loaded, rules)
    assert "street_care.bin_full" in loaded.catalogue().scenarios


def test_packs_are_found_by_variable_and_once_only(folder, monkeypatch):
    monkeypatch.setenv("HEXI_PACKS", f"{folder}:{folder / 'street_care'}")
    loaded = load_packs([folder])
    assert [p.id for p in loaded.packs].count("street_care") == 1
    assert loaded.problems == []


def test_a_folder_that_is_not_there_is_named(tmp_path):
    loaded = load_packs([tmp_path / "nowhere"])
    assert [p.file for p in loaded.problems] == [str(tmp_path / "nowhere" / "pack.toml")]


def test_lines_are_found_by_path():
    text = '[signal]\nwhen = "x"\n[[response]]\nrole = "a"\n[[response]]\nrole = "b"\nx = { zh = "" }\n'
    assert line_of(text, "response[1].role") == 6
    assert line_of(text, "response[0].role") == 4
    assert line_of(text, "signal.when") == 2
    assert line_of(text, "response[1].x.zh") == 7
    assert line_of(text, "nowhere") is None
    assert line_of(text, "response[0].x") == 3, "a key that is not there gives its table, not another's"
    kinds = '[kinds."a.a"]\ntitle = 1\n[kinds."a.b"]\ntitle = 2\n'
    assert line_of(kinds, 'kinds."a.b".title') == 4


def test_tables_in_readmes_are_made_from_the_files():
    loaded = load_packs()
    for source in loaded.sources:
        readme = source.folder / "README.md"
        text = readme.read_text("utf-8")
        assert with_table(text, catalogue_table(loaded, source.manifest.id)) == text, (
            f"{readme}: run hexi check --write-tables"
        )


def test_write_tables_brings_a_readme_up_to_date(folder):
    write_tables(load_packs([folder]))
    text = (folder / "street_care" / "README.md").read_text("utf-8")
    assert "`street_care.bin_full`" in text
    assert text.index(BEGIN) < text.index("| moderate |") < text.index(END)
    with pytest.raises(ValueError, match="needs the lines"):
        with_table("# no marks", "x")


@pytest.mark.parametrize(
    ("page", "form"),
    [
        *(("scenario", form) for form in (Scenario, SignalRule, AskRule, CaseRule, Step, IndicatorRule)),
        *(("scenario", form) for form in (AbsenceRule, SequenceRule, AtLeast, SameCase)),
        *(("pack", form) for form in (Manifest, KindInfo, Field)),
    ],
)
def test_the_reference_names_every_key(page, form):
    text = (Path(__file__).parents[2] / "docs" / "reference" / f"{page}.md").read_text("utf-8")
    keys = {field.encode_name for field in fields(form)} - {"version"}
    assert not [key for key in keys if not re.search(rf"\b{key}\b", text)]


def test_the_reference_names_every_recipient_way_and_blank():
    text = (Path(__file__).parents[2] / "docs" / "reference" / "scenario.md").read_text("utf-8")
    blanks = [f"{{{hole}}}" for hole in HOLES]
    assert not [
        word for word in (*WHO, *WAYS, *blanks, *EVIDENCE_NAMES, *CASE_NAMES) if f"`{word}`" not in text
    ]


def test_250_scenarios_are_each_checked(folder):
    text = scenario_file(folder).read_text("utf-8")
    for n in range(250):
        copy = scenario_file(folder).with_name(f"scene_{n}.toml")
        words = text.replace("street_care.bin_full", f"street_care.scene_{n}").replace(
            "bin_full", f"第 {n} 号"
        )
        copy.write_text(words.replace("data.level >= 2", f"data.level == {n}"), "utf-8")
    loaded = load_packs([folder])
    assert len(loaded.catalogue().scenarios) > 250
    named = {problem.file for problem in check(loaded)}
    assert all(any(f"scene_{n}.toml" in file for file in named) for n in range(250))
