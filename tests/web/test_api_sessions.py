"""Sessions end with their password; a visitor reads the log-in page in their language; places limit lists."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.web.api_world import OTHER_STREET, PASSWORD, World, running
from typer.testing import CliRunner

from hexi.cli import build
from hexi.connectors.tokens import digest_of
from hexi.kernel.record import Record
from hexi.web.access.sessions import COOKIE

NEW = {"name": "管理员", "role": "admin", "password": "another long password"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(tmp_path) as found:
        yield found


def alive(world: World, secret: str) -> bool:
    with world.store.read() as tx:
        return tx.access.session(digest_of(secret), world.platform.clock.now()) is not None


def test_a_new_password_ends_the_other_sessions_of_the_account(world: World) -> None:
    with world.browser("root") as here, world.browser("root") as there, world.browser("desk") as desk:
        assert here.put("/api/v1/accounts/root", json=NEW).status_code == 200
        assert here.get("/api/v1/cases").status_code == 200
        assert there.get("/api/v1/cases").status_code == 401
        assert desk.get("/api/v1/cases").status_code == 200
        body = {"name": "值班员", "role": "operator", "password": "yet another password"}
        assert here.put("/api/v1/accounts/desk", json=body).status_code == 200
        assert desk.get("/api/v1/cases").status_code == 401
        assert here.get("/api/v1/cases").status_code == 200


def test_a_change_of_the_name_ends_nothing(world: World) -> None:
    with world.browser("root") as root, world.browser("desk") as desk:
        body = {"name": "值班长", "role": "operator"}
        assert root.put("/api/v1/accounts/desk", json=body).status_code == 200
        assert desk.get("/api/v1/cases").status_code == 200


def test_a_locked_account_has_no_session_to_come_back_to(world: World) -> None:
    with world.browser("root") as root, world.browser("desk") as desk:
        for active in (False, True):
            body = {"name": "值班员", "role": "operator", "active": active}
            assert root.put("/api/v1/accounts/desk", json=body).status_code == 200
        assert desk.get("/api/v1/cases").status_code == 401


def test_a_request_under_way_does_not_bring_an_ended_session_back(world: World) -> None:
    """It was looked up before the password changed, and is prolonged after."""
    sessions = world.site.state.sessions
    with world.browser("desk") as desk:
        secret = desk.cookies[COOKIE]
        desk.get("/api/v1/cases")
        with world.store.write() as tx:
            assert tx.access.end_sessions("desk") == 1
        sessions._prolonged.clear()
        asyncio.run_coroutine_threadsafe(sessions.find(secret), world.loop).result(10)
        assert not alive(world, secret)


def test_a_visitor_chooses_the_language_before_logging_in(world: World) -> None:
    with world.client(accept="text/html") as client:
        assert "登录" in client.get("/login?next=/cases").text
        token = client.cookies["csrftoken"]
        asked = {"referer": f"{world.url}/login?next=/cases", "origin": world.url}
        forged = client.post("/language", data={"language": "en"}, headers=asked)
        assert forged.status_code == 403
        answer = client.post("/language", data={"language": "en", "_csrf_token": token}, headers=asked)
        assert answer.status_code == 303
        assert answer.headers["location"].endswith("/login?next=/cases")
        page = client.get(answer.headers["location"]).text
        assert "Log in" in page
        assert 'value="/cases"' in page


def test_lists_of_a_place_have_whole_pages_and_its_own_total(world: World) -> None:
    """Sixty of theirs among sixty of others': the first page is full, and no other name is read."""
    with world.store.write() as tx:
        for number in range(120):
            data = {"name": f"居民{number}", "street": OTHER_STREET if number % 2 else "410802001"}
            tx.records.put(Record(kind="person", id=f"P{number:03}", version=0, data=data, at=1, by="user:t"))
    with world.browser("street") as street:
        found = street.get("/api/v1/records/person", params={"limit": 100}).json()["items"]
        assert len(found) == 61
        assert {item["data"]["street"] for item in found} == {OTHER_STREET}
        page = street.get("/api/v1/records/person", params={"limit": 5, "offset": 59}).json()["items"]
        assert [item["id"] for item in page] == ["P117", "P119"]
        street.headers["accept"] = "text/html"
        shown = street.get("/records/person").text
        assert len(set(re.findall(r"居民\d+|李大山", shown))) == 50
        assert "居民0<" not in shown
        assert ">61" in street.get("/records").text.replace(" ", "")
        options = street.get("/records/person/suggest?text=居民").text
        assert "居民1" in options
        assert "居民0" not in options


def test_the_command_line_ends_sessions_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.browser("desk") as desk:
        secret = desk.cookies[COOKIE]
        monkeypatch.setenv("HEXI_DATA_DIR", str(world.database.parent))
        done = CliRunner().invoke(build(), ["account", "reset", "desk", "--stdin"], input=f"{PASSWORD} 2\n")
        assert done.exit_code == 0, done.output
        assert not alive(world, secret)
