"""The screens in a real browser: a call from the pendant to the closing, access for everyone, many tabs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Route, expect
from tests.web.screens_world import HERO, Watch, World, chromium, playing, rows_of, running, until

pytestmark = pytest.mark.browser

SCREENS = [
    "/demo",
    "/demo/pendant",
    "/demo/phones",
    "/desk",
    "/desk?case={case}",
    "/cases",
    "/cases/{case}",
    "/wall",
    "/wall?view=table",
    "/wall?map=flat",
    "/people",
    "/people/E00001",
    "/people/E00001?show=sensitive",
    "/devices",
    "/devices/D00001-pendant",
    "/records",
    "/records/roster/district",
    "/records/person/new",
    "/records/person/E00001/edit",
    "/records/person/E00001/history",
    "/signals",
    "/signals?which=all",
    "/quarantine",
    "/me",
    "/records/nothing",
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("screens"), demo=True) as found:
        yield found


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with playing() as found:
        yield found


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    found = chromium(playwright)
    yield found
    found.close()


@pytest.fixture
def context(world: World, browser: Browser) -> Iterator[BrowserContext]:
    world.close_all()
    found = browser.new_context(base_url=world.base, locale="zh-CN", viewport={"width": 1440, "height": 900})
    watch = Watch(found, world.base)
    yield found
    found.close()
    assert [w for w in watch.wrong if "404" not in w and "409" not in w and "422" not in w] == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def call(world: World, person: str = HERO) -> str:
    return world.signal("pendant.sos", f"person:{person}")


@pytest.mark.parametrize("width", [1440, 390])
def test_every_screen_is_accessible_and_fits(world: World, page: Page, width: int) -> None:
    """WCAG 2.2 AA as far as axe can see, no sideways scrolling, at desk and at telephone width."""
    page.set_viewport_size({"width": width, "height": 844})
    case = call(world)
    found = []
    for screen in SCREENS:
        page.goto(screen.format(case=case))
        page.wait_for_timeout(150)
        options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
        result = Axe().run(page, options=options)
        found += [(screen, v["id"], v["nodes"][0]["html"][:160]) for v in result.response["violations"]]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append((screen, "too wide", ""))
    assert found == []


def test_targets_are_large_enough(world: World, page: Page) -> None:
    """44 px on the desk, 60 px in the elder's mode."""
    page.goto(f"/desk?case={call(world)}")
    assert min(_heights(page, ".acts button, .queue-row, .nav a, .region-head button")) >= 44
    page.goto("/demo/pendant")
    assert min(_heights(page, "main button")) >= 60


def _heights(page: Page, selector: str) -> list[float]:
    boxes = [found.bounding_box() for found in page.locator(selector).all()]
    return [box["height"] for box in boxes if box]


def test_a_call_from_the_pendant_to_the_closing(world: World, context: BrowserContext) -> None:
    """The whole way: pressed, announced, opened, answered on a telephone, arrived, closed with evidence."""
    desk, pendant = context.new_page(), context.new_page()
    desk.goto("/desk")
    pendant.goto("/demo/pendant")
    pendant.get_by_role("button", name="呼救").click()
    expect(pendant.locator("#sentence")).to_contain_text("呼救已发出")
    case_id = _open_by_keys(world, desk)
    _daughter_sets_off(world, context, case_id)
    expect(desk.locator("#told-live")).to_contain_text("➜ 已出发")
    expect(pendant.locator("#sentence")).to_contain_text("正在赶来")
    _close_by_keys(desk)
    assert not world.case(case_id).is_open
    expect(pendant.locator("#sentence")).to_contain_text("一切平安")


def _open_by_keys(world: World, desk: Page) -> str:
    expect(desk.locator("#queue-list a[data-siren]")).to_contain_text("无人打开")
    expect(desk.locator("#status")).to_contain_text("新案件")
    desk.bring_to_front()
    desk.keyboard.press("j")
    desk.keyboard.press("Enter")
    expect(desk.locator("#case-head")).to_be_visible()
    expect(desk.locator("#queue-list a[data-siren]")).to_have_count(0)
    case_id = desk.locator("#case-head").get_attribute("data-case") or ""
    until(lambda: bool(world.read(lambda tx: tx.access.looks(f"case:{case_id}", 1))))
    expect(desk.locator("#told-live")).to_contain_text("后自动呼叫 区值班台")
    return case_id


def _daughter_sets_off(world: World, context: BrowserContext, case_id: str) -> None:
    phones = context.new_page()
    phones.goto("/demo/phones")
    phones.locator(".phone").filter(has_text="女儿").get_by_role("button", name="我正赶去").click()
    until(lambda: bool(world.case(case_id).roles["family"].set_off))


def _close_by_keys(desk: Page) -> None:
    """The first try lacks the arrival and says so; the second, from the same form, succeeds."""
    desk.bring_to_front()
    desk.keyboard.press("a")
    expect(desk.locator("#case-live")).to_contain_text("演示值班员 已受理")
    desk.keyboard.press("c")
    desk.locator("#ask-close textarea").fill("扶起，无外伤")
    desk.locator("#ask-close button.main").click()
    expect(desk.locator("#status")).to_contain_text("还缺凭证：到场")
    desk.keyboard.press("Escape")
    desk.keyboard.press("r")
    expect(desk.locator("#case-live")).to_contain_text("已到场")
    desk.keyboard.press("c")
    desk.locator("#ask-close button.main").click()
    expect(desk.locator("#case-head")).to_contain_text("结案")


def test_nothing_moves_under_the_hand(world: World, page: Page) -> None:
    """While the pointer is on the queue its order stays; a new row announces itself below."""
    world.signal("power.lost", "device:D00002-hub")
    page.goto("/desk")
    expect(page.locator("#queue-list a[data-case]")).to_have_count(1)
    before = rows_of(page)
    page.locator("#queue-list a[data-case]").first.hover()
    fresh = call(world, "E00003")
    expect(page.locator("#queue-list a[data-case]")).to_have_count(2)
    assert rows_of(page) == [*before, fresh]
    expect(page.locator("#news")).to_contain_text("待排序")
    page.mouse.move(900, 500)
    expect(page.locator("#queue-list a[data-case]").first).to_have_attribute("data-case", fresh)
    expect(page.locator("#news")).to_contain_text("按剩余时间排序")


def test_typing_is_kept_while_the_case_changes(world: World, page: Page) -> None:
    """A live change redraws the case, never the form that somebody is filling in."""
    case = call(world)
    page.goto(f"/desk?case={case}")
    page.keyboard.press("e")
    page.locator("#evidence-text").fill("正在写")
    world.act(case, "acknowledged", f"contact:{HERO}-C1")
    expect(page.locator("#told-live")).to_contain_text("✓ 已受理")
    expect(page.locator("#evidence-text")).to_have_value("正在写")
    expect(page.locator("#evidence-text")).to_be_focused()


def test_many_tabs_share_one_stream(world: World, context: BrowserContext) -> None:
    """Nine tabs: the ninth loads, all hear, and the server holds one stream for them."""
    with world.client() as client:
        client.get("/desk/queue")
    tabs = [context.new_page() for _ in range(9)]
    for tab in tabs:
        tab.goto("/desk")
    own = 1
    until(lambda: world.app.platform.hub.listeners == 1 + own)
    case = call(world)
    for tab in (tabs[0], tabs[8]):
        expect(tab.locator(f'#queue-list a[data-case="{case}"]')).to_be_visible()


def test_without_a_shared_worker_each_page_listens_itself(world: World, page: Page) -> None:
    """The page's own stream is awaited: listeners of an earlier test may still be counted."""
    page.add_init_script("delete window.SharedWorker")
    with page.expect_response("**/api/v1/changes"):
        page.goto("/desk")
    case = call(world)
    expect(page.locator(f'#queue-list a[data-case="{case}"]')).to_be_visible(timeout=20_000)


def test_a_case_that_comes_while_the_page_is_still_loading_is_shown(world: World, page: Page) -> None:
    """Nothing tells of it on the line, which opens only afterwards: the page looks anew when it does."""
    cases: list[str] = []

    def late(route: Route) -> None:
        cases.append(call(world))
        route.continue_()

    page.add_init_script("delete window.SharedWorker")
    page.route("**/api/v1/changes", late)
    with page.expect_response("**/api/v1/changes"):
        page.goto("/desk")
    expect(page.locator(f'#queue-list a[data-case="{cases[0]}"]')).to_be_visible(timeout=20_000)


def test_the_siren_rings_until_somebody_opens_the_case(world: World, page: Page) -> None:
    """It rings for a cry on this desk, and falls silent when somebody opens the case elsewhere."""
    page.goto("/desk")
    page.locator("#siren").click()
    expect(page.locator("#siren")).to_have_attribute("aria-pressed", "true")
    case = call(world)
    expect(page.locator("html")).to_have_attribute("data-ringing", "")
    with world.client() as client:
        assert client.post(f"/desk/open/{case}").status_code == 204
    expect(page.locator("html")).not_to_have_attribute("data-ringing", "")


def test_taking_over_a_desk_plays_the_test_tone(world: World, page: Page) -> None:
    page.goto("/desk")
    page.get_by_role("button", name="上岗").first.click()
    page.locator("#shift-desk").select_option("district")
    page.locator("#shift-person").fill("W001")
    page.get_by_role("button", name="上岗（试音）").click()
    expect(page.locator("#siren")).to_have_attribute("aria-pressed", "true")
    until(lambda: "W001" in _district(world)["on_duty"])
    page.get_by_role("button", name="上岗").first.click()
    page.locator("#shift-person").fill("W001")
    page.get_by_role("button", name="交班离岗").click()
    until(lambda: "W001" not in _district(world)["on_duty"])


def _district(world: World) -> dict[str, list[str]]:
    record = world.read(lambda tx: tx.records.get("roster", "district"))
    assert record is not None
    return {"on_duty": record.data.get("on_duty", [])}


def test_the_wall_shows_outlines_and_cases_with_webgl(world: World, page: Page) -> None:
    call(world)
    page.goto("/wall")
    expect(page.locator("#map canvas.maplibregl-canvas")).to_be_visible(timeout=15_000)
    expect(page.locator(".map-name").first).to_be_visible()


def test_the_wall_works_without_webgl(world: World, playwright: Playwright) -> None:
    """Outlines in SVG and dots on a canvas; nothing else of the page is lost."""
    call(world)
    other = chromium(playwright, "--disable-3d-apis")
    page = other.new_page(base_url=world.base, locale="zh-CN")
    page.goto("/wall")
    expect(page.locator("#map svg path.land").first).to_be_visible()
    expect(page.locator("#map canvas.dots")).to_be_visible()
    expect(page.locator("#wall-now")).to_contain_text("老人按下呼救挂件")
    other.close()


def test_the_wall_greys_when_the_line_is_lost(world: World, page: Page) -> None:
    page.add_init_script("delete window.SharedWorker")
    before = world.app.platform.hub.listeners
    page.goto("/wall")
    until(lambda: world.app.platform.hub.listeners > before)
    page.route("**/api/v1/changes", lambda route: route.fulfill(status=204))
    world.drop_lines()
    expect(page.locator("#stale")).to_be_visible(timeout=15_000)
    expect(page.locator("#wall")).to_have_class("wall stale")


def test_a_number_opens_the_cases_behind_it(world: World, page: Page) -> None:
    case = call(world)
    page.goto("/wall")
    page.locator(".figure").filter(has_text="在办案件").click()
    expect(page.locator("table")).to_contain_text(case)


def test_an_evidence_photo_and_a_note_reach_the_case(world: World, page: Page, tmp_path: Path) -> None:
    case = call(world, "E00005")
    photo = tmp_path / "photo.png"
    page.goto(f"/cases/{case}")
    page.screenshot(path=photo)
    page.keyboard.press("e")
    page.locator("#evidence-photo").set_input_files(photo)
    page.locator("#ask-evidence button.main").click()
    expect(page.locator("#case-live .photos img")).to_be_visible()
    assert [e.type for e in world.case(case).evidence] == ["photo"]


def test_merge_and_undo(world: World, page: Page) -> None:
    one, two = call(world), call(world, "E00003")
    page.goto(f"/cases/{one}")
    page.keyboard.press("m")
    page.locator("#merge-into").select_option(two)
    page.locator("#ask-merge button.main").click()
    expect(page.locator("#case-head")).to_contain_text("已并案")
    page.get_by_role("button", name="撤销并案").click()
    expect(page.locator("#case-head")).not_to_contain_text("已并案")
    assert world.case(one).is_open


def test_false_alarm_and_reopen(world: World, page: Page) -> None:
    case = call(world)
    page.goto(f"/cases/{case}")
    page.keyboard.press("f")
    page.locator("#false-reason").fill("误按")
    page.locator("#ask-false button.danger").click()
    expect(page.locator("#case-head")).to_contain_text("不予立案")
    page.keyboard.press("o")
    page.locator("#reopen-reason").fill("又打来了")
    page.locator("#ask-reopen button.main").click()
    expect(page.locator("#acts")).to_contain_text("受理")
    assert world.case(case).is_open


def test_whistle_and_call_120(world: World, page: Page) -> None:
    case = call(world)
    page.goto(f"/desk?case={case}")
    page.keyboard.press("t")
    expect(page.locator("#ask-call .guidance")).to_contain_text("马场街道")
    page.locator("#call-said").fill("胸痛，已派车")
    page.locator("#ask-call button.main").click()
    expect(page.locator("#case-live")).to_contain_text("拨打了 120")
    page.keyboard.press("w")
    page.locator("#whistle-unit").select_option("119")
    page.locator("#ask-whistle button.main").click()
    expect(page.locator("#case-live")).to_contain_text("吹哨：消防救援 119")


def test_a_page_reads_in_english_when_asked(world: World, page: Page) -> None:
    page.goto("/desk")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="待办队列")).to_be_visible()
