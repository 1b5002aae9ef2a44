"""A district moves to another database: every row, while it is written, killed anywhere, and back."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.contract.databases import database, engine_of, rows, run
from tests.contract.make import NOW, a_case, a_deadline, a_notice, a_signal
from tests.unit.spine_world import World

from hexi.adapters.sql import SqlStore, move_tables, moved, open_store
from hexi.adapters.sql.move import BusyError, MoveError, UnfitRowError, moving, place_of
from hexi.adapters.sql.moved import MovedError
from hexi.adapters.sql.tables import metadata
from hexi.kernel.access import Account, Look, Token
from hexi.kernel.ports import Quarantined

pytestmark = pytest.mark.postgresql
OWN = {"process"}


def _silent(*_: Any) -> None:
    """Nobody looks at the progress."""


@pytest.fixture
def new(postgresql_url: str) -> Iterator[str]:
    """Where to."""
    with database(postgresql_url) as found:
        yield found


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that every table takes several."""
    monkeypatch.setattr(move_tables, "PORTION", 7)
    monkeypatch.setattr(move_tables, "PORTIONS", {"quarantine": 2})


@pytest.fixture
def old(file_url: str) -> str:
    """A SQLite district after a morning, with a row in every table and everything a column may hold."""
    world = World(url=file_url)
    for _ in range(3):
        world.send("pendant.sos", "device:D1")
        world.send("nobody.knows", "person:nobody")
        world.wait("3m")
    world.close()
    store = open_store(file_url)
    with store.write() as tx:
        tx.access.put_account(Account(login="amy", name="艾米 \U0001f468", hash="x", role="admin"))
        tx.access.put_session("s", "amy", NOW)
        tx.access.put_token(Token(name="radar", hash="h1"))
        tx.access.looked(Look(at=NOW, by="user:amy", record="person:E1", what="door_code"))
        tx.heard.note({"device:D1": NOW, "": 0, "\\n\t\\N": -1})
        for number in range(5):
            raw = bytes(range(256)) * number
            tx.quarantine.add(_unreadable(raw))
        signals = [
            a_signal(f"s{n}", subject=None if n % 2 else f"老人 {n}", received=NOW + n) for n in range(40)
        ]
        tx.signals.claim(signals)
        for one in signals:
            tx.signals.add(one, None)
    store.close()
    run(
        file_url,
        "INSERT INTO archive_file (name, hour, kinds, bytes, sha256, state, written, verified, erased)"
        " VALUES ('f', 1, '{}', 1, 'x', 'kept', 1, 1, 0)",
        "INSERT INTO archive_erasure (subject, until) VALUES ('person:E1', 1)",
        "INSERT INTO measure (indicator, case_id, day, value) VALUES ('x', 'y', '2026-05-01', 0.1)",
    )
    return file_url


def _unreadable(raw: bytes) -> Quarantined:
    return Quarantined(id=0, received=NOW, link="http", content_type="json", reason="无法解码", raw=raw)


def _rows(url: str) -> dict[str, list[Any]]:
    """Every row, but for what a database says of itself."""
    found: dict[str, list[Any]] = {n: r for n, r in rows(url, metadata).items() if n not in OWN}
    about = ("schema.", "store.closed")
    found["setting"] = [row for row in found["setting"] if not row[0].startswith(about)]
    return found


def _move(old: str, new: str) -> Any:
    with moving(old, new) as mover:
        mover.copy(_silent)
        return mover.cut_over(_silent)


def test_every_row_arrives_and_the_old_database_is_closed(old: str, new: str) -> None:
    before = _rows(old)
    assert all(before.values()), [name for name, found in before.items() if not found]
    done = _move(old, new)
    assert _rows(new) == before == _rows(old)
    assert done.rows == {name: len(found) for name, found in before.items()}
    with pytest.raises(MovedError, match="has moved to postgresql://"):
        open_store(old)
    assert run(old, "SELECT version_num FROM alembic_version") == ["moved"]


def test_the_new_database_goes_on_with_the_next_numbers(old: str, new: str) -> None:
    ends = ("SELECT max(seq) FROM signal", "SELECT max(seq) FROM notice")
    last = run(old, *ends, "SELECT max(id) FROM quarantine")
    _move(old, new)
    store = open_store(new)
    with store.write() as tx:
        assert tx.quarantine.add(_unreadable(b"")) == last[2] + 1
        tx.signals.add(a_signal("next"), None)
        tx.notices.add(a_notice("N1"))
    store.close()
    assert run(new, *ends) == [last[0] + 1, last[1] + 1]


def test_while_it_is_filled_nobody_works_on_the_new_database(old: str, new: str) -> None:
    with moving(old, new) as mover:
        mover.copy(_silent)
    with pytest.raises(MovedError, match="still being filled from sqlite:///"):
        open_store(new)
    open_store(old).close()


def _change_everything(store: SqlStore, case_id: str) -> None:
    """Rows are added, changed and taken away, before and after what was copied."""
    with store.write() as tx:
        case, entries = a_case(case_id)
        tx.cases.save(case, entries)
        tx.deadlines.arm([a_deadline("0-first", NOW), a_deadline("z-last", NOW)])
        tx.signals.claim([a_signal("late")])
        tx.signals.add(a_signal("late"), case_id)
        tx.signals.erase("老人 2")
        tx.access.put_account(Account(login="amy", name="艾米", hash="y", role="desk"))
        tx.access.forget_sessions(NOW + 1)
        tx.quarantine.mark_replayed(2, NOW)
    _run_on(store, "DELETE FROM seen WHERE seq < 5", "DELETE FROM deadline WHERE key < 'z' AND key > '1'")
    _run_on(store, "DELETE FROM seen WHERE id = 's39'", "UPDATE token SET name = 'camera'")


def _run_on(store: SqlStore, *statements: str) -> None:
    with store.write() as tx:
        for statement in statements:
            tx.link.plain(statement)


def test_what_changes_between_copy_and_cut_over_arrives_too(old: str, new: str) -> None:
    store = open_store(old)
    with moving(old, new) as mover:
        mover.copy(_silent)
        _change_everything(store, "C-later")
        assert mover.catch_up(_silent) > 0
        _change_everything(store, "A-latest")
        with store.write() as tx:  # the same identity and number again, as SQLite gives the last one again
            tx.signals.claim([a_signal("s39")])
        store.close()
        before = _rows(old)
        mover.cut_over(_silent)
    assert _rows(new) == before


def test_it_catches_up_with_a_writer_that_does_not_pause(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_tables, "PORTION", 500)
    stop = threading.Event()
    writer = threading.Thread(target=_write, args=(old, stop))
    writer.start()
    try:
        with moving(old, new) as mover:
            mover.copy(_silent)
            for _ in range(3):
                mover.catch_up(_silent)
            stop.set()
            writer.join()
            before = _rows(old)
            mover.cut_over(_silent)
    finally:
        stop.set()
        writer.join()
    assert _rows(new) == before
    assert len(before["deadline"]) > 3


def _write(url: str, stop: threading.Event) -> None:
    store = open_store(url)
    number = 0
    while not stop.is_set():
        number += 1
        with store.write() as tx:
            one = a_signal(f"w{number}")
            tx.signals.claim([one])
            tx.signals.add(one, None)
            case, entries = a_case(f"W{number:06}")
            tx.cases.save(case, entries)
            tx.deadlines.arm([a_deadline(f"{number}", NOW)])
            tx.deadlines.cancel([f"{number - 50}"])
    store.close()


POINTS = ("copying", "copied", "caught up", "held", "walked", "left")


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_it_is_finished_by_the_next_run(old: str, new: str, point: str) -> None:
    before = _rows(old)
    command = [sys.executable, "-m", "tests.contract.half_moved", old, new, point]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{point}\n"
        process.send_signal(signal.SIGKILL)
    _nobody_moves(new)
    with pytest.raises(MovedError):
        open_store(new)
    if point == "left":
        with pytest.raises(MovedError):
            open_store(old)
    else:
        open_store(old).close()
    _move(old, new)
    assert _rows(new) == before
    open_store(new).close()


def _nobody_moves(new: str) -> None:
    """Wait until the server has noticed that the process is gone."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    end = time.monotonic() + 60
    while run(new, others)[0]:
        assert time.monotonic() < end, "a killed process still holds the database"
        time.sleep(0.05)


def test_a_second_run_finds_it_done(old: str, new: str) -> None:
    _move(old, new)
    with moving(old, new) as mover:
        assert mover.done


def test_back_again_with_what_came_meanwhile(old: str, new: str) -> None:
    _move(old, new)
    store = open_store(new)
    with store.write() as tx:
        tx.signals.claim([a_signal("on postgresql")])
        tx.signals.add(a_signal("on postgresql"), None)
    with moving(new, old) as mover:
        mover.copy(_silent)
        with pytest.raises(BusyError, match="connections still use"):
            mover.cut_over(_silent)
        store.close()
        mover.cut_over(_silent)
    assert _rows(old) == _rows(new)
    assert run(old, "SELECT count(*) FROM signal WHERE id = 'on postgresql'") == [1]
    with pytest.raises(MovedError, match="has moved to sqlite:///"):
        open_store(new)
    open_store(old).close()


def test_a_database_with_a_life_of_its_own_is_left_alone(old: str, new: str) -> None:
    store = open_store(new)
    with store.write() as tx:
        tx.deadlines.arm([a_deadline("its own", NOW)])
    store.close()
    with pytest.raises(MoveError, match="has data of its own"), moving(old, new):
        pass
    open_store(new).close()
    open_store(old).close()


def test_a_database_that_is_filled_from_elsewhere_is_left_alone(old: str, new: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    open_store(other).close()
    with moving(other, new):
        pass
    with pytest.raises(MovedError, match=r"filled from sqlite:///.*other\.db"), moving(old, new):
        pass


def test_only_one_process_moves(old: str, new: str) -> None:
    with moving(old, new), pytest.raises(MoveError, match="another process"), moving(old, new):
        pass


def test_two_files_are_no_move(old: str, tmp_path: Path) -> None:
    with pytest.raises(MoveError, match="both databases"), moving(old, f"sqlite:///{tmp_path / 'b.db'}"):
        pass


def test_a_row_that_postgresql_cannot_hold_is_named(old: str, new: str) -> None:
    run(old, "INSERT INTO heard (key, at) VALUES ('a' || char(0) || 'b', 1)")
    with moving(old, new) as mover, pytest.raises(UnfitRowError, match=r"heard .*NUL"):
        mover.copy(_silent)
    open_store(old).close()


def test_a_difference_that_stays_keeps_the_new_database_closed(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _rows(old)
    with moving(old, new) as mover:
        mover.copy(_silent)
        monkeypatch.setattr(move_tables.Twin, "_put", lambda *_: None)
        run(new, "DELETE FROM case_log", "UPDATE heard SET at = at + 1")
        with pytest.raises(MoveError, match="do not become equal"):
            mover.cut_over(_silent)
    assert _rows(old) == before
    open_store(old).close()
    with pytest.raises(MovedError, match="still being filled"):
        open_store(new)


def test_a_command_that_had_the_old_database_open_changes_nothing_after_the_move(old: str, new: str) -> None:
    command = open_store(old, beside_a_move=True)
    with command.write() as tx:
        tx.settings.put("before", "1")
    _move(old, new)
    with pytest.raises(MovedError), command.write() as tx:
        tx.settings.put("after", "1")
    with command.read() as tx:
        assert (tx.settings.get("before"), tx.settings.get("after")) == ("1", None)
    command.close()
    there = open_store(new)
    with there.read() as tx:
        assert tx.settings.get("before") == "1"
    there.close()


def test_a_place_is_told_without_its_password() -> None:
    assert place_of("postgresql://u:secret@h:1/d") == "postgresql://u@h:1/d"


def test_a_mark_can_be_taken_away_again(old: str) -> None:
    with engine_of(old) as engine, engine.connect() as connection:
        present = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        for why in ("filling", "moved"):
            moved.close(connection, why, "elsewhere")
        moved.open_again(connection)
        assert moved.read(connection) is None
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == present
