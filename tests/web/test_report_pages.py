"""The pages of the monthly report and of drills: their figures, who sees what, and that they can be used."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import pytest
from axe_playwright_python.sync_playwright import Axe
from openpyxl import load_workbook
from playwright.sync_api import Browser, expect
from tests.web.screens_world import PASSWORD, Watch, World, chromium, playing, running, until

from hexi.adapters.report.pdf import FONTS
from hexi.kernel.access import Account
from hexi.kernel.clock import local_day
from hexi.kernel.signal import Flag, Signal
from hexi.spine import drill
from hexi.spine.drill_plan import parse_plan
from hexi.web.access.passwords import hash_password

PLAN = {
    "id": "t.page",
    "title": {"zh": "夜间呼救", "en": "A cry at night"},
    "about": {"zh": "试", "en": "A try"},
    "lasts": "60s",
    "cast": {"device": "pendant"},
    "promises": {"told": "30s", "acknowledged": "60s", "arrived": "15m"},
    "signal": [{"kind": "pendant.sos"}],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("pages"), demo=False) as world:
        _furnish(world)
        yield world


def _furnish(world: World) -> None:
    """Two real cases, one answered at once, and a drill."""
    streets = sorted({p.data["street"] for p in world.read(lambda tx: tx.records.find("person", "E0", 50))})
    account = Account(login="one", name="街道", hash=hash_password(PASSWORD), role="leader", place=streets[0])
    world.change(lambda tx: tx.access.put_account(account))
    answered = world.signal("pendant.sos", "person:E00001")
    world.act(answered, "arrived", "person:W001")
    world.signal("pendant.sos", "person:E00002")
    now = world.app.platform.clock.now()
    begun = drill.Begun(by="user:test", at=now, live=False, send="sink")
    world.change(lambda tx: drill.begin(tx, "260101-000000", parse_plan(PLAN), begun))
    source = "drill:260101-000000"
    exercise = Signal(
        id="d1", source=source, kind="pendant.sos", received=now, subject="person:E00001", flags=(Flag.DRILL,)
    )
    (taken,) = world._run(world.app.platform.intake.submit([exercise]))
    world.act(taken.case_id, "acknowledged", "person:W001")
    world.change(lambda tx: drill.finish(tx, "260101-000000", world.app.platform.clock.now()))
    until(lambda: world.read(lambda tx: drill.find(tx, "260101-000000")).ended is not None, 30)  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playing() as playwright:
        found = chromium(playwright)
        yield found
        found.close()


def month(world: World) -> str:
    return local_day(world.app.platform.clock.now())[:7]


def test_the_page_counts_the_real_cases_alone(world: World) -> None:
    with world.client("boss") as client:
        page = client.get("/reports", follow_redirects=True)
        assert page.status_code == 200
        told = client.get(f"/reports/{month(world)}/json").json()
    assert "承诺兑现月报" in page.text
    assert told["coverage"]["drills"] == 1
    assert told["coverage"]["counted"] == 2
    assert told["evidence"]["sha256"] in page.text


def test_the_files_say_the_same(world: World) -> None:
    with world.client("boss") as client:
        book = client.get(f"/reports/{month(world)}/xlsx")
        assert load_workbook(BytesIO(book.content)).worksheets[0]["C2"].value == 1
        if (FONTS / "regular.ttf").exists():
            assert client.get(f"/reports/{month(world)}/pdf").content.startswith(b"%PDF")
        assert client.get(f"/reports/{month(world)}/doc").status_code == 404


@pytest.mark.parametrize("wrong", ["2999-01", "May", "2026-13"])
def test_there_is_no_report_of_the_future_or_of_nonsense(world: World, wrong: str) -> None:
    with world.client("boss") as client:
        assert client.get(f"/reports/{wrong}").status_code == 404


@pytest.mark.parametrize("wrong", ['1";x="', "一", "12%0d%0aset-cookie:a"])
def test_a_place_is_a_code_and_nothing_else(world: World, wrong: str) -> None:
    with world.client("boss") as client:
        for form in ("", "/json"):
            page = client.get(f"/reports/{month(world)}{form}", params={"place": wrong})
            assert page.status_code == 404


def test_a_leader_of_a_street_sees_that_street_alone(world: World) -> None:
    with world.client("one") as client:
        own = client.get(f"/reports/{month(world)}/json").json()
        other = client.get(f"/reports/{month(world)}/json?place=120103999").json()
        assert client.get(f"/reports/{month(world)}").status_code == 200
    assert own["place"] == other["place"]
    assert {group["key"] for group in own["streets"]} <= {own["place"]}


def test_a_worker_sees_no_report(world: World) -> None:
    with world.client("steward") as client:
        assert client.get(f"/reports/{month(world)}").status_code == 403


def test_the_drill_is_listed_with_its_report(world: World) -> None:
    with world.client("desk") as client:
        listed = client.get("/drills").text
        shown = client.get("/drills/260101-000000").text
        assert client.get("/drills/none").status_code == 404
    assert "夜间呼救" in listed
    assert "演练在到时前结束，不作评判" in shown
    assert "person:" in shown


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
def test_the_pages_are_accessible_and_fit(world: World, browser: Browser, width: int) -> None:
    context = browser.new_context(
        base_url=world.base, locale="zh-CN", viewport={"width": width, "height": 900}
    )
    watch, page = Watch(context, world.base), context.new_page()
    page.goto("/login")
    page.locator("[name=login]").fill("desk")
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    expect(page.locator("nav.nav")).to_be_visible()
    found = []
    for screen in (f"/reports/{month(world)}", "/drills", "/drills/260101-000000"):
        page.goto(screen)
        options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
        result = Axe().run(page, options=options)
        found += [(screen, v["id"], v["nodes"][0]["html"][:160]) for v in result.response["violations"]]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append((screen, "too wide", ""))
    context.close()
    assert found == []
    assert watch.wrong == []
