"""The signal door over real HTTP: every mode, every bad input, every limit."""

import concurrent.futures
import json
import socket
import sqlite3
import time

import pytest
from tests.web.api_world import event, running, send

from hexi.kernel.signal import Flag
from hexi.protocols import cloudevents as ce
from hexi.settings import Limits


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with running(tmp_path_factory.mktemp("signals")) as world:
        yield world


@pytest.fixture
def client(world):
    with world.client("any") as client:
        yield client


def quarantined(world):
    with world.store.read() as tx:
        return tx.quarantine.find(1_000)


def results(answer):
    assert answer.status_code == 202, answer.text
    return answer.json()["results"]


def test_a_cry_is_answered_with_its_case_after_the_commit(world, client):
    (result,) = results(send(client, event("cry")))
    assert result["status"] == "accepted"
    with world.store.read() as tx:
        assert tx.cases.get(result["case"]).severity == "extreme"
        assert tx.signals.case_of(("gateway/7", "cry")) == result["case"]


def test_the_same_signal_twice_changes_nothing(client):
    (first,) = results(send(client, event("twice")))
    (second,) = results(send(client, event("twice")))
    assert (second["status"], second["case"]) == ("repeat", first["case"])


def test_every_mode_is_taken(client):
    assert len(results(send(client, [event("b1"), event("b2")]))) == 2
    lines = b"\n".join(json.dumps(event(name)).encode() for name in ("l1", "l2", "l3"))
    assert len(results(send(client, lines, ce.LINES))) == 3
    assert len(results(send(client, event("j1"), "application/json"))) == 1
    headers = {"ce-specversion": "1.0", "ce-id": "h%2F1", "ce-source": "gateway/7", "ce-type": "pendant.sos"}
    answer = client.post("/api/v1/signals", content=b'{"a":1}', headers={**headers, "ce-subject": "D1"})
    assert results(answer)[0]["id"] == "h/1"


def test_unknown_kind_and_lying_clock_are_accepted_and_flagged(client):
    said = event("odd", type="new.kind.sos", subject="D-unknown", time="1970-01-01T00:00:00Z")
    (result,) = results(send(client, said))
    assert result["status"] == "accepted"
    assert result["case"]
    assert {Flag.CLOCK_WRONG, Flag.UNKNOWN_KIND} <= set(result["flags"])


def test_an_id_used_again_for_something_else_is_taken(client):
    results(send(client, event("reused")))
    (result,) = results(send(client, event("reused", data={"battery": 3})))
    assert result["status"] == "accepted"
    assert Flag.ID_REUSED in result["flags"]


BODIES = [
    b"",
    b"{",
    b"\x00\x00",
    b'{"specversion":"1.0","id":"n","source":"s","type":"t","data":{"x":NaN}}',
    b'{"specversion":"1.0","id":"n","source":"s","type":"t","data":{"x":Infinity}}',
    b'{"specversion":"1.0","id":"\xff\xfe","source":"s","type":"t"}',
    b'{"specversion":"1.0","id":"a\x00b","source":"s","type":"t"}',
    b'{"data":' * 3_000 + b"1" + b"}" * 3_000,
]


@pytest.mark.parametrize("body", BODIES)
def test_what_is_no_json_is_a_problem_and_kept_whole(world, client, body):
    before = len(quarantined(world))
    answer = send(client, body, ce.STRUCTURED)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:hexi:problem:undecodable"
    kept = quarantined(world)
    assert len(kept) == before + 1
    assert kept[0].raw == body
    assert kept[0].link == "http/any"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"id": ...}, "/id"),
        ({"source": ""}, "/source"),
        ({"type": "a\u0000b"}, "/type"),
        ({"id": "x" * 1_000_000}, "/id"),
        ({"specversion": "0.3"}, "/specversion"),
        ({"data": [[[[[[[[json.loads("[" * 60 + "]" * 60)]]]]]]]]}, "/data"),
    ],
)
def test_a_single_event_with_a_broken_envelope_is_a_problem_with_its_field(world, client, changes, pointer):
    answer = send(client, event("broken", **changes))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert quarantined(world)[0].content_type == ce.STRUCTURED


def test_one_bad_event_harms_no_other(world, client):
    batch = [event("good1"), event("bad", source=""), event("good2"), 7]
    found = results(send(client, batch))
    assert [r["status"] for r in found] == ["accepted", "malformed", "accepted", "malformed"]
    assert (found[1]["id"], found[1]["pointer"]) == ("bad", "/source")
    assert found[1]["error"]
    assert {json.dumps(json.loads(q.raw)) for q in quarantined(world)[:2]} == {
        json.dumps(batch[1]),
        "7",
    }


def test_a_million_byte_string_is_taken(client):
    (result,) = results(send(client, event("long", data={"text": "x" * 1_000_000})))
    assert result["status"] == "accepted"


def test_what_cannot_be_decoded_opens_one_folded_technical_case(world, client):
    for body in (b"{1", b"{2"):
        send(client, body, ce.STRUCTURED)
    with world.store.read() as tx:
        rows = tx.signals.recent("link:http/any", 10)
    cases = {case_id for _, case_id in rows}
    assert len(rows) >= 2
    assert len(cases) == 1
    assert None not in cases


def test_only_a_valid_token_sends(world):
    with world.client() as nobody, world.client("wrong") as wrong, world.client("gone") as gone:
        for client in (nobody, wrong, gone):
            answer = send(client, event("x"))
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
    with world.client("program") as program:
        assert send(program, event("x")).status_code == 403


def test_a_token_sends_only_as_its_sources(world):
    with world.client("gateway") as client:
        found = results(send(client, [event("own"), event("other", source="elsewhere")]))
        assert [r["status"] for r in found] == ["accepted", "refused"]
        assert send(client, event("other", source="elsewhere")).status_code == 403


def test_acts_need_a_scope_of_their_own(world, client):
    (opened,) = results(send(client, event("for-act")))
    act = event("act1", type="act.acknowledged", subject=f"case:{opened['case']}", data={"by": "person:W1"})
    assert results(send(client, [act]))[0]["status"] == "refused"
    with world.client("actor") as actor:
        assert results(send(actor, [act]))[0]["status"] == "accepted"


def test_what_the_platform_says_of_itself_nobody_else_may_say(world, client):
    cleared = event("t1", type="tech.cleared", subject="platform:disk")
    assert results(send(client, [cleared]))[0]["status"] == "refused"
    with world.client("actor") as actor:
        assert results(send(actor, [cleared]))[0]["status"] == "refused"


def test_method_and_type(client):
    answer = client.put("/api/v1/signals", content=b"{}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert send(client, b"<a/>", "text/xml").status_code == 415
    assert (
        client.post("/api/v1/signals", content=b"{}", headers={"content-encoding": "gzip"}).status_code == 415
    )


def test_problems_speak_the_callers_language(client):
    zh, en = (
        send(client, b"{", ce.STRUCTURED),
        client.post(
            "/api/v1/signals",
            content=b"{",
            headers={"content-type": ce.STRUCTURED, "accept-language": "zh;q=0.2, en-GB"},
        ),
    )
    assert zh.json()["title"] == "无法解码"
    assert en.json()["title"] == "The body cannot be decoded"
    assert en.headers["content-language"] == "en"


def test_limits_on_body_and_batch(tmp_path):
    with running(tmp_path, limits=Limits(body=50_000, batch=10)) as world, world.client("any") as client:
        assert send(client, event("big", data={"t": "x" * 60_000})).status_code == 413

        def chunks():
            for _ in range(100):
                yield b"x" * 1_000

        answer = client.post("/api/v1/signals", content=chunks(), headers={"content-type": ce.LINES})
        assert answer.status_code == 413
        assert send(client, [event(f"n{i}") for i in range(11)]).status_code == 413
        assert len(results(send(client, [event(f"n{i}") for i in range(10)]))) == 10


def test_rate_is_limited_but_never_for_a_cry(tmp_path):
    quiet = {"type": "device.heartbeat"}
    with running(tmp_path, limits=Limits(rate=1)) as world, world.client("any") as client:
        found = [send(client, event(f"q{i}", **quiet)) for i in range(4)]
        assert found[-1].status_code == 429
        assert int(found[-1].headers["retry-after"]) >= 1
        assert send(client, b"{", ce.STRUCTURED).status_code == 429
        assert all(send(client, event(f"s{i}")).status_code == 202 for i in range(5))
        assert results(send(client, [event("q9", **quiet), event("s9")]))[0]["status"] == "accepted"


def test_a_store_that_cannot_commit_acknowledges_nothing(tmp_path):
    with running(tmp_path) as world, world.client("any") as client:
        assert send(client, event("before")).status_code == 202
        other = sqlite3.connect(world.database, isolation_level=None)
        other.execute("begin immediate")
        answer = send(client, event("while"))
        other.execute("rollback")
        other.close()
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:hexi:problem:unavailable"
        assert "retry-after" in answer.headers
        assert results(send(client, event("while")))[0]["status"] == "accepted"


def raw(world, *parts, wait=0.0):
    """Send bytes as they are and return all that comes back."""
    host, port = world.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        for part in parts:
            sock.sendall(part)
            time.sleep(wait)
        sock.settimeout(10)
        received = b""
        while chunk := sock.recv(65_536):
            received += chunk
        return received


def test_a_slow_sender_is_sent_away(tmp_path):
    with running(tmp_path) as world:
        world.site.asgi_handler._door.limits = type(world.site.asgi_handler._door.limits)(seconds=0.3)
        head = (
            b"POST /api/v1/signals HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret-any\r\n"
            b"content-type: application/cloudevents+json\r\ncontent-length: 1000\r\n\r\n"
        )
        began = time.monotonic()
        answer = raw(world, head, b"{")
        assert answer.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < 5


def test_a_sender_that_goes_away_harms_nobody(world, client):
    host, port = world.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall(
            b"POST /api/v1/signals HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret-any\r\n"
            b"content-type: application/cloudevents+json\r\ncontent-length: 100\r\n\r\n{"
        )
    assert send(client, event("after-gone")).status_code == 202


def test_two_hundred_connections_at_once(tmp_path):
    """10,000 devices within a second over 200 connections: each is told the truth about its signals."""
    with running(tmp_path, limits=Limits(rate=10_000)) as world:

        def work(number):
            with world.client("any") as client:
                said = [
                    event(f"c{number}-{i}", type="device.heartbeat", subject=f"device:X{number}-{i}")
                    for i in range(50)
                ]
                first = results(send(client, said[:25]))
                return first + results(send(client, said[25:]))

        with concurrent.futures.ThreadPoolExecutor(200) as pool:
            found = [r for part in pool.map(work, range(200)) for r in part]
        assert len(found) == 10_000
        assert {r["status"] for r in found} == {"accepted"}
        with world.store.read() as tx:
            assert all(tx.signals.recent(f"device:X{n}-49", 1) for n in (0, 100, 199))


def test_the_demo_needs_no_token_but_only_a_loopback_host(tmp_path):
    with running(tmp_path, demo=True) as world, world.client() as client:
        assert send(client, event("demo")).status_code == 202
        assert client.get("/api/v1/cases").json()["total"] == 1
        rebound = client.get("/api/v1/cases", headers={"host": "evil.example"})
        assert rebound.status_code == 421
        assert send(client, event("demo2"), host="evil.example:80").status_code == 421
