"""The bundle installed without the net over the build before, interrupted on the way, and taken back again.

One installation goes through everything: each fixture is the state in which the one before has left it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import tarfile
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.peers.bundling import (
    PATIENCE,
    assets_of,
    free_port,
    install,
    kill,
    make_bundle,
    serving,
    start_install,
    unpack,
    wait_for,
)
from tools.bundle import MADE, build_wheel

from hexi import __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
UNTAGGED = "5bd3af1"
"""The released build before there were tags."""

PICTURE = b"\xff\xd8\xff\xe0" + b"a picture of a door" * 50
PASSWORD = "a long password"


def run(*command, stdin="", **told):
    kept = {n: v for n, v in os.environ.items() if not n.startswith("PYTHON")}
    environ = kept | {"HEXI_LANG": "en"} | told
    done = subprocess.run(
        list(map(str, command)),
        cwd="/",
        env=environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def last_release():
    """The tag before this version, else the build from before there were tags; skips without history."""
    tags = subprocess.run(
        ["git", "tag", "--list", "v*", "--sort=-version:refname"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    before = next((tag for tag in tags if tag != f"v{__version__}"), UNTAGGED)
    known = subprocess.run(["git", "cat-file", "-e", before], cwd=ROOT, capture_output=True, check=False)
    if known.returncode:
        pytest.skip(f"the build before, {before}, is not in this checkout's history")
    return before


@pytest.fixture(scope="module")
def old_wheel(tmp_path_factory):
    """The wheel of the last release, built from its own files; what is made beside them is of today."""
    folder = tmp_path_factory.mktemp("before")
    with (folder / "source.tar").open("wb") as file:
        subprocess.run(["git", "archive", last_release()], cwd=ROOT, stdout=file, check=True)
    with tarfile.open(folder / "source.tar") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder / "source")
    for pattern in MADE:
        for made in (ROOT / "src" / "hexi").glob(pattern):
            target = folder / "source" / made.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(made, target)
    return build_wheel(folder / "dist", folder / "source")


@pytest.fixture(scope="module")
def home(old_wheel, tmp_path_factory):
    """An installation of the build before, with a life behind it."""
    place = tmp_path_factory.mktemp("home")
    old = old_wheel.name.split("-")[1]
    prefix, port = place / "opt", free_port()
    run(sys.executable, "-m", "venv", "--without-pip", prefix / old)
    pip = [sys.executable, "-m", "pip", "--python", prefix / old / "bin" / "python", "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", old_wheel)
    [packages] = (prefix / old).glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (prefix / "current").symlink_to(old)
    config = place / "hexi.toml"
    config.write_text('data_dir = "elsewhere"\n')
    environ = {"HEXI_DATA_DIR": f"{place}/data", "HEXI_LISTEN__PORT": f"{port}"}
    (place / "environment").write_text("".join(f'{name}="{value}"\n' for name, value in environ.items()))
    there = SimpleNamespace(place=place, prefix=prefix, config=config, port=port, old=old, environ=environ)
    _live(there)
    return there


def hexi(home, *command, **options):
    return run(
        home.prefix / "current" / "bin" / "hexi", "--config", home.config, *command, **options, **home.environ
    )


def _live(home):
    """Records, an account, a token, a case with a picture."""
    hexi(home, "import", "district")
    (home.place / "people.csv").write_text("编号,姓名\nE1,王秀英\n", encoding="utf-8")
    hexi(home, "import", "person", home.place / "people.csv")
    hexi(home, "account", "add", "boss", "--stdin", stdin=f"{PASSWORD}\n")
    home.token = hexi(home, "token", "add", "gate", "--source", "*").split()[-1]
    home.program = hexi(home, "token", "add", "program", "--scope", "api").split()[-1]
    with current(home) as client:
        home.case = press(home, client, "1")
        kept = client.post("/api/v1/evidence", content=PICTURE, headers=by(home.program))
        assert kept.status_code == 201, kept.text
        home.picture = kept.json()["file"]
        act(home, client, {"act": "evidence", "type": "photo", "file": home.picture})


def current(home):
    return serving(home.prefix / "current" / "bin" / "hexi", home.config, home.port, home.environ)


def by(token):
    return {"authorization": f"Bearer {token}"}


def press(home, client, identity):
    event = {
        "specversion": "1.0", "id": identity, "source": "gate", "type": "pendant.sos", "subject": "person:E1",
    }  # fmt: skip
    headers = by(home.token) | {"content-type": "application/cloudevents+json"}
    told = client.post("/api/v1/signals", json=event, headers=headers)
    assert told.status_code == 202, told.text
    return told.json()["results"][0]["case"]


def act(home, client, body):
    told = client.post(f"/api/v1/cases/{home.case}/acts", json=body, headers=by(home.program))
    assert told.status_code == 200, told.text


def all_is_there(home, client):
    """Everything that the installation held before is there and can be used."""
    case = client.get(f"/api/v1/cases/{home.case}", headers=by(home.program))
    assert case.status_code == 200
    assert case.json()["case"]["subject"] == "person:E1"
    picture = client.get(f"/api/v1/cases/{home.case}/evidence/{home.picture}", headers=by(home.program))
    assert picture.content == PICTURE
    client.get("/login", headers={"accept": "text/html"})
    browser = {
        "x-csrftoken": client.cookies["csrftoken"],
        "origin": str(client.base_url),
        "accept": "text/html",
    }
    form = {"login": "boss", "password": PASSWORD}
    assert client.post("/login", data=form, headers=browser).status_code == 303
    assert client.get("/desk", headers=browser).status_code == 200
    assert "王秀英" in hexi(home, "export", "person")


def told(home):
    return ("--prefix", home.prefix, "--config", home.config)


def in_use(home):
    return (home.prefix / "current").readlink().name


def schema_of(home):
    with closing(sqlite3.connect(home.place / "data" / "hexi.sqlite")) as database:
        return database.execute("SELECT version_num FROM alembic_version").fetchone()[0]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return unpack(make_bundle(tmp_path_factory.mktemp("bundle")), tmp_path_factory.mktemp("unpacked"))


@pytest.fixture(scope="module")
def torn(home, root):
    """The installer was killed while it unpacked the new version."""
    process = start_install(root, *told(home))
    wait_for(lambda: any((home.prefix / __version__).glob("lib/python*/site-packages/*")), process)
    kill(process)
    return home


@pytest.fixture(scope="module")
def stuck(torn, root):
    """It ran again and was killed once more: after the switch, before the tables were brought up to date."""
    with closing(sqlite3.connect(torn.place / "data" / "hexi.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        process = start_install(root, *told(torn))
        wait_for(lambda: in_use(torn) == __version__, process)
        kill(process)
        other.execute("ROLLBACK")
    return torn


@pytest.fixture(scope="module")
def upgraded(stuck, root):
    """The third time it was let finish."""
    code, said = install(root, *told(stuck))
    assert code == 0, said
    assert f"{__version__} is in use" in said
    return stuck


@pytest.fixture(scope="module")
def gone_on(upgraded):
    """The new version has taken another cry."""
    with current(upgraded) as client:
        all_is_there(upgraded, client)
        press(upgraded, client, "2")
        act(upgraded, client, {"act": "acknowledged"})
    return upgraded


@pytest.fixture(scope="module")
def rolled_back(gone_on):
    """Back to the version before, by its own installer, keeping what came since."""
    code, said = install(gone_on.prefix / __version__, *told(gone_on), "--rollback")
    assert code == 0, said
    assert f"{gone_on.old} is in use again" in said
    return gone_on


def test_an_installation_killed_in_the_middle_leaves_the_old_version_at_work(torn):
    assert in_use(torn) == torn.old
    assert not (torn.prefix / __version__ / ".complete").exists()
    with current(torn) as client:
        all_is_there(torn, client)


def test_killed_before_the_migration_it_has_a_backup_and_a_way_back(stuck):
    assert (stuck.prefix / "backups" / f"{stuck.old}-before-{__version__}.tar.gz").stat().st_size
    assert f"version={stuck.old}\n" in (stuck.prefix / "rollback").read_text()
    assert schema_of(stuck) == "0002"


def test_run_again_it_finishes_with_everything_in_its_place(upgraded, gone_on):
    assert in_use(upgraded) == __version__
    assert schema_of(upgraded) > "0002"
    assert hexi(upgraded, "--version") == f"hexi {__version__}\n"
    hexi(upgraded, "check")
    hexi(upgraded, "rebuild", "--check")


def test_pages_come_with_their_assets_from_the_bundle(upgraded):
    where = run(upgraded.prefix / "current/bin/python", "-c", "import hexi, psycopg; print(hexi.__file__)")
    assert Path(where.strip()).resolve().is_relative_to((upgraded.prefix / __version__).resolve())
    with current(upgraded) as client:
        assert client.get("/healthz").text == "ok"
        page = client.get("/login")
        assert 'lang="zh' in page.text
        found = assets_of(page.text)
        assert found
        assert {client.get(asset).status_code for asset in found} == {200}
        assert b"MapLibre" in client.get("/static/vendor/maplibre-gl.mjs").content


def test_a_running_platform_is_not_upgraded_under_its_feet(upgraded, root):
    with current(upgraded):
        code, said = install(upgraded.prefix / __version__, *told(upgraded), "--patience", "1", "--rollback")
    assert code == 1, said
    assert "still running" in said
    assert in_use(upgraded) == __version__


def test_installing_again_changes_nothing(upgraded, root):
    before = (upgraded.prefix / __version__ / ".complete").stat().st_mtime_ns
    code, said = install(root, *told(upgraded))
    assert code == 0, said
    assert "is installed in" in said
    assert (upgraded.prefix / __version__ / ".complete").stat().st_mtime_ns == before


def test_where_nothing_was_before_it_is_simply_in_use(upgraded, root, tmp_path):
    (tmp_path / __version__).symlink_to(upgraded.prefix / __version__)
    code, said = install(root, "--prefix", tmp_path, "--config", tmp_path / "none.toml")
    assert code == 0, said
    assert run(tmp_path / "current" / "bin" / "hexi", "--version") == f"hexi {__version__}\n"
    code, said = install(root, "--prefix", tmp_path, "--rollback")
    assert code == 1
    assert "there is no version to go back to" in said


SYSTEMCTL = """#!/bin/sh
case $1 in
  list-units) echo hexi.service loaded active running hexi ;;
  *) echo "$@" >>{log} ;;
esac
"""


def test_without_a_backup_there_is_no_upgrade_and_what_was_stopped_runs_again(upgraded, root, tmp_path):
    for version in (upgraded.old, __version__):
        (tmp_path / version).symlink_to(upgraded.prefix / version)
    (tmp_path / "current").symlink_to(upgraded.old)
    (tmp_path / "backups").write_text("where the folder of backups should be")
    (tmp_path / "hexi.toml").write_text("")
    (tmp_path / "systemctl").write_text(SYSTEMCTL.format(log=tmp_path / "log"))
    (tmp_path / "systemctl").chmod(0o755)
    code, said = install(root, "--prefix", tmp_path, "--config", tmp_path / "hexi.toml", path=tmp_path)
    assert code == 1
    assert "nothing was upgraded" in said
    assert (tmp_path / "log").read_text() == "stop hexi.service\nstart hexi.service\n"
    assert (tmp_path / "current").readlink().name == upgraded.old


def test_taken_back_the_old_version_has_everything_also_what_came_since(rolled_back):
    assert in_use(rolled_back) == rolled_back.old
    assert schema_of(rolled_back) == "0002"
    with current(rolled_back) as client:
        all_is_there(rolled_back, client)
        case = client.get(f"/api/v1/cases/{rolled_back.case}", headers=by(rolled_back.program)).json()
        assert "acknowledged" in {entry["kind"] for entry in case["log"]}


def test_upgraded_again_and_restored_it_is_as_it_was_before(rolled_back, root):
    code, said = install(root, *told(rolled_back))
    assert code == 0, said
    hexi(rolled_back, "account", "add", "late", "--stdin", stdin=f"{PASSWORD}\n")
    code, said = install(rolled_back.prefix / __version__, *told(rolled_back), "--restore")
    assert code == 0, said
    assert in_use(rolled_back) == rolled_back.old
    with closing(sqlite3.connect(rolled_back.place / "data" / "hexi.sqlite")) as database:
        logins = {login for (login,) in database.execute("SELECT login FROM account")}
        [[opened]] = database.execute("SELECT count(*) FROM case_log WHERE case_id = ?", (rolled_back.case,))
    assert logins == {"boss"}
    assert opened
    assert schema_of(rolled_back) == "0002"
