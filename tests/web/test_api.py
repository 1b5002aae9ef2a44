"""The JSON API over real HTTP, on the real store and intake."""

import hashlib
import json
import socket
import threading
import time

import httpx
import pytest
from tests.web.api_world import COMMUNITY, OTHER_STREET, STREET, WEBHOOK, event, running, send

from hexi.kernel.case import Rung
from hexi.kernel.ports import Quarantined
from hexi.protocols.standard_webhooks import read_key, sign
from hexi.settings import Limits

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 100


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with running(tmp_path_factory.mktemp("api")) as world:
        yield world


@pytest.fixture
def desk(world):
    with world.browser("desk") as browser:
        yield browser


def cry(world, identity, **changes):
    with world.client("any") as sender:
        return send(sender, event(identity, **changes)).json()["results"][0].get("case")


def act(client, case, name, **fields):
    return client.post(f"/api/v1/cases/{case}/acts", json={"act": name, **fields})


def looks(world, record):
    with world.store.read() as tx:
        return tx.access.looks(record, 50)


def test_a_case_from_the_cry_to_the_end(world, desk):
    case = cry(world, "story", type="story.sos", subject="person:E1")
    found = desk.get("/api/v1/cases", params={"open": True, "subject": "person:E1"}).json()
    assert case in [row["id"] for row in found["items"]]
    assert act(desk, case, "set_off").status_code == 200
    assert act(desk, case, "arrived").status_code == 200
    refused = act(desk, case, "closed")
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:hexi:problem:refused"
    assert "缺凭证" in refused.json()["detail"]
    assert act(desk, case, "closed", outcome="人已安全").status_code == 200
    detail = desk.get(f"/api/v1/cases/{case}").json()
    assert detail["state"] == "closed"
    assert detail["case"]["roles"]
    assert [e["by"] for e in detail["log"] if e["kind"] == "arrived"] == ["person:W1"]
    assert "人已安全" in detail["notes"].values()
    assert looks(world, "person:E1")[0].what == "case"


def test_one_press_is_one_act(world, desk):
    case = cry(world, "press", type="press.sos")
    first, second = (act(desk, case, "commented", text="一", id="p1") for _ in range(2))
    assert (first.json()["status"], second.json()["status"]) == ("accepted", "repeat")
    log = desk.get(f"/api/v1/cases/{case}").json()["log"]
    assert [e["kind"] for e in log].count("commented") == 1


def test_acts_are_checked(world, desk):
    case = cry(world, "check", type="check.sos")
    assert act(desk, "no-such-case", "acknowledged").status_code == 404
    assert act(desk, case, "exploded").status_code == 400
    assert act(desk, case, "commented", wrong="field").status_code == 400
    assert act(desk, case, "arrived", proof="qr").status_code == 403
    assert act(desk, case, "acknowledged", by="person:E2").status_code == 200
    log = desk.get(f"/api/v1/cases/{case}").json()["log"]
    assert [e["by"] for e in log if e["kind"] == "acknowledged"] == ["person:W1"]
    with world.client("program") as program:
        assert act(program, case, "set_off", by="contact:C1").status_code == 200
    log = desk.get(f"/api/v1/cases/{case}").json()["log"]
    assert [e["by"] for e in log if e["kind"] == "set_off"] == ["contact:C1"]


def test_two_operators_at_once_both_count_once(world, desk):
    case = cry(world, "both", type="both.sos")
    with world.browser("root") as other:
        answers = []

        def press(client):
            answers.append(act(client, case, "closed", outcome="好").status_code)

        threads = [threading.Thread(target=press, args=(c,)) for c in (desk, other)]
        [t.start() for t in threads]
        [t.join() for t in threads]
    assert sorted(answers) == [200, 409]


def test_filters_paging_and_bad_queries(world, desk):
    for i in range(3):
        cry(world, f"page{i}", type=f"page{i}.sos", subject=f"device:P{i}")
    one = desk.get("/api/v1/cases", params={"limit": 1, "offset": 1}).json()
    assert len(one["items"]) == 1
    assert one["total"] >= 3
    assert desk.get("/api/v1/cases", params={"device": "device:none"}).json()["total"] == 0
    assert desk.get("/api/v1/cases", params={"since": "2100-01-01T00:00:00Z"}).json()["total"] == 0
    assert desk.get("/api/v1/cases", params={"since": "2020-01-01T00:00:00+08:00"}).json()["total"] >= 3
    for params in (
        {"limit": 0},
        {"limit": 100_000},
        {"offset": -1},
        {"since": "yesterday"},
        {"open": "maybe"},
    ):
        answer = desk.get("/api/v1/cases", params=params)
        assert answer.status_code == 400, params
        assert answer.json()["errors"]


def test_a_street_sees_only_its_own(world, desk):
    own, other = cry(world, "own", subject="person:E2"), cry(world, "other", subject="person:E1")
    with world.browser("street") as street:
        ids = [row["id"] for row in street.get("/api/v1/cases").json()["items"]]
        assert own in ids
        assert other not in ids
        assert street.get(f"/api/v1/cases/{own}").status_code == 200
        assert street.get(f"/api/v1/cases/{other}").status_code == 404
        assert act(street, other, "acknowledged").status_code == 404
        assert street.get("/api/v1/cases", params={"street": STREET}).json()["items"] == []
        people = [r["id"] for r in street.get("/api/v1/records/person").json()["items"]]
        assert people == ["E2"]
        assert [r["id"] for r in street.get("/api/v1/records/device").json()["items"]] == ["D2"]
        assert street.get("/api/v1/records/person/E1").status_code == 404
        assert street.get("/api/v1/records/person/E1/history").status_code == 404
        moved = {"name": "李大山", "street": STREET, "community": COMMUNITY}
        answer = street.put("/api/v1/records/person/E2", json=moved, headers={"if-match": "*"})
        assert answer.status_code == 403
        assert street.get("/api/v1/indicators", params={"street": STREET}).status_code == 403
        subjects = {r["signal"]["subject"] for r in street.get("/api/v1/signals").json()}
        assert subjects <= {"person:E2", "device:D2"}


def test_a_leader_sees_cases_but_no_persons(world):
    case = cry(world, "leader", subject="person:E1")
    with world.browser("boss") as boss:
        detail = boss.get(f"/api/v1/cases/{case}").json()
        assert detail["notes"] == {}
        assert {n["name"] + n["address"] + n["text"] for n in detail["notices"]} <= {""}
        person = boss.get("/api/v1/records/person/E1").json()["data"]
        assert not {"phone", "medical_note", "door_code"} & person.keys()
        assert act(boss, case, "acknowledged").status_code == 403


def test_records_are_written_with_a_version(world, desk):
    address, data = "/api/v1/records/person/N1", {"name": "新人", "street": STREET}
    created = desk.put(address, json=data)
    assert (created.status_code, created.headers["etag"]) == (201, '"1"')
    assert desk.put(address, json=data).status_code == 428
    changed = desk.put(address, json={**data, "phone": "+8613900000000"}, headers={"if-match": '"1"'})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    assert desk.put(address, json=data, headers={"if-match": '"1"'}).status_code == 412
    wrong = desk.put(address, json={**data, "phone": "abc", "nonsense": 1}, headers={"if-match": '"2"'})
    assert wrong.status_code == 400
    assert {e["pointer"] for e in wrong.json()["errors"]} == {"/phone", "/nonsense"}
    assert desk.delete(address, headers={"if-match": '"1"'}).status_code == 412
    assert desk.delete(address, headers={"if-match": '"2"'}).status_code == 204
    assert desk.get(address).status_code == 404
    history = desk.get(address + "/history").json()
    assert [v["version"] for v in history] == [3, 2, 1]
    assert history[0]["by"] == "person:W1"
    assert desk.get("/api/v1/records/nonsense").status_code == 404
    assert desk.put("/api/v1/records/person/a%00b", json=data).status_code == 400
    assert {k["id"] for k in desk.get("/api/v1/record-kinds").json()} >= {"person", "device"}


def test_fields_one_may_not_see_are_kept_and_may_not_be_written(world, desk):
    with world.client("program") as program:
        assert program.get("/api/v1/records/person/E1").json()["data"]["door_code"] == "4711"
    token = {"scope": "api:engineer", "sources": []}
    with world.browser("root") as root:
        secret = root.put("/api/v1/tokens/tech", json=token).json()["secret"]
    with world.client() as engineer:
        engineer.headers["authorization"] = f"Bearer {secret}"
        seen = engineer.get("/api/v1/records/device/D1")
        assert seen.status_code == 200
        shown = engineer.get("/api/v1/records/person/E1").json()["data"]
        assert "medical_note" not in shown
        denied = engineer.put(
            "/api/v1/records/person/E1", json={"medical_note": "x"}, headers={"if-match": "*"}
        )
        assert denied.status_code == 403
        kept = engineer.put("/api/v1/records/person/E1", json=shown, headers={"if-match": "*"})
        assert kept.status_code == 200
    assert desk.get("/api/v1/records/person/E1").json()["data"]["door_code"] == "4711"
    assert "door_code" in looks(world, "person:E1")[0].what
    desk.get("/api/v1/records/person")
    assert looks(world, "person:*")[0].by == "person:W1"


def test_indicators_name_their_cases(world, desk):
    case = cry(world, "counted", subject="person:E1")
    numbers = desk.get("/api/v1/indicators").json()
    assert len(numbers) >= 6
    open_now = next(n for n in numbers if n["measure"] == "open_now" and n["hits"])
    assert case in desk.get(open_now["cases"], params={"hit": True}).json()
    groups = desk.get(f"/api/v1/indicators/{open_now['id']}", params={"by": "street"}).json()
    assert sum(g["hits"] for g in groups) == open_now["hits"]
    assert STREET in [g["key"] for g in groups]
    elsewhere = {"street": OTHER_STREET, "since": "2100-01-01"}
    assert desk.get(open_now["cases"], params=elsewhere).json() == []
    assert desk.get("/api/v1/indicators/nonsense").status_code == 404
    assert desk.get("/api/v1/indicators", params={"since": "1.5.2026"}).status_code == 400


def test_signals_are_listed(world, desk):
    cry(world, "listed", type="strange.kind", subject="device:unknown9")
    rows = desk.get("/api/v1/signals", params={"subject": "device:unknown9"}).json()
    assert [row["signal"]["id"] for row in rows] == ["listed"]
    unmatched = desk.get("/api/v1/signals/unmatched").json()
    assert "listed" in [signal["id"] for signal in unmatched]


def test_quarantine_is_listed_shown_and_replayed(world, desk):
    with world.client("any") as sender:
        raw = json.dumps(event("later", time=...)).encode()
        send(sender, raw + b"}", "application/cloudevents+json")
    item = desk.get("/api/v1/quarantine").json()[0]
    assert item["bytes"] == len(raw) + 1
    shown = desk.get(f"/api/v1/quarantine/{item['id']}/raw")
    assert shown.content == raw + b"}"
    assert shown.headers["content-disposition"].startswith("attachment")
    assert desk.post(f"/api/v1/quarantine/{item['id']}/replay").status_code == 400
    assert desk.get("/api/v1/quarantine/999999/raw").status_code == 404

    with world.client("any") as sender:
        sender.post(
            "/api/v1/signals",
            content=b'{"a":1}',
            headers={
                "ce-specversion": "1.0",
                "ce-id": "late%FF",
                "ce-source": "gateway/7",
                "ce-type": "pendant.sos",
            },
        )
    bad = desk.get("/api/v1/quarantine").json()[0]
    assert bad["content_type"] == "message/http"
    assert desk.post(f"/api/v1/quarantine/{bad['id']}/replay").status_code == 400


def test_what_can_be_read_now_is_taken_from_quarantine(world, desk):
    raw = json.dumps(event("mended")).encode()
    with world.store.write() as tx:
        number = tx.quarantine.add(
            Quarantined(
                id=0,
                received=1,
                link="http/any",
                content_type="application/cloudevents+json",
                reason="a decoder that was wrong",
                raw=raw,
            )
        )
    answer = desk.post(f"/api/v1/quarantine/{number}/replay").json()
    assert answer["results"][0]["fate"] == "accepted"
    again = desk.post(f"/api/v1/quarantine/{number}/replay").json()
    assert again["results"][0]["fate"] == "repeat"
    row = next(q for q in desk.get("/api/v1/quarantine").json() if q["id"] == number)
    assert row["replayed_at"]


def test_evidence_is_kept_shown_and_guarded(world, desk):
    case = cry(world, "photo", type="photo.sos", subject="person:E1")
    kept = desk.post("/api/v1/evidence", content=PNG, headers={"content-type": "image/png"})
    assert kept.status_code == 201
    name = kept.json()["file"]
    assert desk.get(f"/api/v1/cases/{case}/evidence/{name}").status_code == 404
    assert act(desk, case, "evidence", type="photo", file=name).status_code == 200
    shown = desk.get(f"/api/v1/cases/{case}/evidence/{name}")
    assert (shown.content, shown.headers["content-type"]) == (PNG, "image/png")
    assert shown.headers["x-content-type-options"] == "nosniff"
    form = desk.post("/api/v1/evidence", files={"file": ("a.png", PNG, "image/png")})
    assert form.json()["file"] == name
    lie = desk.post("/api/v1/evidence", content=b"<script>", headers={"content-type": "image/png"})
    assert lie.status_code == 415
    assert desk.post("/api/v1/evidence", files={"other": b"x"}).status_code == 400
    with world.browser("boss") as boss:
        assert boss.get(f"/api/v1/cases/{case}/evidence/{name}").status_code == 403
    with world.browser("street") as street:
        assert street.get(f"/api/v1/cases/{case}/evidence/{name}").status_code == 404


def test_evidence_has_a_limit(tmp_path):
    with running(tmp_path, limits=Limits(file=100_000)) as world, world.browser("desk") as desk:
        for size in (100_001, 300_000, 12_000_000):
            body = PNG + b"x" * size
            answer = desk.post("/api/v1/evidence", content=body, headers={"content-type": "image/png"})
            assert answer.status_code == 413, size


def test_a_desk_is_taken_over_and_handed_over(world, desk):
    taken = desk.post("/api/v1/rosters/district/take-over", json={}).json()
    assert (taken["on_duty"], bool(taken["since"])) == (["W1"], True)
    note = "老人王秀英下午复诊，家属已知"
    left = desk.post("/api/v1/rosters/district/hand-over", json={"note": note}).json()
    assert desk.get("/api/v1/records/roster/district").json()["data"]["note"] == note
    assert left["on_duty"] == []
    assert desk.post("/api/v1/rosters/none/take-over", json={}).status_code == 404
    unknown = desk.post("/api/v1/rosters/district/take-over", json={"person": "nobody"})
    assert unknown.status_code == 400
    with world.browser("boss") as boss:
        assert boss.post("/api/v1/rosters/district/take-over", json={}).status_code == 403


def reply(world, body, identity="msg_1", secret=WEBHOOK, tamper=b""):
    raw = json.dumps(body).encode()
    headers = sign(read_key(secret), identity, world.platform.clock.now(), raw)
    with world.client() as client:
        return client.post("/api/v1/replies", content=raw + tamper, headers=headers)


def test_a_signed_reply_is_an_act_of_its_recipient(world, desk):
    case = cry(world, "reply", subject="person:E1")
    notice = next(
        n for n in desk.get(f"/api/v1/cases/{case}").json()["notices"] if n["recipient"] == "contact:C1"
    )
    answer = next(key for key, meaning in notice["replies"].items() if meaning == "set_off")
    body = {"notice_id": notice["id"], "reply": answer}
    assert reply(world, body).json() == {"case": case, "status": "accepted"}
    assert reply(world, body).json()["status"] == "repeat"
    detail = desk.get(f"/api/v1/cases/{case}").json()
    acts = [e for e in detail["log"] if e["kind"] == "set_off"]
    assert [(e["by"], e["via"]) for e in acts] == [("contact:C1", notice["way"])]
    assert Rung.ANSWERED in detail["case"]["notices"][notice["id"]]["rungs"]
    seen = reply(world, {"notice_id": notice["id"], "rung": "L3"}, "msg_2")
    assert seen.json()["status"] == "noted"
    detail = desk.get(f"/api/v1/cases/{case}").json()
    assert Rung.SEEN in detail["case"]["notices"][notice["id"]]["rungs"]
    assert reply(world, {"notice_id": notice["id"], "reply": "99"}, "msg_3").status_code == 400
    assert reply(world, {"notice_id": "none", "reply": "1"}, "msg_4").status_code == 404
    assert reply(world, {"reply": "1"}, "msg_5").status_code == 400
    other = "whsec_" + "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="
    assert reply(world, body, "msg_6", other).status_code == 401
    assert reply(world, body, "msg_7", tamper=b" ").status_code == 401


def test_openapi_describes_everything_and_fetches_nothing(desk):
    found = desk.get("/schema").json()
    assert found["openapi"].startswith("3.1")
    assert set(found["paths"]["/api/v1/signals"]) == {"get", "post"}
    posted = found["paths"]["/api/v1/signals"]["post"]
    assert "application/cloudevents-batch+json" in posted["requestBody"]["content"]
    assert {"202", "400", "413", "429", "503"} <= set(posted["responses"])
    for path in ("/api/v1/cases", "/api/v1/cases/{case_id}/acts", "/api/v1/indicators"):
        assert path in found["paths"]
    assert "http" not in desk.get("/schema/openapi.json").headers["content-type"]
    assert desk.get("/schema/openapi.yaml").status_code == 200
    assert desk.get("/schema/swagger").status_code == 404


def test_problems_of_the_framework_look_like_ours(desk):
    missing = desk.get("/api/v1/nothing")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    wrong = desk.patch("/api/v1/cases")
    assert wrong.status_code == 405
    assert "GET" in wrong.headers["allow"]
    bad = desk.post("/api/v1/cases/x/acts", content=b"{", headers={"content-type": "application/json"})
    assert (bad.status_code, bad.headers["content-type"]) == (400, "application/problem+json")
    assert set(missing.json()) >= {"type", "title", "status"}


def test_changes_reach_five_hundred_screens(tmp_path):
    """Raw sockets: 500 listeners in one test process, each told within a second on a loaded machine."""
    with running(tmp_path, limits=Limits(screens=500)) as world:
        host, port = world.url.removeprefix("http://").split(":")
        ask = b"GET /api/v1/changes HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret-program\r\n\r\n"
        screens = [socket.create_connection((host, int(port)), timeout=10) for _ in range(500)]
        for screen in screens:
            screen.sendall(ask)
        while world.platform.hub.listeners < 500:
            time.sleep(0.01)
        with world.client("program") as late:
            assert late.get("/api/v1/changes").status_code == 503
        began = time.monotonic()
        case = cry(world, "all")
        for screen in screens:
            received = b""
            while f'"case":"{case}"'.encode() not in received:
                chunk = screen.recv(65_536)
                assert chunk
                received += chunk
        took = time.monotonic() - began
        for screen in screens:
            screen.close()
        assert took < 2
        deadline = time.monotonic() + 5
        while world.platform.hub.listeners and time.monotonic() < deadline:
            cry(world, f"closing{time.monotonic()}")
        assert world.platform.hub.listeners == 0


def test_a_screen_that_does_not_read_is_sent_away_and_delays_nobody(tmp_path):
    with running(tmp_path) as world, world.client("program") as client:
        host, port = world.url.removeprefix("http://").split(":")
        sleeper = socket.socket()
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sleeper.connect((host, int(port)))
        sleeper.sendall(
            b"GET /api/v1/changes HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret-program\r\n\r\n"
        )
        with client.stream("GET", "/api/v1/changes") as stream:
            lines = stream.iter_lines()
            while world.platform.hub.listeners < 2:
                time.sleep(0.01)
            burst = {f"260501-{i:04}-{'x' * 80}": 1 for i in range(500)}
            published = 0
            while world.platform.hub.listeners == 2 and published < 200:
                world.loop.call_soon_threadsafe(world.platform.hub.publish, burst)
                published += 1
                for _ in range(500):
                    while not next(lines).startswith("data:"):
                        pass
            assert world.platform.hub.listeners == 1
        sleeper.close()


def test_a_change_names_case_and_version_only(world):
    with (
        world.client("watcher") as client,
        client.stream("GET", "/api/v1/changes") as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        next(lines)
        case = cry(world, "streamed", type="streamed.sos", subject="device:S1")
        for line in lines:
            if line.startswith("data:") and case in line:
                break
    assert set(json.loads(line.removeprefix("data:"))) == {"case", "version"}


def test_tokens_are_shown_once(world):
    with world.browser("root") as root:
        made = root.put("/api/v1/tokens/new", json={"sources": ["a/*"]}).json()
        again = root.put("/api/v1/tokens/new", json={"sources": ["b/*"]}).json()
        assert made["secret"]
        assert again["secret"] is None
        stored = root.get("/api/v1/tokens").text
    assert made["secret"] not in stored
    assert hashlib.sha256(made["secret"].encode()).hexdigest() not in stored
    with httpx.Client(base_url=world.url, headers={"authorization": f"Bearer {made['secret']}"}) as client:
        assert send(client, event("t1", source="b/1")).status_code == 202
        assert send(client, event("t1", source="a/1")).status_code == 403


def test_accounts_are_checked(world):
    with world.browser("root") as root:
        body = {"name": "新", "role": "worker", "password": "long enough password"}
        assert root.put("/api/v1/accounts/new", json=body).status_code == 200
        assert "hash" not in root.get("/api/v1/accounts").text
        for wrong in ({"password": "short"}, {"role": "king"}):
            answer = root.put("/api/v1/accounts/new", json={**body, **wrong})
            assert answer.status_code == 400
            assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(wrong))}"
        assert root.put("/api/v1/accounts/other", json={"name": "x", "role": "worker"}).status_code == 400
