"""The screens over plain HTTP: forms, permissions, links, languages and the content policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from tests.web.screens_world import HERO, World, running, until

from hexi.kernel.ports import Quarantined
from hexi.web.screens.shell import STATIC, TEMPLATES

PICTURE = b"\x89PNG\r\n\x1a\n" + b"0" * 64


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("pages"), demo=False) as found:
        yield found


@pytest.fixture
def case(world: World) -> str:
    return world.signal("pendant.sos", f"person:{HERO}")


def test_a_guest_is_sent_to_the_log_in_page(world: World) -> None:
    with world.client("boss") as client:
        client.cookies.clear()
        answer = client.get("/desk")
        assert answer.status_code == 303
        assert "/login?next=" in answer.headers["location"]
        page = client.get("/login").text
    assert 'name="_csrf_token"' in page
    assert 'name="password"' in page


def test_pages_of_signals_say_that_older_ones_are_elsewhere(world: World) -> None:
    with world.client("desk") as client:
        for path in ("/signals", "/signals?which=all", "/records/person/E00001"):
            assert "已归档的信号请用 hexi query 查询" in client.get(path).text, path


def test_no_page_has_inline_script_or_style(world: World, case: str) -> None:
    """The strict policy would block it; here it is found before a browser does."""
    with world.client("desk") as client:
        for path in (
            "/desk",
            f"/cases/{case}",
            "/wall",
            f"/people/{HERO}",
            "/records/person/new",
            "/me",
            "/signals",
        ):
            answer = client.get(path)
            assert answer.status_code == 200, path
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy
            assert re.findall(r"<script(?![^>]*src=)", answer.text) == []
            assert re.findall(r"<style|\sstyle=|\son[a-z]+=\"", answer.text) == []
            assert "http://" not in re.sub(r'xmlns="[^"]*"', "", answer.text)


def test_language_follows_cookie_then_browser(world: World) -> None:
    with world.client("desk") as client:
        assert "待办队列" in client.get("/desk").text
        assert "Queue" in client.get("/desk", headers={"accept-language": "en-GB,en;q=0.9"}).text
        client.post("/language", data={"language": "en"})
        assert "Queue" in client.get("/desk", headers={"accept-language": "zh-CN"}).text


def test_every_word_is_translated() -> None:
    """The Chinese file has every message of the templates and of the code, and no other."""
    web = TEMPLATES.parent
    methods = [("screens/**.py", "python"), ("templates/**.html", "jinja2")]
    keywords = {"_": None, "gettext": None, "mark": None}
    options = {"templates/**.html": {"trimmed": "true"}}
    found = extract_from_dir(str(web), methods, options, keywords=keywords)
    wanted = {message for _, _, message, _, _ in found if message}
    with (web / "locale/zh_CN/LC_MESSAGES/messages.po").open("rb") as stream:
        known = {m.id for m in read_po(stream) if m.id and m.string and not m.fuzzy}
    assert wanted == known


def test_scripts_stay_small() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in (STATIC / "js").glob("*.js")}
    assert {name: n for name, n in lengths.items() if n > 150} == {}


def test_the_queue_is_drawn_once_for_each_state(world: World, case: str) -> None:
    """What many screens ask for at the same time is drawn once."""
    with world.client("desk") as client:
        first = client.get("/desk/queue").text
        assert case in first
        assert client.get("/desk/queue").text == first
        world.act(case, "acknowledged", "person:W001", role="steward")
        assert client.get("/desk/queue").text != first


def test_key_door_and_health_are_shown_to_those_who_may_and_logged(world: World, case: str) -> None:
    person = world.read(lambda tx: tx.records.get("person", HERO))
    assert person is not None
    code = person.data["door_code"]
    with world.client("desk") as client:
        assert code not in client.get(f"/cases/{case}").text
        shown = client.post(f"/cases/{case}/look")
        assert code in shown.text
    looks = world.read(lambda tx: tx.access.looks(f"person:{HERO}", 5))
    assert any(look.by == "user:desk" and "door_code" in look.what and look.case_id == case for look in looks)
    with world.client("boss") as client:
        page = client.get(f"/cases/{case}").text
        assert "您的角色无权查看" in page
        assert client.post(f"/cases/{case}/look").status_code == 403
        assert client.post(f"/cases/{case}/acts/acknowledged").status_code == 403
    assert not world.case(case).roles["duty"].acknowledged


def test_sensitive_fields_of_a_record_are_covered_until_asked_for(world: World) -> None:
    person = world.read(lambda tx: tx.records.get("person", HERO))
    assert person is not None
    code = person.data["door_code"]
    with world.client("desk") as client:
        assert code not in client.get(f"/people/{HERO}").text
        assert code in client.get(f"/people/{HERO}?show=sensitive").text


def test_the_same_press_twice_is_one_act(world: World, case: str) -> None:
    with world.client("desk") as client:
        form = {"press": "once", "text": "第一次"}
        for _ in range(2):
            client.post(f"/cases/{case}/acts/commented", data=form)
    log = world.read(lambda tx: tx.cases.log(case))
    assert sum(entry.kind == "commented" for entry in log) == 1


def test_an_act_that_the_case_does_not_allow_says_why(world: World, case: str) -> None:
    with world.client("desk") as client:
        answer = client.post(
            f"/cases/{case}/acts/closed", data={"press": "c1"}, headers={"hx-request": "true"}
        )
    assert answer.status_code == 409
    assert "还缺凭证" in answer.text
    assert world.case(case).is_open


def test_a_record_is_added_changed_and_has_a_history(world: World) -> None:
    """What is wrong is said beside its field; the second of two savers is told."""
    with world.client("desk") as client:
        bad = client.post(
            "/records/contact",
            data={"id": "C900", "name": "", "person": HERO, "phone": "abc", "version": "0"},
        )
        assert bad.status_code == 422
        assert 'id="e-phone"' in bad.text
        assert 'aria-invalid="true"' in bad.text
        good = {"id": "C900", "name": "周邻居", "person": HERO, "phone": "+8613900000000", "relation": "邻居"}
        assert client.post("/records/contact", data={**good, "version": "0"}).status_code == 303
        assert "周邻居" in client.get(f"/people/{HERO}").text
        taken = client.post("/records/contact", data={**good, "version": "0"})
        assert "此编号已被使用" in taken.text
        changed = {**good, "relation": "对门邻居", "version": "1"}
        assert client.post("/records/contact", data=changed).status_code == 303
        late = client.post("/records/contact", data={**good, "version": "1"})
        assert "已被他人修改" in late.text
        history = client.get("/records/contact/C900/history").text
        assert "对门邻居" in history
        assert "版本 2" in history
        assert "C900" in client.get("/records/contact?text=周邻居").text


def test_a_change_keeps_lists_of_addresses(world: World) -> None:
    """The form writes back exactly what it showed, also for lists of tables."""
    before = world.read(lambda tx: tx.records.get("roster", "district"))
    assert before is not None
    with world.client("desk") as client:
        page = client.get("/records/roster/district/edit").text
        form = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page))
        form |= dict(re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>([^<]*)<', page))
        chosen = re.findall(r'<select id="f-(\w+)".*?<option value="(\w+)" selected', page, re.DOTALL)
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
        data = {name: unescape(value) for name, value in {**form, **dict(chosen), **hidden}.items()}
        data["name"] = "区总值班台"
        assert client.post("/records/roster", data=data).status_code == 303
    after = world.read(lambda tx: tx.records.get("roster", "district"))
    assert after is not None
    assert after.data == {**before.data, "name": "区总值班台"}


def test_a_link_shows_on_get_and_acts_on_post(world: World, case: str) -> None:
    """A messenger's preview presses nothing."""
    platform = world.app.platform
    notice = next(n for n in world.read(lambda tx: tx.notices.of_case(case)) if n.role == "family")
    soon = platform.clock.now() + 60_000
    address = platform.links.sign(notice.id, case, notice.recipient, notice.role, soon)
    path = "/r/" + address.rpartition("/")[2]
    with world.client("desk") as client:
        client.cookies.clear()
        shown = client.get(path)
        assert notice.text in shown.text
        assert 'data-mode="elder"' in shown.text
        assert not world.case(case).roles["family"].set_off
        pressed = client.post(path, data={"act": "set_off"})
        assert "已记录" in pressed.text
        assert client.post(path, data={"act": "closed"}).status_code == 200
        assert client.get("/r/forged").status_code == 404
        old = platform.links.sign(notice.id, case, notice.recipient, notice.role, 1)
        assert client.get("/r/" + old.rpartition("/")[2]).status_code == 410
    assert notice.recipient in world.case(case).roles["family"].set_off
    assert world.case(case).is_open
    assert "L4" in world.case(case).notices[notice.id].rungs


def test_a_steward_answers_and_arrives_with_a_photo(world: World) -> None:
    """My tasks: seen when shown, answered, arrived with position and photo."""
    person = next(
        p for p in world.read(lambda tx: tx.records.linked("person", "steward", "W001")) if p.data.get("lon")
    )
    case = world.signal("pendant.sos", person.ref)
    until(lambda: any(n.recipient == "person:W001" for n in world.case(case).notices.values()))
    with world.client("steward") as client:
        assert client.get("/").headers["location"] == "/me"
        page = client.get("/me").text
        assert person.data["name"] in page
        client.post(f"/me/{case}/set_off", data={"press": "s1"})
        data = {"press": "a1", "lon": str(person.data["lon"]), "lat": str(person.data["lat"])}
        client.post(f"/me/{case}/arrived", data=data, files={"photo": ("p.png", PICTURE, "image/png")})
        refused = client.post(f"/me/{case}/closed", data={"press": "x"})
        assert refused.status_code == 303
    after = world.case(case)
    assert {"person:W001"} == set(after.roles["steward"].arrived)
    assert [e.type for e in after.evidence] == ["photo"]
    mine = [n for n in after.notices.values() if n.recipient == "person:W001" and n.way == "app"]
    assert all("L3" in n.rungs for n in mine)
    arrived = next(e for e in world.read(lambda tx: tx.cases.log(case)) if e.kind == "arrived")
    assert arrived.body["proof"] == "place"


def test_only_pictures_are_taken_as_photos(world: World, case: str) -> None:
    with world.client("desk") as client:
        answer = client.post(
            f"/cases/{case}/acts/evidence",
            data={"type": "photo", "press": "p"},
            files={"photo": ("x.png", b"<script>", "image/png")},
        )
    assert answer.status_code == 415
    assert world.case(case).evidence == []


def test_unknown_signals_and_quarantine_are_listed(world: World) -> None:
    world.signal("kind.nobody.knows", "device:NEW-1")
    raw = b'{"specversion": "1.0", "oops": '
    kept = Quarantined(
        id=0, received=1, link="test", content_type="application/cloudevents+json", reason="cut", raw=raw
    )
    number = world.change(lambda tx: tx.quarantine.add(kept))
    with world.client("desk") as client:
        signals = client.get("/signals").text
        assert "device:NEW-1" in signals
        assert "未知信号类型" in signals
        assert "/records/device/new" in signals
        assert "oops" in client.get("/quarantine").text
        again = client.post(f"/quarantine/{number}/replay")
        assert again.status_code == 409
        assert 'role="alert"' in again.text
    with world.client("boss") as client:
        assert client.get("/quarantine").status_code == 403


def test_cases_are_found_by_name(world: World, case: str) -> None:
    person = world.read(lambda tx: tx.records.get("person", HERO))
    assert person is not None
    with world.client("desk") as client:
        assert case in client.get("/cases", params={"text": person.data["name"]}).text
        assert case in client.get("/cases", params={"text": case}).text
        assert case not in client.get("/cases", params={"text": "没有这个人"}).text


def test_the_demo_is_not_there_when_the_platform_serves(world: World) -> None:
    with world.client("desk") as client:
        assert client.get("/demo").status_code == 404
        assert client.post("/demo/pendant/help").status_code in {404, 405}
