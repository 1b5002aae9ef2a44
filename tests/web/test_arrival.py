"""Arrival proven by the code at the door: who sees what, who may press, and what stands in the log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import expect
from tests.web.screens_world import Watch, World, chromium, playing, running

from hexi.kernel.clock import HOUR
from hexi.kernel.ports import Transaction
from hexi.kernel.response import Notice
from hexi.spine.door import DoorCodes, number_of
from hexi.spine.links import BadLinkError, LinkClaim
from hexi.web.access.permissions import Caller

CLAIM = LinkClaim(notice_id="N1", case_id="K1", recipient="contact:C1", role="family", expires=10 * HOUR)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("door"), demo=False) as found:
        yield found


ELDERS = (f"E{number:05}" for number in range(1, 30))


@pytest.fixture
def elder() -> str:
    """Somebody whom no other test has used."""
    return next(ELDERS)


@pytest.fixture
def case(world: World, elder: str) -> str:
    return world.signal("pendant.sos", f"person:{elder}")


def door(world: World, ref: str) -> str:
    platform = world.app.platform
    number = world.read(lambda tx: number_of(tx, ref))
    return "/q/" + DoorCodes(platform.secret, platform.base_url).sign(ref, number).rpartition("/")[2]


def name(world: World, elder: str) -> str:
    person = world.read(lambda tx: tx.records.get("person", elder))
    assert person is not None
    return str(person.data["name"])


def arrive(client: httpx.Client, path: str, case: str, press: str) -> httpx.Response:
    return client.post(path, data={"case": case, "press": f"{case}/{press}"})


def arrivals(world: World, case: str) -> list[tuple[str, str, str]]:
    log = world.read(lambda tx: tx.cases.log(case))
    return [(e.by, e.via, e.body["proof"]) for e in log if e.kind == "arrived"]


def family_link(world: World, case: str) -> tuple[Notice, str]:
    platform = world.app.platform
    notice = next(n for n in world.read(lambda tx: tx.notices.of_case(case)) if n.role == "family")
    soon = platform.clock.now() + HOUR
    address = platform.links.sign(notice.id, case, notice.recipient, notice.role, soon)
    return notice, "/r/" + address.rpartition("/")[2]


@contextmanager
def stranger(world: World) -> Iterator[httpx.Client]:
    """A browser without an account."""
    with world.client() as client:
        client.get("/login")
        client.headers["x-csrftoken"] = client.cookies["csrftoken"]
        yield client


def test_a_worker_who_scans_the_code_has_arrived_with_proof(world: World, elder: str, case: str) -> None:
    with world.client("steward") as client:
        shown = client.get(door(world, f"person:{elder}"))
        assert shown.status_code == 200
        assert name(world, elder) in shown.text
        assert "疑似" in shown.text or "呼救" in shown.text
        assert arrivals(world, case) == []
        pressed = arrive(client, door(world, f"person:{elder}"), case, "p1")
        assert "扫码为证" in pressed.text
        assert arrive(client, door(world, f"person:{elder}"), case, "p1").status_code == 200
    assert arrivals(world, case) == [("person:W001", "web", "qr")]
    assert world.case(case).promises["arrived"].kept
    looks = world.read(lambda tx: tx.access.looks(f"person:{elder}", 5))
    assert any(look.by == "person:W001" and look.case_id == case and look.what == "door" for look in looks)


def test_a_word_given_before_is_proven_by_the_scan(world: World, elder: str, case: str) -> None:
    world.act(case, "arrived", "person:W001", proof="claimed")
    with world.client("steward") as client:
        for press in ("p1", "p2"):
            arrive(client, door(world, f"person:{elder}"), case, press)
    assert arrivals(world, case) == [("person:W001", "app", "claimed"), ("person:W001", "web", "qr")]


@pytest.mark.parametrize("address", ["/me/{case}/arrived", "/cases/{case}/acts/arrived"])
def test_no_form_but_the_one_behind_the_code_may_say_it_was_scanned(
    world: World, elder: str, case: str, address: str
) -> None:
    with world.client("steward") as client:
        client.post(address.format(case=case), data={"proof": "qr", "press": f"{case}/forged"})
    assert arrivals(world, case) == [("person:W001", "app" if "/me/" in address else "web", "claimed")]


def test_whoever_came_by_an_answer_link_can_prove_the_arrival_at_that_door_alone(
    world: World, elder: str, case: str
) -> None:
    notice, link = family_link(world, case)
    other = f"person:{next(ELDERS)}"
    neighbour = world.signal("pendant.sos", other)
    with stranger(world) as client:
        handed = client.get(link).headers["set-cookie"]
        assert "Path=/q" in handed
        assert "HttpOnly" in handed
        assert name(world, elder) in client.get(door(world, f"person:{elder}")).text
        elsewhere = client.get(door(world, other))
        assert elsewhere.status_code == 200
        assert "没有需要您处置" in elsewhere.text
        assert neighbour not in elsewhere.text
        arrive(client, door(world, other), neighbour, "n1")
        arrive(client, door(world, f"person:{elder}"), neighbour, "n2")
        assert "扫码为证" in arrive(client, door(world, f"person:{elder}"), case, "n3").text
    assert arrivals(world, neighbour) == []
    assert arrivals(world, case) == [(notice.recipient, "link", "qr")]
    assert notice.recipient in world.case(case).roles["family"].arrived


@pytest.mark.parametrize("known", [True, False])
def test_nobody_else_learns_anything_not_even_whether_a_code_is_real(
    world: World, elder: str, case: str, *, known: bool
) -> None:
    path = door(world, f"person:{elder}") if known else "/q/forged"
    with stranger(world) as client:
        for answer in (client.get(path), arrive(client, path, case, "s1")):
            assert answer.status_code == 401
            assert name(world, elder) not in answer.text
            assert case not in answer.text
            assert "/login?next=/q/" in answer.text
    with world.client("boss") as client:
        answer = client.get(path)
        assert answer.status_code == 403
        assert name(world, elder) not in answer.text
    assert arrivals(world, case) == []


def test_a_press_needs_the_token_of_the_form(world: World, elder: str, case: str) -> None:
    with world.client("steward") as client:
        del client.headers["x-csrftoken"]
        assert arrive(client, door(world, f"person:{elder}"), case, "c1").status_code == 403
    _, link = family_link(world, case)
    with stranger(world) as client:
        client.get(link)
        del client.headers["x-csrftoken"]
        assert arrive(client, door(world, f"person:{elder}"), case, "c2").status_code == 403
    assert arrivals(world, case) == []


def test_without_an_open_case_the_page_says_so(world: World, elder: str, case: str) -> None:
    world.act(case, "false_alarm", "user:desk", reason="误报")
    with world.client("steward") as client:
        assert "没有需要您处置" in client.get(door(world, f"person:{elder}")).text
        arrive(client, door(world, f"person:{elder}"), case, "late")
    assert arrivals(world, case) == []


def test_a_renewed_label_ends_every_one_printed_before(world: World, elder: str, case: str) -> None:
    old = door(world, f"person:{elder}")
    with world.client("desk") as client:
        label = client.get(f"/people/{elder}/door-code")
        assert "第 1 张" in label.text
        assert "<svg" in label.text
        figure = re.search(r"<figure.*?</figure>", label.text, re.DOTALL)
        assert figure
        assert name(world, elder) not in figure[0]
        assert elder not in figure[0]
        assert client.post(f"/people/{elder}/door-code").status_code == 303
        assert "第 2 张" in client.get(f"/people/{elder}/door-code").text
        assert client.get(old).status_code == 410
        assert client.get(door(world, f"person:{elder}")).status_code == 200
        arrive(client, old, case, "old")
        assert "door-code" in client.get(f"/people/{elder}").text
    assert arrivals(world, case) == []
    looks = world.read(lambda tx: tx.access.looks(f"person:{elder}", 9))
    assert {"door label", "door label renewed: 2"} <= {look.what for look in looks if look.by == "user:desk"}


@pytest.mark.parametrize("login", ["steward", "boss"])
def test_only_those_who_keep_the_records_print_labels(world: World, elder: str, login: str) -> None:
    with world.client(login) as client:
        assert client.get(f"/people/{elder}/door-code").status_code == 403
        assert client.post(f"/people/{elder}/door-code").status_code == 403
        assert "door-code" not in client.get(f"/people/{elder}").text


def test_a_device_has_a_label_of_its_own(world: World, elder: str) -> None:
    device = world.read(lambda tx: tx.records.linked("device", "owner", elder))[0]
    case = world.signal("pendant.sos", device.ref)
    with world.client("desk") as client:
        assert "<svg" in client.get(f"/devices/{device.id}/door-code").text
        arrive(client, door(world, device.ref), case, "d1")
    assert arrivals(world, case) == [("user:desk", "web", "qr")]


def test_a_code_of_a_record_that_is_gone_is_withdrawn(world: World) -> None:
    with world.client("desk") as client:
        assert client.get(door(world, "person:nobody")).status_code == 410


def test_codes_passes_and_links_do_not_stand_for_each_other(world: World) -> None:
    codes, links = DoorCodes("secret", "https://hexi.example"), world.app.platform.links
    code = codes.sign("person:E1", 1).rpartition("/")[2]
    ticket = codes.make_pass(CLAIM, 0)
    assert codes.read(code).ref == "person:E1"
    assert codes.read_pass(ticket, 4 * HOUR - 1).recipient == "contact:C1"
    for read in (
        lambda: codes.read(ticket),
        lambda: codes.read_pass(code, 0),
        lambda: links.read(ticket, 0),
        lambda: DoorCodes("other", "").read(code),
        lambda: codes.read_pass(ticket, 4 * HOUR),
        lambda: codes.read_pass(codes.make_pass(CLAIM, 9 * HOUR), 10 * HOUR),
    ):
        with pytest.raises(BadLinkError):
            read()


@pytest.mark.browser
def test_the_steward_s_telephone(world: World, elder: str, case: str) -> None:
    """One walk at phone width: log in behind the scan, see the case, press one big button."""
    with playing() as playwright, chromium(playwright) as browser:
        context = browser.new_context(viewport={"width": 360, "height": 740}, locale="zh-CN")
        watch, page = Watch(context, world.base), context.new_page()
        watch.wrong.clear()
        page.goto(world.base + door(world, f"person:{elder}"))
        assert name(world, elder) not in page.content()
        page.get_by_role("link", name="登录").click()
        page.get_by_label("账号").fill("steward")
        page.get_by_label("密码").fill("correct horse battery")
        page.get_by_role("button", name="登录").click()
        button = page.get_by_role("button", name="我已到场")
        expect(button).to_have_count(1)
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 60
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        button.click()
        expect(page.get_by_role("status")).to_contain_text("扫码为证")
        expect(page.get_by_role("button", name="我已到场")).to_have_count(0)
        assert [w for w in watch.wrong if "401" not in w] == []
        context.close()
    assert arrivals(world, case) == [("person:W001", "web", "qr")]


@pytest.mark.browser
def test_the_label_is_one_sheet_of_a6(world: World, elder: str) -> None:
    with playing() as playwright, chromium(playwright) as browser, world.client("desk") as client:
        context = browser.new_context(locale="zh-CN")
        context.add_cookies([{"name": n, "value": v, "url": world.base} for n, v in client.cookies.items()])
        page = context.new_page()
        page.goto(f"{world.base}/people/{elder}/door-code")
        printed = page.pdf(prefer_css_page_size=True)
    found = re.findall(rb"/MediaBox ?\[0 0 (\S+) (\S+)\]", printed)
    millimetres = [(round(float(w) / 72 * 25.4), round(float(h) / 72 * 25.4)) for w, h in found]
    assert millimetres == [(105, 148)]


def test_a_worker_of_another_street_sees_no_case(world: World, elder: str, case: str) -> None:
    caller = Caller(login="x", name="x", role="worker", place="999999999")
    assert not caller.sees_case(world.case(case))

    def limit(tx: Transaction) -> None:
        account = tx.access.account("steward")
        assert account is not None
        tx.access.put_account(type(account)(**{**_fields(account), "login": "far", "place": "999999999"}))

    world.change(limit)
    with world.client("far") as client:
        page = client.get(door(world, f"person:{elder}")).text
        assert "没有需要您处置" in page
        assert name(world, elder) not in page
        arrive(client, door(world, f"person:{elder}"), case, "far")
    assert arrivals(world, case) == []


def _fields(account: object) -> dict[str, object]:
    return {field: getattr(account, field) for field in account.__struct_fields__}  # type: ignore[attr-defined]
