"""A drill on a running platform: over HTTP, through outbox and channels, to its end and its report."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.web.screens_world import World, running, until
from typer.testing import CliRunner

from hexi.adapters.packs.drills import read_plans
from hexi.app.drill_run import DrillRefusedError, Platform, Runner
from hexi.cli import build
from hexi.connectors.tokens import digest_of
from hexi.kernel.access import Token
from hexi.kernel.case import CaseState
from hexi.kernel.ports import CaseFilter
from hexi.kernel.signal import Flag
from hexi.settings import ChannelSettings, DrillSettings
from hexi.spine import drill
from hexi.spine.drill_plan import DrillPlan, parse_plan
from hexi.spine.drill_report import DrillReport

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="
TOKENS = {"drills": "drill", "gateway": "signals", "both": "signals drill"}
PLAN: dict[str, Any] = {
    "id": "test.sos",
    "title": {"zh": "呼救", "en": "A cry"},
    "about": {"zh": "试", "en": "A try"},
    "lasts": "60s",
    "cast": {"device": "pendant"},
    "promises": {"told": "30s", "told_spread": "30s", "acknowledged": "60s", "arrived": "15m"},
    "signal": [{"kind": "pendant.sos"}],
    "answer": [
        {"role": "steward", "act": "acknowledged", "after": "100ms"},
        {"role": "duty", "act": "acknowledged", "after": "100ms"},
        {"role": "steward", "act": "arrived", "after": "200ms"},
    ],
}


class Outside(ThreadingHTTPServer):
    """The gateway of the outside world: whatever reaches it has reached people."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: Outside

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    server = Outside()
    yield server
    server.shutdown()
    server.server_close()


def _with(folder: Path, outside: Outside, send: str) -> Any:
    hooks = {way: ChannelSettings(use="webhook", url=outside.url, secret=SECRET) for way in ("call", "sms")}
    return running(folder, demo=False, channels=hooks, drill=DrillSettings(send=send))  # type: ignore[arg-type]


def _admit(world: World) -> None:
    for name, scope in TOKENS.items():
        token = Token(name=name, hash=digest_of(f"secret-{name}"), scope=scope)
        world.change(lambda tx, token=token: tx.access.put_token(token))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, outside: Outside) -> Iterator[World]:
    with _with(tmp_path_factory.mktemp("drill"), outside, "sink") as world:
        _admit(world)
        yield world


@pytest.fixture(autouse=True)
def empty(world: World, outside: Outside) -> Iterator[None]:
    yield
    world.close_all()
    outside.got.clear()


def plan(**changes: Any) -> DrillPlan:
    return parse_plan({**PLAN, **changes})


def play(
    world: World, what: DrillPlan, *subjects: str, token: str = "drills", live: bool = False
) -> DrillReport:
    async def go() -> DrillReport:
        platform = Platform(world.base, f"secret-{token}")
        try:
            return await asyncio.wait_for(Runner(platform, what, live=live).run(subjects), 90)
        finally:
            await platform.close()

    return asyncio.run(go())


def post(world: World, token: str, **said: Any) -> dict[str, Any]:
    event = {"specversion": "1.0", "id": said.pop("id", "p1"), "source": "somebody", **said}
    with world.client() as client:
        headers = {
            "authorization": f"Bearer secret-{token}",
            "content-type": "application/cloudevents-batch+json",
        }
        answer = client.post("/api/v1/signals", content=msgspec.json.encode([event]), headers=headers)
    assert answer.status_code == 202, answer.text
    result: dict[str, Any] = answer.json()["results"][0]
    return result


def hero(world: World) -> str:
    """The pendant of the hero."""
    devices = world.read(lambda tx: tx.records.find("device", "E00001", 50))
    return next(d.ref for d in devices if d.data["type"] == "pendant" and d.data["owner"] == "E00001")


class TestTheWholePath:
    def test_everything_runs_and_nothing_leaves_the_house(self, world: World, outside: Outside) -> None:
        report = play(world, plan())
        assert report.passed, report
        (case,) = report.cases
        assert {p.name: p.held for p in case.promises} == dict.fromkeys(PLAN["promises"], True)
        calls = [n for n in case.notices if n.way == "call"]
        assert calls
        assert all("L1" in n.receipts for n in case.notices if not n.failed)
        notices = world.read(lambda tx: tx.notices.of_case(case.id))
        assert all(n.drill and n.text.startswith(("【演练】", "[DRILL] ")) for n in notices)
        evidence = [e.body for e in world.read(lambda tx: tx.cases.log(case.id)) if e.kind == "receipt"]
        gone = [e for e in evidence if e["rung"] == "L1" and e["notice"] in {n.id for n in calls}]
        assert gone
        assert all(e["evidence"]["drill"] == "sink" and e["evidence"]["status"] == 200 for e in gone)
        assert outside.got == []

    def test_its_cases_close_by_themselves_and_say_so(self, world: World) -> None:
        report = play(world, plan())
        case = world.case(report.cases[0].id)
        assert case.state is CaseState.CLOSED
        assert case.outcome == drill.OUTCOME
        last = world.read(lambda tx: tx.cases.log(case.id))[-1]
        assert (last.kind, last.by, last.via) == ("closed", "system", "drill")

    def test_it_counts_in_no_indicator(self, world: World) -> None:
        report = play(world, plan())
        assert world.read(lambda tx: tx.measures.of_case(report.cases[0].id)) == []

    def test_the_report_can_be_had_again_from_the_logs(self, world: World) -> None:
        report = play(world, plan())
        with world.client() as client:
            headers = {"authorization": "Bearer secret-drills"}
            again = client.get(f"/api/v1/drills/{report.id}", headers=headers).json()["report"]
        assert again == msgspec.to_builtins(report)

    def test_two_drills_one_after_the_other_have_cases_of_their_own(self, world: World) -> None:
        first, second = play(world, plan(), hero(world)), play(world, plan(), hero(world))
        assert first.cases[0].id != second.cases[0].id

    def test_what_is_missed_is_named_with_its_reason(self, world: World) -> None:
        silent = plan(lasts="3s", answer=[], promises={"acknowledged": "1s", "arrived": "15m"})
        report = play(world, silent)
        assert not report.passed
        missed, early = report.cases[0].promises
        assert (missed.held, missed.took) == (False, None)
        assert missed.why
        assert "steward" in missed.why.en
        assert early.held is None
        assert early.why

    def test_a_way_played_as_down_fails_and_another_carries(self, world: World) -> None:
        down = plan(down=["call"], promises={"acknowledged": "60s"})
        report = play(world, down)
        assert report.passed
        assert not any("L1" in n.receipts for n in report.cases[0].notices if n.way == "call")
        assert any("L1" in n.receipts for n in report.cases[0].notices if n.way != "call")

    def test_it_ends_by_itself_when_whoever_ran_it_is_gone(self, world: World) -> None:
        begun = drill.Begun(
            by="token:drills", at=world.app.platform.clock.now() - 60_000, live=False, send="sink"
        )
        world.change(lambda tx: drill.begin(tx, "gone", plan(lasts="50s"), begun))
        until(lambda: world.read(lambda tx: drill.find(tx, "gone")).ended is not None, 30)  # type: ignore[union-attr]


class TestARealCryStaysReal:
    def test_an_elder_who_presses_during_the_drill_has_a_real_case(
        self, world: World, outside: Outside
    ) -> None:
        device = hero(world)
        begun = drill.Begun(by="t", at=world.app.platform.clock.now(), live=False, send="sink")
        world.change(lambda tx: drill.begin(tx, "during", plan(), begun))
        exercise = post(world, "drills", type="pendant.sos", subject=device, id="x1", source="drill:during")
        real = post(world, "gateway", type="pendant.sos", subject=device, id="x2")
        again = post(world, "drills", type="pendant.sos", subject=device, id="x3", source="drill:during")
        assert exercise["case"] == again["case"] != real["case"]
        assert world.case(exercise["case"]).drill
        assert not world.case(real["case"]).drill
        until(lambda: any(one["case_id"] == real["case"] for one in outside.got), 30)
        assert not any(one["case_id"] == exercise["case"] or one["drill"] for one in outside.got)
        world.change(lambda tx: drill.finish(tx, "during", world.app.platform.clock.now()))
        until(lambda: not world.case(exercise["case"]).is_open, 30)
        assert world.case(real["case"]).is_open

    def test_a_device_cannot_call_its_cry_a_drill(self, world: World) -> None:
        said = post(world, "gateway", type="pendant.sos", subject=hero(world), id="y1", data={"drill": True})
        assert not world.case(said["case"]).drill
        assert Flag.DRILL not in said.get("flags", ())

    def test_nor_by_its_source(self, world: World) -> None:
        said = post(world, "gateway", type="pendant.sos", subject=hero(world), id="y2", source="drill:during")
        assert not world.case(said["case"]).drill

    def test_nor_is_a_cry_the_repeat_of_a_drill_under_its_name(self, world: World) -> None:
        cry = {"type": "pendant.sos", "subject": hero(world), "id": "next-1", "source": "gw-7"}
        exercise, real = post(world, "drills", **cry), post(world, "gateway", **cry)
        assert world.case(exercise["case"]).drill
        assert not world.case(real["case"]).drill
        assert real["status"] == "accepted"
        assert post(world, "gateway", **cry)["case"] == real["case"]

    @pytest.mark.parametrize(("data", "exercise"), [({"drill": True}, True), ({}, False)])
    def test_a_token_of_both_scopes_says_which(
        self, world: World, data: dict[str, Any], *, exercise: bool
    ) -> None:
        said = post(world, "both", type="pendant.sos", subject=hero(world), id=f"z{exercise}", data=data)
        assert world.case(said["case"]).drill is exercise

    def test_a_drills_token_can_do_nothing_to_a_real_case(self, world: World) -> None:
        real = world.signal("pendant.sos", hero(world))
        act = {
            "type": "act.false_alarm",
            "subject": f"case:{real}",
            "data": {"by": "person:W001", "reason": "x"},
        }
        assert post(world, "drills", id="a1", **act)["status"] == "refused"
        assert world.case(real).is_open

    @pytest.mark.parametrize("into", ["drill", "real"])
    def test_the_two_are_never_merged(self, world: World, into: str) -> None:
        exercise = post(world, "drills", type="pendant.sos", subject=hero(world), id=f"m{into}")["case"]
        real = world.signal("pendant.sos", hero(world))
        case, target = (real, exercise) if into == "drill" else (exercise, real)
        world.act(case, "merged", "user:desk", into=target)
        assert world.case(case).merged_into is None

    def test_it_does_not_make_a_silent_device_heard(self, world: World) -> None:
        pendants = world.read(lambda tx: tx.records.find("device", "pendant", 50))
        device = pendants[-1].ref
        before = world.read(lambda tx: tx.heard.last(device))
        post(world, "drills", type="pendant.sos", subject=device, id="h1")
        post(world, "drills", type="device.heartbeat", subject=device, id="h2")
        assert device not in world.app.platform.spine.means.memory.heard
        assert world.read(lambda tx: tx.heard.last(device)) == before


class TestOnTheDesk:
    @pytest.mark.parametrize("live", [True, False])
    def test_it_is_marked_and_the_siren_rings_only_when_live(self, world: World, *, live: bool) -> None:
        name = f"live-{live}"
        begun = drill.Begun(by="t", at=world.app.platform.clock.now(), live=live, send="mark")
        world.change(lambda tx: drill.begin(tx, name, plan(), begun))
        signal = {"type": "pendant.sos", "subject": hero(world), "id": name, "source": f"drill:{name}"}
        case = post(world, "drills", **signal)["case"]
        with world.client("desk") as client:
            queue = client.get("/desk/queue").text
        row = queue[queue.index(f'data-case="{case}"') :].partition("</li>")[0]
        assert "drill-mark" in row
        assert ("data-siren" in queue) is live


class TestWhoMay:
    def test_only_a_token_for_drills_begins_one(self, world: World) -> None:
        with pytest.raises(DrillRefusedError, match="401"):
            play(world, plan(), token="gateway")

    def test_live_needs_notices_that_go_out(self, world: World) -> None:
        with pytest.raises(DrillRefusedError, match="mark"):
            play(world, plan(), live=True)

    def test_the_drills_token_reads_no_cases(self, world: World) -> None:
        with world.client() as client:
            headers = {"authorization": "Bearer secret-drills"}
            assert client.get("/api/v1/cases", headers=headers).status_code == 403


class TestMarked:
    def test_marked_notices_reach_real_people_and_the_siren_rings_when_live(
        self, tmp_path: Path, outside: Outside
    ) -> None:
        with _with(tmp_path, outside, "mark") as world:
            _admit(world)
            report = play(world, plan(lasts="2s", promises={"told": "60s", "arrived": "15m"}), live=True)
            case = world.case(report.cases[0].id)
            assert case.live
            sent = [one for one in outside.got if one["case_id"] == case.id]
            assert sent
            assert all(one["drill"] and one["text"].startswith(("【演练】", "[DRILL] ")) for one in sent)


class TestTheCommand:
    def test_list_run_and_report(self, world: World, tmp_path: Path) -> None:
        file, token = tmp_path / "plan.toml", tmp_path / "token"
        token.write_text("secret-drills\n")
        file.write_text(_FILE)
        said = ["--url", world.base, "--token-file", str(token)]
        runner = CliRunner()
        listed = runner.invoke(build("drill"), ["drill", "list", "--json"])
        assert {one["id"] for one in json.loads(listed.output)} == set(read_plans())
        ran = runner.invoke(build("drill"), ["drill", "run", str(file), *said])
        assert ran.exit_code == 0, ran.output
        assert "全部兑现" in ran.output
        assert "every promise kept" in ran.output
        identity = world.read(lambda tx: drill.every(tx, 1))[0].id
        told = runner.invoke(build("drill"), ["drill", "report", identity, *said, "--json"])
        assert json.loads(told.output)["id"] == identity

    def test_an_unknown_plan_is_said(self) -> None:
        ran = CliRunner().invoke(build("drill"), ["drill", "run", "nothing"])
        assert "nothing" in str(ran.exception)

    def test_a_plan_goes_by_its_short_name_too(self) -> None:
        nowhere = ["--url", "http://127.0.0.1:9"]
        ran = CliRunner().invoke(build("drill"), ["drill", "run", "fall_at_night", *nowhere])
        assert "fall_at_night" not in str(ran.exception)
        assert "127.0.0.1:9" in str(ran.exception)


_FILE = """
id = "t.one"
title = { zh = "试", en = "try" }
about = { zh = "试", en = "try" }
lasts = "60s"
cast = { device = "pendant" }
promises = { told = "30s", acknowledged = "60s" }
[[signal]]
kind = "pendant.sos"
[[answer]]
role = "steward"
act = "acknowledged"
after = "100ms"
[[answer]]
role = "duty"
act = "acknowledged"
after = "100ms"
"""


def test_the_plans_that_come_with_hexi_can_be_played(world: World) -> None:
    """Their kinds are known, their casts exist, and what they answer is told to somebody."""
    catalogue = world.app.platform.spine.catalogue
    for one in read_plans().values():
        assert all(signal.kind in catalogue.kinds for signal in one.signal), one.id
        quick = msgspec.structs.replace(
            one,
            lasts=4_000,
            answer=tuple(msgspec.structs.replace(answer, after=0) for answer in one.answer),
            promises={"told_spread": 60_000} if one.signal[0].kind == "pendant.sos" else {},
        )
        report = play(world, quick)
        assert len(report.cases) == one.cast.many, one.id
        still = world.read(lambda tx: tx.cases.find(CaseFilter(open=True), 100))
        assert not any(row.drill for row in still)
