"""``hexi migrate`` and ``hexi migrate-store``: what they say, what they refuse, how they end."""

import fcntl
import json
import sqlite3
import sys
from contextlib import closing

import pytest

from hexi.adapters.sql import SCHEMA, open_store
from hexi.adapters.sql.schema import OLDEST
from hexi.cli import main
from hexi.kernel.access import Account


@pytest.fixture
def hexi(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEXI_LANG", "en")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hexi", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture
def file(tmp_path):
    """A SQLite database with an account."""
    path = tmp_path / "var" / "hexi.sqlite"
    path.parent.mkdir()
    store = open_store(f"sqlite:///{path}")
    with store.write() as tx:
        tx.access.put_account(Account(login="amy", name="艾米", hash="x", role="admin"))
    store.close()
    return path


def _revision(file):
    with closing(sqlite3.connect(file)) as database:
        return database.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def test_a_current_database_needs_nothing(hexi, file):
    code, out, _ = hexi("migrate", "status", "--check")
    assert code == 0
    assert f"the tables stand at {SCHEMA}, this build works with {SCHEMA}" in out
    assert "nothing is to be done" in out


def test_status_never_makes_a_database(hexi, tmp_path):
    code, _, err = hexi("migrate", "status")
    assert code == 2
    assert "there is no database" in err
    assert not (tmp_path / "var").exists()


def test_back_to_the_first_release_and_forward_again(hexi, file):
    code, out, _ = hexi("migrate", "run", "--to", OLDEST)
    assert (code, _revision(file)) == (0, OLDEST)
    assert "start the earlier build now" in out
    code, out, _ = hexi("migrate", "status", "--check")
    assert (code, _revision(file)) == (1, OLDEST)
    assert "to do 0003: " in out
    pending = json.loads(hexi("migrate", "status", "--json")[1])["pending"]
    assert [one["revision"] for one in pending][-1] == SCHEMA
    assert [one["revision"] for one in pending if one["online"]] == ["0004", "0005", "0006"]
    assert hexi("migrate", "run")[0] == 0
    assert _revision(file) == SCHEMA
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT login FROM account").fetchall() == [("amy",)]


def test_there_is_no_way_back_to_nowhere_nor_under_a_running_platform(hexi, file):
    code, _, err = hexi("migrate", "run", "--to", "0001")
    assert code == 2
    assert f"it ends at {OLDEST}" in err
    with (file.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = hexi("migrate", "run", "--to", OLDEST)
    assert code == 1
    assert "stop hexi serve first" in err
    assert _revision(file) == SCHEMA


@pytest.mark.parametrize(
    ("least", "said"), [(SCHEMA, "may work on it"), ("9999", "a newer build wrote it: upgrade hexi")]
)
def test_the_tables_of_a_newer_build_are_told_apart(hexi, file, least, said):
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.execute("UPDATE setting SET value = ? WHERE name = 'schema.compatible'", (least,))
    code, out, _ = hexi("migrate", "status")
    assert code == 0
    assert said in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name PostgreSQL's address"),
        (["--to", "sqlite:///x"], "name PostgreSQL's address"),
        (["--to", "postgresql://u:secret@127.0.0.1:1/x"], "a password on the command line"),
        (["--to-file", "missing"], "cannot read the secret"),
    ],
)
def test_a_move_that_is_wrongly_asked_for_is_refused(hexi, file, arguments, said):
    code, out, err = hexi("migrate-store", *arguments)
    assert code == 2
    assert said in err
    assert "secret@" not in out + err


def test_a_server_that_is_not_there_changes_nothing(hexi, file):
    code, out, err = hexi("migrate-store", "--to", "postgresql://u@127.0.0.1:1/x")
    assert code == 1
    assert "-> postgresql://u@127.0.0.1:1/x" in out
    assert "cannot be used" in err
    open_store(f"sqlite:///{file}").close()
