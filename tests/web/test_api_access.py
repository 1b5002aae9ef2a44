"""Log-in, sessions, CSRF, permissions and safety headers over real HTTP."""

import asyncio
import time

import pytest
from tests.web.api_world import PASSWORD, event, running, send

from hexi.connectors.tokens import digest_of
from hexi.kernel.ports import StoreError
from hexi.settings import Limits
from hexi.web.access.sessions import COOKIE, LIFE, PROLONG_AFTER


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with running(tmp_path_factory.mktemp("access"), limits=Limits(logins=50)) as world:
        yield world


PROTECTED = [
    "/",
    "/desk",
    "/wall",
    "/api/v1/cases",
    "/api/v1/records/person",
    "/api/v1/changes",
    "/api/v1/signals",
    "/api/v1/quarantine",
    "/schema",
    "/schema/openapi.json",
    "/no/such/page",
    "//login",
    "/static",
    "/login/../api/v1/cases",
]


@pytest.mark.parametrize("path", PROTECTED)
def test_every_address_asks_for_credentials(world, path):
    with world.client() as client:
        answer = client.get(world.url + path)
        assert answer.status_code == 401
        assert answer.json()["type"] == "urn:hexi:problem:unauthorized"


def test_a_page_leads_to_the_log_in_and_back(world):
    with world.browser() as browser:
        answer = browser.get("/cases?open=true", headers={"accept": "text/html"})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/login?next=/cases%3Fopen%3Dtrue"
        form = browser.get(answer.headers["location"], headers={"accept": "text/html"})
        assert 'value="/cases?open=true"' in form.text
        data = {"login": "root", "password": PASSWORD, "next": "/cases?open=true"}
        assert browser.post("/login", data=data).headers["location"] == "/cases?open=true"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/login", "/metrics"])
def test_a_few_addresses_are_open(world, path):
    with world.client() as client:
        time.sleep(0.1)
        assert client.get(path).status_code == 200


def test_metrics_through_a_proxy_need_credentials(world):
    with world.client() as client:
        assert client.get("/metrics", headers={"x-forwarded-for": "203.0.113.9"}).status_code == 401


def test_log_in_and_log_out(world):
    with world.browser("root") as browser:
        assert browser.get("/api/v1/cases").status_code == 200
        secret = browser.cookies[COOKIE]
        with world.store.read() as tx:
            assert tx.access.session(digest_of(secret), world.platform.clock.now()) == "root"
            assert tx.access.session(secret, world.platform.clock.now()) is None
        assert browser.post("/logout").status_code == 303
        browser.cookies.set(COOKIE, secret)
        assert browser.get("/api/v1/cases").status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(world, tmp_path):
    with world.browser() as browser:
        cookie = browser.post("/login", data={"login": "root", "password": PASSWORD}).headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
        assert "secure" not in cookie.lower()
    with running(tmp_path, base_url="https://hexi.example") as safe, safe.client() as client:
        answer = client.post("/login", data={"login": "root", "password": PASSWORD})
        assert "secure" in answer.headers["set-cookie"].lower()
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("login", "password"), [("root", "wrong password"), ("nobody", PASSWORD), ("gone", PASSWORD), ("", "")]
)
def test_a_wrong_log_in_says_no_more_than_that(world, login, password):
    with world.browser() as browser:
        answer = browser.post("/login", data={"login": login, "password": password})
        assert answer.status_code == 401
        assert "账号或密码不对" in answer.text
        assert COOKIE not in browser.cookies


def test_log_in_is_throttled(tmp_path):
    with running(tmp_path, limits=Limits(logins=5)) as world, world.browser() as browser:
        wrong = {"login": "root", "password": "wrong password"}
        found = [browser.post("/login", data=wrong) for _ in range(4)]
        assert [a.status_code for a in found] == [401, 401, 401, 429]
        assert int(found[-1].headers["retry-after"]) >= 1
        right = browser.post("/login", data={"login": "root", "password": PASSWORD})
        assert right.status_code == 429
        other = browser.post("/login", data={"login": "desk", "password": PASSWORD})
        assert other.status_code == 303


def test_a_session_ends_and_slides(tmp_path):
    with running(tmp_path) as world, world.browser("root") as browser:
        sessions, digest = world.site.state.sessions, digest_of(browser.cookies[COOKIE])

        def expire(at):
            with world.store.write() as tx:
                tx.access.put_session(digest, "root", at)
            sessions.forget()

        now = world.platform.clock.now()
        expire(now + 60_000)
        sessions._prolonged[digest] = now - PROLONG_AFTER
        assert browser.get("/api/v1/cases").status_code == 200
        with world.store.read() as tx:
            assert tx.access.session(digest, now + LIFE - 1) == "root"
        expire(now - 1)
        assert browser.get("/api/v1/cases").status_code == 401


def test_what_an_account_may_do_changes_at_once(tmp_path):
    with running(tmp_path) as world, world.browser("root") as root, world.browser("desk") as desk:
        assert desk.get("/api/v1/cases").status_code == 200
        body = {"name": "值班员", "role": "operator", "active": False}
        assert root.put("/api/v1/accounts/desk", json=body).status_code == 200
        assert desk.get("/api/v1/cases").status_code == 401


def test_another_site_cannot_act_in_somebodys_name(world):
    with world.client("any") as sender:
        case = send(sender, event("csrf")).json()["results"][0]["case"]
    with world.browser("root") as browser:
        address, body = f"/api/v1/cases/{case}/acts", {"act": "acknowledged"}
        token = browser.headers.pop("x-csrftoken")
        assert browser.post(address, json=body).status_code == 403
        assert browser.post(address, json=body, headers={"x-csrftoken": "forged" * 20}).status_code == 403
        assert browser.post("/logout", data={"_csrf_token": "x"}).status_code == 403
        assert browser.post(address, json=body, headers={"x-csrftoken": token}).status_code == 200
    with world.client(origin="http://evil.example") as other:
        answer = other.post("/login", data={"login": "root", "password": PASSWORD})
        assert answer.status_code == 403


def test_a_token_is_the_only_credential_looked_at(world):
    with world.browser("root") as browser:
        assert browser.get("/api/v1/cases", headers={"authorization": "Bearer nonsense"}).status_code == 401
        assert browser.get("/api/v1/cases", headers={"authorization": "Basic cm9vdDp4"}).status_code == 401
    with world.client("program") as program, world.client("any") as sender:
        assert program.get("/api/v1/cases").status_code == 200
        assert sender.get("/api/v1/cases").status_code == 401


def test_safety_headers_are_on_every_answer(world):
    with world.client() as client:
        for path in ("/login", "/healthz", "/api/v1/cases", "/no/such/page"):
            headers = client.get(path).headers
            policy = headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert "strict-transport-security" not in headers
        assert send(client, b"{").headers["x-content-type-options"] == "nosniff"


ALLOWED = {
    "/api/v1/cases": {"admin", "operator", "leader"},
    "/api/v1/signals": {"admin", "operator"},
    "/api/v1/quarantine": {"admin", "operator"},
    "/api/v1/indicators": {"admin", "operator", "leader"},
    "/api/v1/accounts": {"admin"},
    "/api/v1/tokens": {"admin"},
    "/api/v1/records/person": {"admin", "operator", "leader"},
}


@pytest.mark.parametrize(("login", "role"), [("root", "admin"), ("desk", "operator"), ("boss", "leader")])
def test_roles(world, login, role):
    with world.browser(login) as browser:
        for path, roles in ALLOWED.items():
            assert (browser.get(path).status_code == 200) is (role in roles), path


def test_the_demo_is_an_operator_without_a_log_in(tmp_path):
    with running(tmp_path, demo=True) as world, world.client() as client:
        assert client.get("/api/v1/cases").status_code == 200
        assert client.get("/api/v1/accounts").status_code == 403
        case = send(client, event()).json()["results"][0]["case"]
        act = {"act": "acknowledged"}
        client.cookies.clear()
        assert client.post(f"/api/v1/cases/{case}/acts", json=act).status_code == 200
        crossed = client.post(f"/api/v1/cases/{case}/acts", json=act, headers={"origin": "http://evil"})
        assert crossed.status_code == 403
        entry = client.get(f"/api/v1/cases/{case}").json()["log"][-1]
        assert entry["by"] == "user:demo"


def test_looking_at_a_page_works_while_nothing_can_be_written(tmp_path):
    """A full disk must not close the eyes of the desk."""
    with running(tmp_path) as world, world.browser("boss") as boss:
        boss.get("/api/v1/cases")
        world.site.state.sessions._prolonged.clear()

        async def full(_):
            await asyncio.sleep(0)
            raise StoreError("disk full", kind="full")

        object.__setattr__(world.platform.intake, "call", full)
        assert boss.get("/api/v1/cases").status_code == 200
