"""Each promise of ``hexi check`` fails on the mistake it is there for, at the right place."""

import pytest

from hexi.adapters.packs.check import CHECKS, CHECKS_OF_ONE, Whole, check, tier, tiers
from hexi.adapters.packs.load import load_packs

PACK = """\
id = "demo"
title = { zh = "示范", en = "Demo" }

[kinds."button.sos"]
title = { zh = "按钮", en = "Button" }
sos = true

[kinds."post.fall"]
title = { zh = "跌倒", en = "Fall" }

[kinds."post.clear"]
title = { zh = "解除", en = "Clear" }

[[indicator]]
id = "closed"
title = { zh = "结案", en = "Closed" }
measure = "share"
where = "!open"
"""

FALL = """\
id = "demo.fall"
title = { zh = "跌倒", en = "Fall" }
guidance = { zh = "先回拨", en = "Ring back" }
beats = ["demo.other"]

[signal]
kinds = ["post.fall"]
when = "data.confidence >= 0.5"
matter = "demo.matter"
same_case = { by = ["subject"], within = "10m" }
cleared_by = ["post.clear"]

[ask]
wait = "20s"

[case]
severity = "extreme"
deadlines = { acknowledged = "60s", arrived = "15m", closed = "4h" }
evidence = ["arrival", "outcome"]
auto_close = true

[[response]]
role = "steward"
tell = ["subject.steward"]
by = ["call", "app"]
text = { zh = "{subject}跌倒，{place}。回复 1 出发。", en = "{subject} fell, {place}. Reply 1 to set off." }

[[response]]
role = "duty"
after = "2m"
unless = "steward.acknowledged"
tell = ["street.duty"]
by = ["desk"]
replies = { 1 = "acknowledged" }
task = { zh = "去看看", en = "Go and look" }

[[indicator]]
id = "arrived_in_15m"
measure = "share"
where = "arrived_in <= duration('15m')"
"""

OTHER = """\
id = "demo.other"
title = { zh = "别的", en = "Other" }

[signal]
kinds = ["post.fall"]
matter = "demo.matter"

[case]
severity = "moderate"
deadlines = { closed = "4h" }

[[response]]
role = "duty"
tell = ["district.duty"]
by = ["desk"]
"""

CRY = """\
id = "demo.cry"
title = { zh = "呼救", en = "Cry" }

[signal]
kinds = ["button.sos"]

[case]
severity = "extreme"
deadlines = { acknowledged = "60s" }

[[response]]
role = "duty"
tell = ["district.duty"]
by = ["desk"]
"""

DAY = """\
[[expect]]
case = "fall of person:E1"
[[expect]]
case = "demo.other of nobody"
[[expect]]
case = "cry of person:E1"
"""

RECORD = """\
id = "bench"
title = { zh = "长椅", en = "Bench" }

[field.name]
label = { zh = "名称", en = "Name" }
aliases = ["座椅"]

[field.owner]
label = { zh = "归属", en = "Owner" }
type = "ref"
ref = "unit"

[field.state]
label = { zh = "状况", en = "State" }
type = "choice"
choices = { good = { zh = "好", en = "good" } }
"""

DRILL = """\
id = "demo.night"
title = { zh = "夜间", en = "At night" }
about = { zh = "夜间跌倒", en = "A fall at night" }
lasts = "9m"
cast = { device = "post" }
promises = { told = "10s", told_spread = "2s" }
down = ["call"]

[[signal]]
kind = "post.fall"
data = { after = "not a length" }

[[answer]]
role = "steward"
act = "acknowledged"
after = "20s"
"""

FILES = {
    "pack.toml": PACK,
    "drills/night.toml": DRILL,
    "day.toml": DAY,
    "records/bench.toml": RECORD,
    "catalogue/fall.toml": FALL,
    "catalogue/other.toml": OTHER,
    "catalogue/cry.toml": CRY,
}


class Made:
    """A pack on disk that passes every check until one thing in it is changed."""

    def __init__(self, root):
        self.folder = root / "demo"
        for name, content in FILES.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, "utf-8")

    def change(self, name, old, new):
        file = self.folder / name
        text = file.read_text("utf-8")
        assert old in text, old
        file.write_text(text.replace(old, new, 1), "utf-8")

    def load(self):
        return load_packs([self.folder])

    def problems(self):
        return [p for p in check(self.load()) if str(self.folder) in p.file]


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path)


FALL_FILE, OTHER_FILE, CRY_FILE, MANIFEST, BENCH_FILE, DRILL_FILE = (
    "catalogue/fall.toml",
    "catalogue/other.toml",
    "catalogue/cry.toml",
    "pack.toml",
    "records/bench.toml",
    "drills/night.toml",
)

MISTAKES = [
    # file, what stands there, the mistake, where it is reported, what is said
    (FALL_FILE, 'id = "demo.fall"', 'id = "demo.fell"', "id", "should be called fell.toml"),
    (FALL_FILE, 'id = "demo.fall"', 'id = "Demo.fall"', "id", "small letters"),
    (FALL_FILE, 'id = "demo.fall"', 'id = "other.fall"', "id", "begin with demo."),
    (MANIFEST, 'id = "demo"', 'id = "domo"', "id", "differs from its folder"),
    (FALL_FILE, 'en = "Fall"', 'en = "Other"', "title.en", "the same title as demo.fall"),
    (
        FALL_FILE,
        "{subject}跌倒，{place}",
        "{subject}跌倒",
        "response[0].text",
        "Chinese sentence does not have {place}",
    ),
    (FALL_FILE, "fell, {place}", "fell", "response[0].text", "English sentence does not have {place}"),
    (
        FALL_FILE,
        "{subject}跌倒，{place}",
        "{subjekt}跌倒，{place}",
        "response[0].text",
        "did you mean subject",
    ),
    (FALL_FILE, "先回拨", "先回拨{subject}", "guidance", "only in notices"),
    (FALL_FILE, "去看看", "去看{place}", "response[1].task", "only in notices"),
    (FALL_FILE, 'zh = "跌倒", en = "Fall"', 'zh = "Fall", en = "跌倒"', "title.zh", "no Chinese"),
    (FALL_FILE, "Reply 1 to set off", "Reply 3 to set off", "response[0].text", "replying 3"),
    (OTHER_FILE, 'kinds = ["post.fall"]', "kinds = []", "signal", "nothing says"),
    (FALL_FILE, '["post.fall"]', '["post.fal"]', "signal.kinds", "did you mean post.fall"),
    (FALL_FILE, '["post.clear"]', '["post.cleer"]', "signal.cleared_by", "did you mean post.clear"),
    (CRY_FILE, '["button.sos"]', '["button.sos"]\nwhen = "data.x > 1"', "signal.when", "no condition"),
    (
        CRY_FILE,
        '["button.sos"]',
        '["button.sos"]\nat_least = { times = 2, within = "1m" }',
        "signal.at_least",
        "no count",
    ),
    (CRY_FILE, "[case]", '[ask]\nwait = "9s"\n\n[case]', "ask", "no question"),
    (FALL_FILE, 'by = ["subject"]', 'by = ["subjekt"]', "signal.same_case", "did you mean subject"),
    (FALL_FILE, 'cleared_by = ["post.clear"]\n', "", "case.auto_close", "needs signal.cleared_by"),
    (FALL_FILE, "data.confidence", "dta.confidence", "signal.when", "did you mean data"),
    (FALL_FILE, "data.confidence >= 0.5", "night(local.hour)", "signal.when", "unknown function: night"),
    (CRY_FILE, 'tell = ["district.duty"]', "tell = []", "response", "nobody is told"),
    (FALL_FILE, 'by = ["call", "app"]', 'by = ["cal", "app"]', "response[0].by", "did you mean call"),
    (FALL_FILE, 'by = ["desk"]', "by = []", "response[1].by", "at least one way"),
    (
        FALL_FILE,
        '["subject.steward"]',
        '["subject.stewart"]',
        "response[0].tell",
        "did you mean subject.steward",
    ),
    (FALL_FILE, '["subject.steward"]', '["unit:"]', "response[0].tell", "unknown recipient"),
    (FALL_FILE, "[ask]", '[ask]\nwhom = "subjct"', "ask.whom", "did you mean subject"),
    (FALL_FILE, '["street.duty"]', '["subject"]', "response", "no step tells a duty desk"),
    (FALL_FILE, '"steward.acknowledged"', '"acknowledged"', "response[1].unless", "steward.acknowledged"),
    (
        FALL_FILE,
        '"steward.acknowledged"',
        '"stewart.acknowledged"',
        "response[1].unless",
        "did you mean steward",
    ),
    (
        FALL_FILE,
        '"steward.acknowledged"',
        '"steward.acknowleged"',
        "response[1].unless",
        "did you mean acknowledged",
    ),
    (FALL_FILE, '"steward.acknowledged"', '"duty.acknowledged"', "response[1].unless", "no earlier step"),
    (FALL_FILE, 'after = "2m"\n', "", "response[1].unless", "only with after"),
    (FALL_FILE, 'by = ["call", "app"]', 'by = ["call", "app"]\nneed = 0', "response[1].unless", "need = 0"),
    (FALL_FILE, 'by = ["call", "app"]', 'by = ["call", "app"]\nneed = -1', "response[0].need", "below 0"),
    (CRY_FILE, 'by = ["desk"]', 'by = ["desk"]\nneed = 0', "response", "nobody at all"),
    (
        FALL_FILE,
        '1 = "acknowledged"',
        '1 = "acknowleged"',
        "response[1].replies.1",
        "did you mean acknowledged",
    ),
    (FALL_FILE, '"arrival", "outcome"', '"arival", "outcome"', "case.evidence", "did you mean arrival"),
    (OTHER_FILE, "[case]", "[case]\npublic = true", "case.public", "never public"),
    (
        FALL_FILE,
        'acknowledged = "60s"',
        'acknowledged = "20m"',
        "case.deadlines.acknowledged",
        "comes after arrived",
    ),
    (
        FALL_FILE,
        'acknowledged = "60s"',
        'acknowledged = "0s"',
        "case.deadlines.acknowledged",
        "longer than nothing",
    ),
    (FALL_FILE, 'after = "2m"', 'after = "5h"', "response[1].after", "should be closed (4h)"),
    (FALL_FILE, 'wait = "20s"', 'wait = "61s"', "ask.wait", "at most 1m"),
    (CRY_FILE, 'acknowledged = "60s"', 'closed = "4h"', "case.deadlines", "acknowledged or arrived"),
    (OTHER_FILE, 'deadlines = { closed = "4h" }\n', "", "case", "nothing escalates"),
    (FALL_FILE, "arrived_in <=", "arived_in <=", "indicator[0].where", "did you mean arrived_in"),
    (FALL_FILE, "duration('15m')", "durashun('15m')", "indicator[0].where", "did you mean duration"),
    (FALL_FILE, "where = \"arrived_in <= duration('15m')\"\n", "", "indicator[0].where", "needs where"),
    (
        FALL_FILE,
        'measure = "share"',
        'measure = "percentile"\nof = "arived_in"',
        "indicator[0].of",
        "did you mean arrived_in",
    ),
    (
        FALL_FILE,
        'measure = "share"',
        'measure = "share"\npercent = 120',
        "indicator[0].percent",
        "between 0 and 100",
    ),
    (
        FALL_FILE,
        'measure = "share"',
        'measure = "share"\nover = ["demo.fal"]',
        "indicator[0].over",
        "did you mean demo.fall",
    ),
    (MANIFEST, '"!open"', '"!opn"', "indicator[0].where", "did you mean open"),
    (
        MANIFEST,
        "[[indicator]]",
        '[[indicator]]\nid = "closed"\nmeasure = "count"\n[[indicator]]',
        "indicator[1].id",
        "twice",
    ),
    (FALL_FILE, 'beats = ["demo.other"]', 'beats = ["demo.othr"]', "beats", "did you mean demo.other"),
    (OTHER_FILE, "[signal]", 'beats = ["demo.fall"]\n[signal]', "beats", "beat each other"),
    (
        OTHER_FILE,
        'matter = "demo.matter"',
        'matter = "demo.matter"\nsame_case = { by = ["device"] }',
        "signal.same_case",
        "other",
    ),
    (BENCH_FILE, 'id = "bench"', 'id = "bank"', "id", "bank.toml"),
    (BENCH_FILE, 'id = "bench"', 'id = "bench"\nname_field = "nam"', "name_field", "did you mean name"),
    (BENCH_FILE, 'ref = "unit"', 'ref = "unitt"', "field.owner.ref", "did you mean unit"),
    (BENCH_FILE, 'ref = "unit"\n', "", "field.owner.ref", "needs ref"),
    (
        BENCH_FILE,
        'choices = { good = { zh = "好", en = "good" } }\n',
        "",
        "field.state.choices",
        "needs choices",
    ),
    (BENCH_FILE, '["座椅"]', '["归属"]', "field.owner", "also means name"),
    ("day.toml", "fall of", "elsewhere of", "id", "bronze"),
    (DRILL_FILE, "demo.night", "demo.day", "id", "should be demo.night"),
    (DRILL_FILE, '"post.fall"', '"post.fal"', "signal[0].kind", "did you mean post.fall"),
    (DRILL_FILE, '"post.fall"', '"post.clear"', "signal", "no scenario answers"),
    (DRILL_FILE, '"post.fall"', '"post.fall"\nafter = "9m"', "signal[0].after", "after the drill has ended"),
    (DRILL_FILE, '"steward"', '"steword"', "answer[0].role", "did you mean steward"),
    (DRILL_FILE, '"20s"', '"10m"', "answer[0].after", "after the drill has ended"),
    (DRILL_FILE, "told =", "tolled =", "promises.tolled", "did you mean told"),
    (DRILL_FILE, '["call"]', '["phone"]', "down", "unknown way: phone"),
]

UNREADABLE = [
    (FALL_FILE, "[signal]", "[sginal]", "sginal", "did you mean signal"),
    (FALL_FILE, "kinds =", "kindz =", "signal.kindz", "did you mean kinds"),
    (FALL_FILE, 'tell = ["street.duty"]', 'tel = ["street.duty"]', "response[1].tel", "did you mean tell"),
    (FALL_FILE, '"extreme"', '"extrem"', "case.severity", "did you mean extreme"),
    (
        FALL_FILE,
        'acknowledged = "60s"',
        'acknowleged = "60s"',
        "case.deadlines.acknowleged",
        "did you mean acknowledged",
    ),
    (FALL_FILE, '"15m", closed', '"15x", closed', "case.deadlines[...]", "15x"),
    (FALL_FILE, 'wait = "20s"', "wait = 20", "ask.wait", "duration"),
    (FALL_FILE, ', en = "Fall"', "", "title", "en is missing"),
    (FALL_FILE, 'en = "Fall"', 'en = " "', "title", "both languages"),
    (FALL_FILE, 'by = ["desk"]', 'by = "desk"', "response[1].by", "should be array"),
    (FALL_FILE, 'severity = "extreme"\n', "", "case", "severity is missing"),
    (FALL_FILE, "data.confidence >= 0.5", "data.confidence >=", "signal.when", "not a condition"),
    (MANIFEST, "title =", "titel =", "titel", "did you mean title"),
    (BENCH_FILE, 'type = "ref"', 'type = "reference"', "field[...].type", "ref"),
    (DRILL_FILE, "cast =", "caste =", "caste", "did you mean cast"),
    (DRILL_FILE, '"acknowledged"', '"acknowleged"', "answer[0].act", "acknowleged"),
    (DRILL_FILE, '"9m"', '"5h"', "lasts", "from 1s to 4h"),
    (DRILL_FILE, '"20s"', '"soon"', "answer[0].after", "soon"),
]


def test_the_made_pack_passes_every_check(made):
    assert made.problems() == []


@pytest.mark.parametrize(("name", "old", "new", "where", "said"), [*MISTAKES, *UNREADABLE])
def test_a_mistake_is_found_where_it_is(made, name, old, new, where, said):  # noqa: PLR0917
    made.change(name, old, new)
    found = made.problems()
    assert any(p.where == where and said in p.message.en for p in found), found
    assert all(p.message.zh != p.message.en and p.message.zh for p in found)
    problem = next(p for p in found if p.where == where and said in p.message.en)
    assert problem.line, "the line is known"


def test_every_promise_is_broken_by_some_mistake_above(made, tmp_path):
    broken = set()
    for number, (name, old, new, *_) in enumerate(MISTAKES):
        one = Made(tmp_path / str(number))
        one.change(name, old, new)
        whole = Whole(one.load())
        broken |= {promise for promise in CHECKS if list(promise(whole))}
        broken |= {promise for promise in CHECKS_OF_ONE for item in whole.items if list(promise(item, whole))}
    left = {p.__name__ for p in (*CHECKS, *CHECKS_OF_ONE) if p not in broken}
    assert left == {
        "packs_agree_on_a_kind",
        "no_unexplained_overlap",
        "rules_import_only_the_facade",
    }, "these have a test of their own"


def test_an_overlap_is_explained_by_beats_a_condition_or_severity(made):
    made.change(
        OTHER_FILE, "[case]", 'same_case = { by = ["subject"] }\nwhen = "data.confidence >= 0.5"\n\n[case]'
    )
    made.change(FALL_FILE, 'beats = ["demo.other"]\n', "")
    assert made.problems() == [], "another severity explains it"
    made.change(OTHER_FILE, '"moderate"', '"extreme"')
    made.change(OTHER_FILE, 'closed = "4h"', 'arrived = "4h"')
    (problem,) = made.problems()
    assert (problem.where, "demo.fall answers post.fall too" in problem.message.en) == ("signal.kinds", True)
    made.change(OTHER_FILE, ">= 0.5", "< 0.5")
    assert made.problems() == [], "another condition explains it"
    made.change(OTHER_FILE, "< 0.5", ">= 0.5")
    made.change(FALL_FILE, "guidance", 'beats = ["demo.other"]\nguidance')
    assert made.problems() == [], "beats explains it"


def test_packs_agree_whether_a_kind_is_an_sos(made, tmp_path):
    other = tmp_path / "later"
    other.mkdir()
    other.joinpath("pack.toml").write_text(
        'id = "later"\ntitle = { zh = "后", en = "Later" }\n'
        '[kinds."button.sos"]\ntitle = { zh = "按", en = "B" }\n',
        "utf-8",
    )
    (problem,) = [p for p in check(load_packs([made.folder, other])) if p.file.endswith("later/pack.toml")]
    assert (problem.line, "whether button.sos is an SOS" in problem.message.en) == (3, True)


def test_a_packs_own_recipient_and_predicate_are_known(made):
    made.folder.joinpath("rules.py").write_text(
        "from hexi.pack import predicate, recipient\n"
        "@recipient\ndef cleaners(directory, case):\n    return []\n"
        "@predicate\ndef night(hour):\n    return hour < 6\n",
        "utf-8",
    )
    made.change(FALL_FILE, '["subject.steward"]', '["cleaners", "unit:U1"]')
    made.change(FALL_FILE, "data.confidence >= 0.5", "night(local.hour)")
    assert made.problems() == []


def test_a_packs_code_leans_on_the_facade_alone(made):
    rules = made.folder / "rules.py"
    rules.write_text(
        "from hexi.pack import predicate\nfrom hexi.kernel.case import Case\nimport math\n"
        "@predicate\ndef far(metres):\n    return math.isfinite(metres)\n",
        "utf-8",
    )
    (problem,) = made.problems()
    assert (problem.line, "not hexi.kernel.case" in problem.message.en) == (2, True)


def test_absence_and_sequence_open_cases_without_a_kind_of_their_own(made):
    made.change(
        OTHER_FILE,
        '[signal]\nkinds = ["post.fall"]',
        '[absence]\nkinds = ["post.clear"]\nfrom = "05:00"\nto = "09:00"\n\n'
        '[sequence]\nfirst = ["post.fall"]\nthen = ["post.clear"]\nwithin = "5m"\n\n[signal]',
    )
    assert made.problems() == []
    made.change(OTHER_FILE, 'then = ["post.clear"]', "then = []")
    assert [p.where for p in made.problems()] == ["sequence.then"]


def test_tiers_are_computed(made):
    grades = tiers(made.load())
    assert (grades["demo.fall"], grades["demo.other"]) == ("gold", "silver")
    made.change("day.toml", "fall of", "elsewhere of")
    whole = Whole(made.load())
    item = whole.scenarios["demo.fall"]
    assert tier(item.source, item) == "bronze"


def test_only_a_missing_day_and_a_missing_deadline_are_warnings(made):
    made.change("day.toml", "fall of", "elsewhere of")
    made.change(OTHER_FILE, 'deadlines = { closed = "4h" }\n', "")
    assert {p.level for p in made.problems()} == {"warning"}
    made.change(FALL_FILE, "{subject}跌倒，{place}", "{subject}跌倒")
    assert {p.level for p in made.problems()} == {"warning", "error"}
