"""What the doctor sees of a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contract.databases import database, engine_of, run
from tests.contract.make import NOW, a_signal

from hexi.adapters.sql import open_store
from hexi.adapters.sql.days import Days, day_of
from hexi.adapters.sql.health import examine
from hexi.kernel.ports import StoreError

pytestmark = pytest.mark.postgresql


@pytest.fixture
def url(postgresql_url: str) -> Iterator[str]:
    with database(postgresql_url) as found:
        open_store(found).close()
        yield found


def _said(url: str, *levels: str) -> str:
    return "\n".join(sign.message.en for sign in examine(url) if sign.level in levels)


def test_a_server_as_it_should_be(url: str) -> None:
    assert _said(url, "warning", "error") == ""
    good = _said(url, "ok")
    assert "PostgreSQL " in good
    assert "made 3 days ahead" in good
    assert "on the disk when it is acknowledged" in good


def test_commits_that_do_not_wait_for_the_disk_are_an_error(url: str) -> None:
    run(url, f"ALTER DATABASE {url.rpartition('/')[2].partition('?')[0]} SET synchronous_commit = off")
    assert "synchronous_commit is off" in _said(url, "error")


def test_another_encoding_is_an_error(postgresql_url: str) -> None:
    options = {"ENCODING": "'LATIN1'", "TEMPLATE": "template0", "LC_COLLATE": "'C'", "LC_CTYPE": "'C'"}
    with database(postgresql_url, **options) as url:
        assert "encoding is LATIN1, not UTF8" in _said(url, "error")


def test_days_that_nobody_makes_and_signals_outside_them_are_told(url: str) -> None:
    store = open_store(url)
    with store.write() as tx:
        tx.signals.add(a_signal("a", received=NOW), None)
    store.close()
    with engine_of(url) as engine:
        days = Days(engine)
        later = [p for p in days.present() if p.since is not None and p.since > day_of(_now(url))]
        assert [days.drop(p.since or 0, archived=0) for p in later] == [0] * len(later)
    said = _said(url, "warning")
    assert "no partition yet" in said
    assert "default partition" in said


def _now(url: str) -> int:
    return int(run(url, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")[0])


def test_an_index_that_was_left_unfinished_is_named(url: str) -> None:
    run(url, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_deadline_due_at'::regclass")
    assert "ix_deadline_due_at was left unfinished" in _said(url, "warning")


def test_an_empty_database_is_no_fault(postgresql_url: str) -> None:
    with database(postgresql_url) as url:
        assert _said(url, "warning", "error") == ""


def test_a_server_that_is_not_there_is_a_store_error() -> None:
    with pytest.raises(StoreError):
        examine("postgresql://u@127.0.0.1:1/x")
