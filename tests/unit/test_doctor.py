"""The doctor: each thing is broken for real and seen by its name, with what to do next."""

from __future__ import annotations

import ast
import calendar
import contextlib
import json
import os
import random
import re
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from hexi.adapters.backup import holding
from hexi.adapters.certificates import ends_at
from hexi.adapters.packs.folder import digest
from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import SqlStore, open_store
from hexi.cli import main
from hexi.cli.checks import machine
from hexi.cli.common import now
from hexi.kernel.archive import ArchiveFile, FileState
from hexi.kernel.clock import SimClock
from hexi.kernel.deadline import Deadline, DeadlineKind
from hexi.kernel.place import Location
from hexi.kernel.process import Process
from hexi.kernel.record import Record
from hexi.kernel.response import Notice, NoticeState
from hexi.kernel.signal import Signal
from hexi.spine.spine import Spine

CATALOGUE = load_packs().catalogue()
HOUR = 3_600_000


@pytest.fixture
def doctor(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEXI_LANG", "en")

    def run(*arguments, settings=""):
        (tmp_path / "hexi.toml").write_text(settings, encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["hexi", "doctor", "--json", *arguments])
        capfd.readouterr()
        with contextlib.suppress(SystemExit):
            main()
        return Told(json.loads(capfd.readouterr().out))

    return run


class Told:
    """What the doctor said."""

    def __init__(self, findings):
        self.findings = findings

    def of(self, check, level=None):
        """What one check said."""
        wanted = [f for f in self.findings if f["check"] == check and level in {None, f["level"]}]
        return [f["message"]["en"] for f in wanted]

    def bad(self, check):
        """The one thing a check found wrong; it has both languages and says what to do."""
        [found] = [f for f in self.findings if f["check"] == check and f["level"] != "ok"]
        assert found["message"]["zh"] != found["message"]["en"]
        assert found["todo"]["zh"] != found["todo"]["en"]
        return found["level"], found["message"]["en"]


@pytest.fixture
def store(tmp_path):
    (tmp_path / "var").mkdir()
    store = open_store(f"sqlite:///{tmp_path}/var/hexi.sqlite", CATALOGUE.record_kinds)
    yield store
    store.close()


def put(store, kind, identity, **values):
    with store.write() as tx:
        tx.records.put(Record(kind=kind, id=identity, version=0, data=values, at=1, by="x"))


def test_a_clock_that_nothing_keeps_is_named(doctor, store, monkeypatch):
    monkeypatch.setattr(machine, "clock_is_kept", lambda: False)
    assert doctor().bad("clock_kept") == ("warning", "nothing keeps the clock right")
    monkeypatch.setattr(machine, "clock_is_kept", lambda: True)
    assert doctor().of("clock_kept", "ok")


def test_what_the_kernel_says_of_its_clock_can_be_read():
    assert machine.clock_is_kept() in {True, False, None}


def test_a_folder_that_cannot_be_written_is_named(doctor, store, monkeypatch):
    monkeypatch.setattr(machine.os, "access", lambda *_: False)  # root may write anywhere
    level, said = doctor().bad("data_folder")
    assert level == "error"
    assert "cannot be written" in said


def test_little_disk_is_named(doctor, store, monkeypatch):
    monkeypatch.setattr(machine, "LEAST_FREE", 1 << 62)
    assert "little disk left" in doctor().bad("data_folder")[1]


def certificate(path, days):
    command = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    )
    told = ("-keyout", f"{path}.key", "-out", str(path), "-subj", "/CN=hexi", "-days", str(days))
    subprocess.run([*command, *told], capture_output=True, check=True)


@pytest.mark.parametrize("days", [10, 300, 10_000])
def test_the_end_of_a_certificate_is_what_openssl_says(tmp_path, days):
    certificate(tmp_path / "c.pem", days)
    told = subprocess.run(
        ["openssl", "x509", "-in", tmp_path / "c.pem", "-noout", "-enddate"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    wanted = time.strptime(told.strip().removeprefix("notAfter="), "%b %d %H:%M:%S %Y GMT")
    assert ends_at(tmp_path / "c.pem") == calendar.timegm(wanted) * 1_000


def test_a_certificate_that_ends_is_named(doctor, store, tmp_path, monkeypatch):
    certificate(tmp_path / "c.pem", 10)
    settings = '[listen]\ntls_cert = "c.pem"\ntls_key = "c.pem.key"\n'
    level, said = doctor(settings=settings).bad("certificates_end")
    assert level == "warning"
    assert "ends soon: listen.tls_cert" in said
    later = now() + 11 * 24 * HOUR
    monkeypatch.setattr("hexi.cli.common.now", lambda: later)
    level, said = doctor(settings=settings).bad("certificates_end")
    assert level == "error"
    assert "listen.tls_cert: the certificate ended on" in said


def test_a_certificate_that_is_none_is_named(doctor, store, tmp_path):
    (tmp_path / "c.pem").write_text("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n")
    settings = '[listen]\ntls_cert = "c.pem"\ntls_key = "c.pem"\n'
    assert "cannot be read: not a certificate" in doctor(settings=settings).bad("certificates_end")[1]
    (tmp_path / "c.pem").write_text("nothing")
    assert "there is no certificate" in doctor(settings=settings).bad("certificates_end")[1]


def test_backups_that_have_stopped_are_named(doctor, store, tmp_path):
    assert doctor().bad("backups") == ("warning", "nobody has said where backups lie")
    settings = '[watch]\nbackups = "kept"\n'
    assert "there is no backup in" in doctor(settings=settings).bad("backups")[1]
    (tmp_path / "kept").mkdir()
    made = tmp_path / "kept" / "hexi.tar.gz"
    made.write_bytes(b"x")
    assert doctor(settings=settings).of("backups", "ok")
    os.utime(made, (time.time() - 3 * 86_400,) * 2)
    level, said = doctor(settings=settings).bad("backups")
    assert (level, said) == ("error", "backups have stopped: the newest backup is 3d old")


def test_a_damaged_database_is_named_and_the_rest_still_looked_at(doctor, store, tmp_path):
    store.close()
    path = tmp_path / "var" / "hexi.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\x55" * (len(content) - 4096)
    path.write_bytes(content)
    told = doctor()
    assert "damaged" in told.bad("database")[1]
    assert told.of("packs", "ok")
    assert not told.of("desks")


def test_a_postgresql_that_does_not_answer_is_named(doctor):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    told = doctor(settings=f'[database]\nurl = "postgresql://hexi@127.0.0.1:{port}/hexi"\n')
    assert "PostgreSQL cannot be reached" in told.bad("database")[1]


def test_an_older_database_is_left_as_it_is_until_the_upgrade(doctor, store, tmp_path):
    store.close()
    path = tmp_path / "var" / "hexi.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = '0002'")
    database.close()
    told = doctor()
    assert "the tables are at 0002; this build will bring them to" in told.bad("schema")[1]
    assert not told.of("desks")
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchone() == ("0002",)
    database.close()
    assert any("0002" in said for said in doctor("--before-upgrade").of("tables"))


def test_a_database_of_a_newer_build_is_named(doctor, store, tmp_path):
    store.close()
    with sqlite3.connect(tmp_path / "var" / "hexi.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.execute("UPDATE setting SET value = '9999' WHERE name = 'schema.compatible'")
    database.close()
    told = doctor("--before-upgrade")
    assert any("newer hexi" in said for said in told.of("database", "error"))


def test_too_little_room_for_an_upgrade_is_named(doctor, store, monkeypatch):
    monkeypatch.setattr("hexi.cli.checks.upgrade._AT_LEAST", 1 << 62)
    assert any("too little room" in said for said in doctor("--before-upgrade").of("room", "error"))


def notice(identity, *, state, error=None, way="sms", age=HOUR):
    return Notice(
        id=identity,
        case_id="C1",
        step="s",
        role="duty",
        recipient="roster:district",
        name="",
        way=way,
        address="1",
        text="",
        language="zh",
        t0=now() - age,
        next_at=now() - age,
        state=state,
        error=error,
        attempts=1,
    )


def test_what_waits_too_long_is_named(doctor, store):
    with store.write() as tx:
        tx.notices.add(notice("N1", state=NoticeState.WAITING))
        tx.deadlines.arm([Deadline(key="k", due_at=now() - HOUR, kind=DeadlineKind.PROMISE, case_id="C1")])
    told = doctor()
    assert told.of("backlog", "warning") == ["1 notices have been owed for over a minute"]
    assert told.of("backlog", "error") == ["1 deadlines are overdue and nobody acts on them"]


def test_a_channel_whose_notices_fail_is_named(doctor, store):
    with store.write() as tx:
        for number in range(3):
            tx.notices.add(notice(f"S{number}", state=NoticeState.FAILED, error="HTTP 500"))
        tx.notices.add(notice("M1", state=NoticeState.FAILED, error="x", way="mail"))
        for number in range(4):
            tx.notices.add(notice(f"H{number}", state=NoticeState.HANDED, way="mail"))
        tx.notices.add(notice("A1", state=NoticeState.HANDED, way="app"))
        tx.notices.add(notice("O1", state=NoticeState.FAILED, error="x", way="group", age=30 * HOUR))
    told = doctor()
    assert told.of("failures", "error") == ["sms: 3 of the latest 3 notices failed"]
    assert told.of("failures", "warning") == ["mail: 1 of the latest 5 notices failed"]
    assert told.of("failures", "ok") == ["app: 0 of the latest 1 notices failed"]


def test_a_gateway_that_cannot_be_reached_is_named_when_asked(doctor, store):
    with socket.create_server(("127.0.0.1", 0)) as there, socket.create_server(("127.0.0.1", 0)) as gone:
        ports = [each.getsockname()[1] for each in (there, gone)]
        gone.close()
        settings = "".join(
            f'[channels.{way}]\nuse = "webhook"\nurl = "http://127.0.0.1:{port}/"\nsecret = "x"\n'
            for way, port in zip(("sms", "call"), ports, strict=True)
        )
        assert doctor(settings=settings).of("reach") == []
        told = doctor("--reach", settings=settings)
    assert told.of("reach", "ok") == ["channels.sms: can be reached"]
    assert "channels.call: 127.0.0.1:" in told.bad("reach")[1]


def test_rosters_that_have_ended_are_named(doctor, store):
    put(store, "place", "120103", name="区", level="district")
    put(store, "person", "P1", name="甲")
    desk = {"name": "区", "level": "district", "place": "120103", "on_duty": ["P1"]}
    put(store, "roster", "district", **desk, since=now() - HOUR)
    assert doctor().of("rosters") == []
    put(store, "roster", "district", **desk, since=now() - 30 * HOUR)
    told = doctor()
    assert told.bad("rosters") == (
        "warning",
        "taken over more than a day ago and never handed over: district",
    )
    put(store, "roster", "district", **desk | {"on_duty": ["P9"]}, since=now())
    assert doctor().bad("rosters") == ("error", "rosters name people who are gone: district: P9")


def process(identity, *, roles=("intake", "clock", "senders", "web"), seen=0, **values):
    at = now() - seen
    return Process(
        id=identity, host="h", pid=7, roles=roles, playing=roles, started=at, seen_at=at, **values
    )  # fmt: skip


def test_a_platform_that_runs_alone_is_known_by_its_hold_on_the_folder(doctor, store, tmp_path):
    assert doctor().bad("processes") == ("warning", "no process of the platform is running")
    with holding(tmp_path / "var"):
        assert doctor().of("processes") == ["the platform is running"]


def test_processes_that_are_missing_or_differ_are_named(doctor, store, monkeypatch):
    monkeypatch.setattr(SqlStore, "dialect", "postgresql")  # whose processes keep the same table
    assert doctor().bad("processes") == ("warning", "no process of the platform is running")
    soon = -600_000  # alive for as long as this test takes

    def running(*told):
        with store.write() as tx:
            for old in tx.processes.all():
                tx.processes.leave(old.id)
            for each in told:
                tx.processes.put(each)
        return doctor()

    assert running(process("a", seen=soon)).of("processes") == ["1 processes are running"]
    told = running(process("a", roles=("intake", "web"), seen=soon))
    assert told.bad("processes") == ("error", "nobody plays: clock, senders")
    told = running(process("a", seen=soon), process("b", seen=60_000))
    assert told.of("processes", "warning") == ["process 7 on h is gone without leaving"]
    told = running(process("a", seen=soon, version="1"), process("b", seen=soon, version="2"))
    assert told.of("processes", "error") == ["the processes have different versions"]
    told = running(process("a", seen=soon, secret="1"), process("b", seen=soon, secret="2"))
    assert told.of("processes", "error") == ["the processes have different secrets"]


def test_scenario_files_that_are_not_in_force_are_named(doctor, store, tmp_path):
    def said():
        with holding(tmp_path / "var"):
            return doctor()

    with store.write() as tx:
        tx.settings.put("packs.in_force", "something else")
    assert said().bad("in_force") == ("warning", "the scenario files on the disk are not those in force")
    with store.write() as tx:
        tx.settings.put("packs.in_force", digest())
    assert said().of("in_force", "ok")
    assert doctor().of("in_force") == []


def test_a_broken_scenario_file_is_named(doctor, store, tmp_path):
    pack = tmp_path / "mine"
    (pack / "catalogue").mkdir(parents=True)
    (pack / "pack.toml").write_text('id = "mine"\ntitle = { zh = "我", en = "Mine" }\nowner = "x"\n')
    (pack / "catalogue" / "a.toml").write_text("id = \n")
    told = doctor(settings='packs = ["mine"]\n')
    assert any("a.toml:1" in said for said in told.of("packs", "error"))


def test_an_archive_that_is_damaged_or_behind_is_named(doctor, store):
    file = ArchiveFile(
        name="2026/11/01/00.parquet", hour=0, kinds={"x": 1}, bytes=1, sha256="0", state=FileState.DAMAGED,
        written=1, verified=1,
    )  # fmt: skip
    with store.write() as tx:
        tx.archive.record(tx.archive.turn(), [file])
    told = doctor()
    assert told.bad("archive") == ("error", "1 files of the archive are damaged: 2026/11/01/00.parquet")
    signal = Signal(id="1", source="s", kind="reading", received=now() - 30 * 24 * HOUR)
    with store.write() as tx:
        tx.archive.record(tx.archive.turn(), [msgspec.structs.replace(file, state=FileState.KEPT)])
        tx.signals.claim([signal])
        tx.signals.add(signal, None)
    assert doctor().bad("archive") == ("warning", "the archive is 28d behind")


def test_technical_cases_that_nobody_has_ended_are_named(doctor, store):
    spine = Spine(store, SimClock(now()), CATALOGUE, Nowhere(), random.Random(1))
    at = now()
    trouble = Signal(id="1", source="hexi:disk", kind="tech.disk", received=at, subject="platform:disk")
    spine.take([trouble])
    assert "(platform:disk)" in doctor().bad("technical")[1]


def test_every_finding_that_is_printed_says_what_to_do_next(store, tmp_path):
    environ = os.environ | {"HEXI_LANG": "zh"}
    told = subprocess.run(
        [sys.executable, "-m", "hexi", "doctor", "--quiet"],
        cwd=tmp_path, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 1
    assert "  -> hexi import roster" in told.stdout
    assert "docs/runbooks/platform-does-not-answer.md" in told.stdout


def test_every_runbook_that_a_check_names_is_there():
    root = Path(__file__).resolve().parents[2]
    pages = {page.stem for page in (root / "docs" / "runbooks").glob("*.md")}
    for source in (root / "src" / "hexi" / "cli" / "checks").glob("*.py"):
        words = {n.value for n in ast.walk(ast.parse(source.read_text())) if isinstance(n, ast.Constant)}
        named = {w for w in words if isinstance(w, str) and re.fullmatch(r"[a-z]+(-[a-z]+)+", w)}
        assert named <= pages, source.name


class Nowhere:
    def locate(self, _):
        return Location()
