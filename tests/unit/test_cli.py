"""The command line: what it prints, what it refuses, and its exit codes."""

import fcntl
import io
import json
import random
import sqlite3
import subprocess
import sys
import tarfile
from collections import Counter
from contextlib import closing

import pytest

from hexi.adapters.geo import read_index
from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import SCHEMA, open_store
from hexi.cli import _command_in, main
from hexi.connectors.tokens import digest_of
from hexi.kernel.clock import SimClock
from hexi.kernel.place import Location, Point
from hexi.kernel.ports import CaseFilter, Quarantined
from hexi.kernel.record import Record
from hexi.kernel.signal import Signal
from hexi.spine.spine import Spine
from hexi.web.access.passwords import is_password

CATALOGUE = load_packs().catalogue()
AT = 1_793_000_000_000


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def hexi(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEXI_LANG", "en")

    def run(*arguments, stdin=""):
        monkeypatch.setattr(sys, "argv", ["hexi", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def store(tmp_path):
    (tmp_path / "var").mkdir()
    store = open_store(f"sqlite:///{tmp_path}/var/hexi.sqlite", CATALOGUE.record_kinds)
    yield store
    store.close()


class Nowhere:
    def locate(self, _):
        return Location()


def press(store, identity="1"):
    spine = Spine(store, SimClock(AT), CATALOGUE, Nowhere(), random.Random(identity))
    signal = Signal(id=identity, source="test", kind="pendant.sos", received=AT, subject="device:D1")
    (taken,) = spine.take([signal]).taken
    return taken.case_id


def put(store, kind, identity, **values):
    with store.write() as tx:
        tx.records.put(Record(kind=kind, id=identity, version=0, data=values, at=1, by="x"))


def test_the_program_says_its_version_and_its_commands():
    told = subprocess.run(
        [sys.executable, "-m", "hexi", "--version"], capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("hexi ")


def test_without_a_command_it_explains_itself(hexi):
    told = hexi()
    assert told.code == 2
    for command in ("import", "backup", "doctor", "quarantine", "check", "day"):
        assert f"\n  {command} " in told.out + told.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nope"], 2, "No such command"),
        (["import", "persn", __file__], 2, "there is no kind of record 'persn'"),
        (["import", "person", "missing.csv"], 1, "missing.csv: No such file"),
        (["--config", "missing.toml", "settings"], 2, "missing.toml: cannot be read"),
        (["indicators", "nope"], 2, "there is no indicator nope"),
        (["quarantine", "show", "7"], 2, "there is no number 7"),
        (["account", "reset", "nobody", "--stdin"], 2, "no password"),
        (["token", "revoke", "nobody"], 2, "there is no token nobody"),
        (["token", "add", "x", "--scope", "everything"], 2, "a scope is one of"),
        (["restore", __file__], 1, "cannot be read"),
        (["backup"], 1, "there is no database"),
    ],
)
def test_an_expected_fault_is_one_sentence_and_no_traceback(hexi, arguments, code, said):
    told = hexi(*arguments)
    assert told.code == code
    assert said in told.err
    assert "Traceback" not in told.err
    assert told.out == ""


def test_messages_are_in_the_chosen_language_or_in_both(hexi, monkeypatch):
    assert hexi("--lang", "zh", "quarantine", "list").out == "隔离区是空的\n"
    assert hexi("quarantine", "list").out == "the quarantine is empty\n"
    for name in ("HEXI_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert hexi("quarantine", "list").out == "隔离区是空的 / the quarantine is empty\n"
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert hexi("quarantine", "list").out == "隔离区是空的\n"


def test_serve_refuses_a_database_of_a_newer_build_in_a_sentence(hexi, store, tmp_path):
    store.close()
    with closing(sqlite3.connect(tmp_path / "var" / "hexi.sqlite")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.execute("UPDATE setting SET value = '9999' WHERE name = 'schema.compatible'")
    command = [sys.executable, "-m", "hexi", "--lang", "en", "serve", "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"the database was written by a newer hexi (schema 9999, this one knows {SCHEMA}): "
        "upgrade hexi, or restore an older backup"
    )
    assert "升级 hexi" in hexi("--lang", "zh", "export", "person").err


def test_a_table_goes_in_and_comes_out(hexi, tmp_path):
    (tmp_path / "p.csv").write_bytes("编号,姓名,电话,备注\nE1,王秀英,138,x\n".encode("gbk"))
    assert "dry run" in hexi("import", "person", "p.csv", "--dry-run").out
    told = hexi("import", "person", "p.csv")
    assert (told.code, told.out) == (0, "1 rows: 1 new, 0 changed, 0 unchanged, 0 bad\nstored 1\n")
    assert 'unknown column "备注" was left out' in told.err
    assert "E1,王秀英,138" in hexi("export", "person").out
    assert hexi("export", "person", "out.xlsx", "--no-personal").code == 0
    assert hexi("import", "person", "out.xlsx", "--json").json["unchanged"] == 1
    assert "E1" not in hexi("export", "person", "--template").out


def test_bad_rows_are_named_and_nothing_is_stored_unless_wanted(hexi, tmp_path):
    (tmp_path / "p.csv").write_text("编号,姓名,出生日期\nE1,甲,昨天\nE2,乙,\n")
    told = hexi("import", "person", "p.csv")
    assert told.code == 1
    assert "row 2, “出生日期” 昨天: should be a date such as 1948-05-01" in told.err
    assert "nothing was stored" in told.out
    told = hexi("import", "person", "p.csv", "--skip-bad")
    assert (told.code, "stored 1" in told.out) == (1, True)


def test_many_bad_rows_are_counted_and_json_has_all(hexi, tmp_path):
    (tmp_path / "p.csv").write_text("编号,姓名\n" + "坏 号,甲\n" * 70)
    assert "and 20 more" in hexi("import", "person", "p.csv").err
    assert len(hexi("import", "person", "p.csv", "--json").json["problems"]) == 70


def test_a_person_is_erased_after_being_asked_and_a_look_is_logged(hexi, store):
    put(store, "person", "E1", name="王秀英")
    put(store, "contact", "K1", name="女儿", person="E1")
    assert hexi("erase", "person", "E1", stdin="n\n").code == 2
    assert "E1" in hexi("export", "person").out
    done = hexi("erase", "person", "E1", stdin="y\n")
    assert done.code == 0
    assert "erased E1: 1 versions, 1 contacts" in done.out
    assert "王秀英" not in hexi("export", "person").out
    assert "女儿" not in hexi("export", "contact").out
    with store.read() as tx:
        assert [(look.by, look.what) for look in tx.access.looks("person:E1", 9)] == [("user:cli", "erased")]
    assert hexi("erase", "person", "E2", "--yes").err.strip() == "there is no person E2"


def test_a_person_with_an_open_case_is_not_erased(hexi, store):
    put(store, "person", "E1", name="王秀英")
    put(store, "device", "D1", type="pendant", owner="E1")
    case_id = press(store)
    refused = hexi("erase", "person", "E1", "--yes")
    assert (refused.code, refused.err.strip()) == (1, f"E1 has open cases: {case_id}")


def test_a_contact_deleted_earlier_can_be_erased(hexi, store):
    put(store, "contact", "K1", name="女儿", person="E1")
    with store.write() as tx:
        tx.records.put(Record(kind="contact", id="K1", version=0, data={}, at=2, by="x", deleted=True))
    assert hexi("erase", "record", "contact", "K1", "--yes").out.strip() == "emptied 2 versions"
    with store.read() as tx:
        assert [r.data for r in tx.records.history("contact", "K1")] == [{}, {}]
    assert hexi("erase", "record", "contact", "K2", "--yes").code == 2


def layer(tmp_path, *features):
    file = tmp_path / "layer.geojson"
    whole = [{"type": "Feature", "properties": said, "geometry": shape} for said, shape in features]
    file.write_text(json.dumps({"type": "FeatureCollection", "features": whole}), encoding="utf-8")
    return file


def box(west, south):
    ring = [
        [west, south],
        [west + 0.01, south],
        [west + 0.01, south + 0.01],
        [west, south + 0.01],
        [west, south],
    ]
    return {"type": "Polygon", "coordinates": [ring]}


def test_a_layer_of_a_map_goes_in_all_or_none(hexi, store, tmp_path):
    good = ({"DM": 120103007002, "MC": "示例社区", "JD": "120103007"}, box(117.21, 39.08))
    file = layer(tmp_path, good, ({"MC": "没有代码"}, box(117.22, 39.08)), ({"DM": "1"}, None))
    call = ("import", "layer", file, "--level", "community", "--code", "DM", "--name", "MC", "--parent", "JD")
    refused = hexi(*call)
    assert refused.code == 1
    assert "feature 2: the property 'DM' with the code is missing" in refused.err
    assert "feature 3: the feature has no geometry" in refused.err
    assert "3 places: 1 new, 0 changed, 0 unchanged, 2 bad\nnothing was stored" in refused.out
    assert "dry run" in hexi(*call, "--skip-bad", "--dry-run").out
    with store.read() as tx:
        assert tx.records.count("place") == 0
    told = hexi(*call, "--skip-bad", "--json")
    assert (told.code, told.json["written"], len(told.json["problems"])) == (1, 1, 2)
    with store.read() as tx:
        assert read_index(tx).locate(Point(117.215, 39.085)).community == "120103007002"
    assert "0 new, 0 changed, 1 unchanged" in hexi(*call, "--skip-bad").out


def test_a_layer_of_a_web_map_is_converted_and_keeps_what_it_does_not_say(hexi, store, tmp_path):
    put(
        store, "place", "120103007002", name="旧名", level="community", parent="120103007", entrances={"a": 1}
    )
    file = layer(tmp_path, ({"code": "120103007002", "name": "新名"}, box(117.21, 39.08)))
    assert "stored 1" in hexi("import", "layer", file, "--level", "community", "--gcj02").out
    with store.read() as tx:
        data = tx.records.get("place", "120103007002").data
        index = read_index(tx)
    assert index.locate(Point(117.2195, 39.0895)).community is None
    assert index.locate(Point(117.2095, 39.0795)).community == "120103007002"
    assert (data["name"], data["parent"], data["entrances"]) == ("新名", "120103007", {"a": 1})
    (tmp_path / "bad").write_text("[]")
    assert (
        "not a GeoJSON FeatureCollection" in hexi("import", "layer", tmp_path / "bad", "--level", "grid").err
    )


def test_the_frame_of_the_district_leaves_ones_own_map_alone(hexi, store):
    own = {"name": "我的街道", "level": "street", "polygon": box(117.21, 39.08), "synthetic": False}
    put(store, "place", "120103001", **own)
    assert "164 places: 163 new, 0 changed, 1 unchanged, 0 bad" in hexi("import", "district").out
    with store.read() as tx:
        places = {r.id: r.data for r in tx.records.find("place", limit=500)}
    assert places["120103001"] == own
    assert [code for code, data in places.items() if data.get("polygon")] == ["120103", "120103001"]
    levels = Counter(data["level"] for data in places.values())
    assert levels == {"district": 1, "street": 14, "community": 149}
    assert "162 changed" in hexi("import", "district", "--synthetic").out
    with store.read() as tx:
        drawn = {r.id: r.data for r in tx.records.find("place", limit=500)}
    assert drawn["120103001"] == own
    assert {code for code, data in drawn.items() if not data["synthetic"]} == {"120103", "120103001"}


def test_an_account_is_made_without_its_password_on_the_command_line(hexi, store):
    assert hexi("account", "add", "boss", "--stdin", stdin="a long password\n").code == 0
    assert hexi("account", "add", "boss", "--stdin", stdin="a long password\n").code == 2
    assert hexi("account", "add", "x", "--role", "king", "--stdin", stdin="a long password\n").code == 2
    with store.read() as tx:
        account = tx.access.account("boss")
    assert account.role == "admin"
    assert is_password(account.hash, "a long password")
    hexi("account", "lock", "boss")
    assert hexi("account", "list", "--json").json[0]["active"] is False
    hexi("account", "reset", "boss", stdin="another password\n")
    with store.read() as tx:
        account = tx.access.account("boss")
    assert account.active
    assert is_password(account.hash, "another password")


def test_a_short_password_is_refused(hexi):
    told = hexi("account", "add", "x", stdin="short\n")
    assert told.code == 2
    assert "10 to 200 characters" in told.err


def test_a_token_is_shown_once_and_kept_as_a_hash(hexi, store):
    told = hexi("token", "add", "gateway", "--source", "gw/*", "--scope", "signals acts")
    secret = told.out.strip()
    with store.read() as tx:
        token = tx.access.token(digest_of(secret))
    assert (token.name, token.sources, token.scope, token.active) == (
        "gateway",
        ("gw/*",),
        "signals acts",
        True,
    )
    assert secret not in hexi("token", "list").out
    assert hexi("token", "revoke", "gateway").code == 0
    assert hexi("token", "list", "--json").json[0]["active"] is False


def test_rebuild_finds_and_mends_what_does_not_follow_from_the_log(hexi, store):
    case_id = press(store)
    assert hexi("rebuild", "--check").code == 0
    with store.write() as tx:
        case = tx.cases.get(case_id)
        case.outcome = "tampered"
        tx.cases.replace(case)
        tx.measures.put([], case_id)
    told = hexi("indicators", "--verify")
    assert told.code == 1
    assert f"{case_id}: case" in told.err
    assert f"{case_id}: indicator core.closed" in told.err
    assert hexi("rebuild", "--check", "--json").json["cases"] == 1
    assert "corrected from the logs" in hexi("rebuild").out
    assert hexi("indicators", "--verify").code == 0


def test_indicators_lead_to_their_cases(hexi, store):
    case_id = press(store)
    rows = {row["indicator"]: row for row in hexi("indicators", "--json").json}
    assert rows["core.open_extreme"]["value"] == 1
    assert hexi("indicators", "core.open_extreme", "--json").json["hits"] == [case_id]
    assert f"hit: {case_id}" in hexi("indicators", "core.open_extreme").out
    assert "core.open_extreme" in hexi("indicators", "--street", "1").out
    assert hexi("indicators", "core.open_extreme", "--since", "2099-01-01", "--json").json["value"] == 0


def quarantined(store, raw, kind="application/cloudevents+json"):
    item = Quarantined(id=0, received=AT, link="http:gw", content_type=kind, reason="bad", raw=raw)
    with store.write() as tx:
        return tx.quarantine.add(item)


def test_quarantine_is_listed_shown_and_replayed(hexi, store, tmp_path):
    number = quarantined(store, b'{"specversion":"1.0","id":"7","source":"gw","type":"pendant.sos"')
    assert "http:gw  bad" in hexi("quarantine", "list").out
    assert '{"specversion"' in hexi("quarantine", "show", number, "--raw").out
    assert hexi("quarantine", "show", number).json["reason"] == "bad"
    told = hexi("quarantine", "replay", number)
    assert told.code == 1
    assert "still cannot be read" in told.err
    good = {"specversion": "1.0", "id": "7", "source": "gw", "type": "pendant.sos", "subject": "D9"}
    (tmp_path / "good.json").write_text(json.dumps(good))
    told = hexi("quarantine", "replay", number, "--file", "good.json")
    assert "7: accepted, case " in told.out
    assert "(replayed)" in hexi("quarantine", "list").out
    with store.read() as tx:
        assert tx.cases.count(CaseFilter(open=True)) == 1


def test_a_backup_made_while_in_use_restores_to_the_same(hexi, store, tmp_path):
    case_id = press(store)
    (tmp_path / "var" / "files").mkdir()
    (tmp_path / "var" / "files" / "photo").write_bytes(b"evidence")
    (tmp_path / "var" / "secret").write_text("hush")
    assert hexi("backup", "b.tar.gz").code == 0
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o077 == 0
    press(store, "2")
    told = hexi("restore", "b.tar.gz")
    assert told.code == 1
    assert "not empty" in told.err
    store.close()
    assert hexi("restore", "b.tar.gz", "--force").code == 0
    assert (tmp_path / "var" / "files" / "photo").read_bytes() == b"evidence"
    assert (tmp_path / "var" / "secret").read_text() == "hush"
    assert hexi("rebuild", "--check", "--json").json["cases"] == 1
    assert hexi("indicators", "core.open_extreme", "--json").json["hits"] == [case_id]
    assert len(list(tmp_path.glob("var-*"))) == 1


def test_a_backup_without_a_name_is_named_after_its_time(hexi, store, tmp_path):
    assert hexi("backup").code == 0
    assert len(list(tmp_path.glob("hexi-*.tar.gz"))) == 1


def test_a_damaged_archive_leaves_everything_as_it_was(hexi, store, tmp_path):
    press(store)
    (tmp_path / "var" / "photo").write_bytes(b"evidence")
    hexi("backup", "b.tar.gz")
    store.close()
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path / "x")
    (tmp_path / "x" / "photo").write_bytes(b"forged")
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        for name in ("manifest.json", "hexi.sqlite", "photo"):
            archive.add(tmp_path / "x" / name, name)
    told = hexi("restore", "b.tar.gz", "--force")
    assert told.code == 1
    assert "photo is not what was backed up" in told.err
    assert (tmp_path / "var" / "photo").read_bytes() == b"evidence"
    assert hexi("rebuild", "--check", "--json").json["cases"] == 1


def test_restore_refuses_a_folder_that_a_process_uses(hexi, store, tmp_path):
    hexi("backup", "b.tar.gz")
    with (tmp_path / "var" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = hexi("restore", "b.tar.gz", "--force")
    assert told.code == 1
    assert "another process of hexi is using" in told.err


def findings(told):
    return {(f["level"], f["message"]["en"]) for f in told.json}


def test_the_doctor_names_what_would_fail_in_an_alarm(hexi, store):
    put(store, "place", "120103001", name="街", level="street")
    put(store, "person", "E1", name="甲")
    put(store, "device", "D1", owner="E1")
    put(store, "device", "D2")
    put(store, "device", "D3", owner="E9")
    quarantined(store, b"x")
    told = hexi("doctor", "--json")
    assert told.code == 1
    found = findings(told)
    assert ("error", "the district has no staffed desk (id district): nobody takes over at the end") in found
    assert ("error", "streets without a staffed desk: 120103001") in found
    assert ("error", "persons with a device but neither contact nor steward: E1") in found
    assert ("warning", "devices without an owner: D2") in found
    assert ("error", "devices whose owner does not exist: D3") in found
    assert ("warning", "1 messages could not be decoded; see hexi quarantine list") in found
    assert any(level == "error" and "nothing sends: call" in said for level, said in found)
    assert any(level == "error" and "no administrator" in said for level, said in found)


def test_the_doctor_is_content_with_a_whole_installation(hexi, store, tmp_path):
    ways = "".join(
        f'[channels.{way}]\nuse = "console"\n' for way in ("call", "sms", "mail", "group", "webhook")
    )
    (tmp_path / "hexi.toml").write_text(ways)
    put(store, "place", "120103001", name="街", level="street")
    put(store, "roster", "district", name="区", level="district", place="120103", phone="1")
    put(store, "roster", "street-120103001", name="街", level="street", place="120103001", phone="1")
    put(store, "person", "E1", name="甲")
    put(store, "contact", "C1", name="女儿", person="E1", phone="138")
    put(store, "device", "D1", owner="E1")
    hexi("account", "add", "boss", stdin="a long password\n")
    told = hexi("doctor", "--json")
    assert [f for f in told.json if f["level"] == "error"] == []
    assert told.code == 0
    assert "✓" not in hexi("doctor", "--quiet").out


def test_the_doctor_sees_a_clock_that_lies_and_a_damaged_database(hexi, store, tmp_path, monkeypatch):
    press(store)
    monkeypatch.setattr("hexi.cli.common.now", lambda: AT - 3_600_000)
    assert any("the clock is wrong" in said for _, said in findings(hexi("doctor", "--json")))
    store.close()
    path = tmp_path / "var" / "hexi.sqlite"
    content = bytearray(path.read_bytes())
    content[8192:40960] = b"\x55" * (40960 - 8192)
    path.write_bytes(content)
    told = hexi("doctor", "--json")
    assert told.code == 1
    assert "damaged" in told.out or "cannot be used" in told.err


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["check"], "check"),
        (["--lang", "zh", "day", "check"], "day"),
        (["-c", "import", "serve"], "serve"),
        (["--help"], None),
        ([], None),
    ],
)
def test_only_the_room_of_the_named_command_is_loaded(words, command):
    assert _command_in(words) == command
