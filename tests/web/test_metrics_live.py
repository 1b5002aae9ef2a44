"""The metrics page of a running ``hexi serve``: each number moves when its thing happens."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.web.api_world import ACCOUNTS, CATALOGUE, PEOPLE, TOKENS, event, send
from tests.web.screens_world import until

from hexi.adapters.metrics import Metrics
from hexi.adapters.sql import open_store
from hexi.connectors.tokens import digest_of
from hexi.kernel.record import Record

AUTHORIZED = {"authorization": "Bearer secret-any"}
WATCHING = {"authorization": "Bearer secret-program"}
SETTINGS = """
data_dir = "data"
[listen]
port = {port}
[channels.sms]
use = "webhook"
url = "http://127.0.0.1:9/"
secret = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="
[log]
level = "error"
"""
"""Nobody listens at the address of the SMS gateway, and there is no way for calls at all."""


class Live:
    """The process and its metrics page."""

    def __init__(self, base: str) -> None:
        self.client = httpx.Client(base_url=base, trust_env=False, timeout=20)

    def read(self, name: str, **labels: str) -> float:
        """One number of the page, 0 while it is not there."""
        said = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        line = re.escape(name + (f"{{{said}}}" if said else ""))
        found = re.search(rf"^{line} (\S+)$", self.client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def up(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("metrics")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    _fill(folder, port)
    environ = {**os.environ, "HEXI_CONFIG": str(folder / "hexi.toml")}
    process = subprocess.Popen([sys.executable, "-m", "hexi", "serve"], cwd=folder, env=environ)
    found = Live(f"http://127.0.0.1:{port}")
    try:
        until(found.up, 20)
        yield found
    finally:
        found.client.close()
        process.terminate()
        assert process.wait(20) == 0


def _fill(folder: Path, port: int) -> None:
    (folder / "hexi.toml").write_text(SETTINGS.format(port=port))
    (folder / "data").mkdir()
    store = open_store(f"sqlite:///{folder / 'data' / 'hexi.sqlite'}", CATALOGUE.record_kinds)
    with store.write() as tx:
        for (kind, identity), data in PEOPLE.items():
            tx.records.put(Record(kind=kind, id=identity, version=0, data=data, at=1, by="user:test"))
        tx.records.put(Record(kind="unit", id="U1", version=0, data={"name": "物业"}, at=1, by="user:test"))
        for name, token in TOKENS.items():
            tx.access.put_token(type(token)(name=name, hash=digest_of(f"secret-{name}"), scope=token.scope))
        for account in ACCOUNTS:
            tx.access.put_account(account)
    store.close()


def test_every_metric_is_on_the_page(live: Live) -> None:
    page = live.client.get("/metrics").text
    assert [name for name in Metrics().described() if f"# HELP {name}" not in page] == []


def test_a_cry_moves_signals_cases_commits_and_deadlines(live: Live) -> None:
    names = ("hexi_commit_seconds_count", "hexi_commit_batch_count", "hexi_deadlines_pending")
    before = [live.read(name) for name in names]
    assert send(live.client, event("cry", subject="person:E1"), **AUTHORIZED).status_code == 202
    assert send(live.client, event("cry", subject="person:E1"), **AUTHORIZED).status_code == 202
    assert live.read("hexi_signals_total", fate="accepted") >= 1
    assert live.read("hexi_signals_total", fate="repeat") == 1
    assert live.read("hexi_cases_opened_total", severity="extreme") == 1
    assert all(live.read(name) > old for name, old in zip(names, before, strict=True))


def test_each_attempt_to_tell_somebody_is_counted_with_what_came_of_it(live: Live) -> None:
    send(live.client, event("cry", subject="person:E1"), **AUTHORIZED)
    until(lambda: live.read("hexi_notices_total", result="handed", way="app") >= 1)
    until(lambda: live.read("hexi_notices_total", result="failed", way="call") >= 1)
    assert live.read("hexi_notice_handover_seconds_count") >= 1


def test_a_deadline_that_fell_due_is_counted(live: Live) -> None:
    case = send(live.client, event("cry", subject="person:E1"), **AUTHORIZED).json()["results"][0]["case"]
    whistle = {"act": "whistled", "unit": "U1", "within": "1s"}
    assert live.client.post(f"/api/v1/cases/{case}/acts", json=whistle, headers=WATCHING).status_code == 200
    until(lambda: live.read("hexi_deadline_lateness_seconds_count") >= 1)


def test_an_attempt_that_will_be_repeated_is_counted_as_such(live: Live) -> None:
    send(live.client, event("cry", subject="person:E1"), **AUTHORIZED)
    until(lambda: live.read("hexi_notices_total", result="retry", way="sms") >= 1, 10)


def test_what_cannot_be_decoded_is_counted_by_link(live: Live) -> None:
    send(live.client, b'{"specversion":', **AUTHORIZED)
    batch = [event("m1", type=...), event("m2", id=...), event("m3", type="reading")]
    assert send(live.client, batch, **AUTHORIZED).status_code == 202
    assert live.read("hexi_quarantined_total", link="http/any") == 3


def test_requests_are_counted_and_timed_by_method_and_status(live: Live) -> None:
    before = live.read("hexi_request_seconds_count")
    assert live.client.get("/no/such/page").status_code == 401
    assert live.client.request("PROPFIND", "/readyz").status_code == 405
    assert live.read("hexi_requests_total", method="GET", status="401") >= 1
    assert live.read("hexi_requests_total", method="other", status="405") == 1
    assert live.read("hexi_requests_total", method="POST", status="202") >= 1
    assert live.read("hexi_request_seconds_count") >= before + 3


def test_screens_that_listen_are_counted_while_they_do(live: Live) -> None:
    assert live.read("hexi_screens_listening") == 0
    with live.client.stream("GET", "/api/v1/changes", headers=WATCHING) as stream:
        lines = stream.iter_bytes()
        assert next(lines)
        until(lambda: live.read("hexi_screens_listening") == 1)
    until(lambda: live.read("hexi_screens_listening") == 0)
