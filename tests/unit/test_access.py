"""Permissions, passwords, tokens, throttling, buckets, and the small decisions of the gate."""

import asyncio
import time

import pytest

from hexi.adapters.sql import open_store
from hexi.connectors.bucket import Buckets
from hexi.connectors.problem import KINDS, ProblemError, choose_language, kind_of_status
from hexi.connectors.tokens import LIFE, Tokens, digest_of, has_scope, may_name, new_secret
from hexi.kernel.access import Token
from hexi.web.access.gate import caller_by, is_loopback
from hexi.web.access.login import safe_next
from hexi.web.access.passwords import hash_password, is_password
from hexi.web.access.permissions import ROLE_TITLES, ROLES, Caller, Permission
from hexi.web.access.throttle import FREE, LONGEST, Throttle
from hexi.web.api.common import zone
from hexi.web.api.evidence import picture_type

STREET, COMMUNITY = "410802001", "410802001001"


class Timer:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_the_table_of_permissions():
    assert ROLES["admin"] == frozenset(Permission)
    assert set(ROLES) == set(ROLE_TITLES) == {"admin", "operator", "worker", "leader", "engineer"}
    only_admin = {p for p in Permission if [r for r in ROLES if p in ROLES[r]] == ["admin"]}
    assert only_admin == {Permission.ACCOUNT_EDIT}
    for role in ("leader", "engineer"):
        assert not ROLES[role] & {Permission.PERSON_SEE, Permission.PERSON_SENSITIVE, Permission.CASE_ACT}
    assert not Caller(login="x", name="x", role="unknown").may(Permission.WALL_SEE)


@pytest.mark.parametrize(
    ("place", "street", "community", "covered"),
    [
        (None, None, None, True),
        (STREET, STREET, COMMUNITY, True),
        (STREET, None, COMMUNITY, True),
        (STREET, "410802002", "410802002001", False),
        (STREET, None, None, False),
        (COMMUNITY, STREET, COMMUNITY, True),
        (COMMUNITY, STREET, None, False),
        (COMMUNITY, STREET, "410802001002", False),
    ],
)
def test_place_limits_what_is_seen(place, street, community, covered):
    assert Caller(login="x", name="x", role="worker", place=place).covers(street, community) is covered


@pytest.mark.parametrize(
    ("place", "street", "community", "found"),
    [
        (None, STREET, None, (STREET, None, False)),
        (STREET, None, None, (STREET, None, False)),
        (STREET, None, COMMUNITY, (STREET, COMMUNITY, False)),
        (STREET, "410802002", None, (STREET, None, True)),
        (STREET, None, "410802002001", (STREET, "410802002001", True)),
        (COMMUNITY, STREET, None, (STREET, COMMUNITY, False)),
        (COMMUNITY, "410802002", None, ("410802002", COMMUNITY, True)),
        (COMMUNITY, None, "410802001002", (None, COMMUNITY, True)),
    ],
)
def test_a_list_is_narrowed_to_the_callers_place(place, street, community, found):
    narrowed = zone(Caller(login="x", name="x", role="worker", place=place), street, community)
    assert (narrowed.street, narrowed.community, narrowed.empty) == found


def test_passwords():
    stored = hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert is_password(stored, "correct horse")
    assert not is_password(stored, "correct horsf")
    assert not is_password("not a hash", "correct horse")
    for bad in ("short", "x" * 201):
        with pytest.raises(ValueError, match="密码"):
            hash_password(bad)


def test_an_unknown_name_takes_as_long_as_a_wrong_password():
    stored = hash_password("correct horse")
    is_password(None, "warm up")

    def took(hashed):
        began = time.perf_counter()
        assert not is_password(hashed, "wrong password")
        return time.perf_counter() - began

    known, unknown = min(took(stored) for _ in range(3)), min(took(None) for _ in range(3))
    assert 0.5 < unknown / known < 2


def test_throttle_waits_grow_and_end():
    timer = Timer()
    throttle = Throttle(10, timer=timer)
    waits = []
    for _ in range(12):
        while wait := throttle.begin("root", "1.1.1.1"):
            waits.append(wait)
            timer.now += wait
    assert waits[:4] == [2, 4, 8, 16]
    assert max(waits) == LONGEST
    assert throttle.begin("other", "2.2.2.2") == 0
    timer.now += 10_000
    assert throttle.begin("root", "1.1.1.1") == 0


def test_a_thousand_guesses_at_once_get_only_the_free_ones():
    throttle = Throttle(10, timer=Timer())
    assert [bool(throttle.begin("root", "1.1.1.1")) for _ in range(1_000)].count(False) == FREE


def test_an_address_is_limited_over_all_logins_and_success_is_forgiven():
    throttle = Throttle(10, timer=Timer())
    passed = [not throttle.begin(f"user{i}", "1.1.1.1") for i in range(100)]
    assert passed.count(True) == FREE * 5
    throttle = Throttle(10, timer=Timer())
    for i in range(100):
        assert throttle.begin(f"user{i}", "1.1.1.1") == 0
        throttle.succeeded(f"user{i}", "1.1.1.1")


def test_throttle_is_bounded():
    throttle = Throttle(10, most=100, timer=Timer())
    for i in range(1_000):
        throttle.begin(f"user{i}", f"address{i}")
    assert len(throttle._failures) <= 100


def test_buckets_refill_and_are_bounded():
    timer = Timer()
    buckets = Buckets(2, 4, most=10, timer=timer)
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    timer.now = 0.5
    assert buckets.take("a") == 0
    assert buckets.take("b") == 0
    for i in range(100):
        buckets.take(str(i))
    assert len(buckets._levels) == 10


def test_tokens_name_sources_and_scopes():
    token = Token(name="t", hash="", sources=("gateway/*", "pendant-7"), scope="signals acts")
    assert may_name(token, "gateway/9")
    assert may_name(token, "pendant-7")
    assert not may_name(token, "gateway")
    assert has_scope(token, "acts")
    assert not has_scope(token, "api")
    assert not has_scope(Token(name="t", hash="", active=False), "signals")
    assert len({new_secret() for _ in range(100)}) == 100
    assert len(new_secret()) == 43


def test_a_withdrawn_token_ends_within_its_moment():
    timer, store = Timer(), open_store("sqlite:///:memory:")
    tokens = Tokens(store, timer)

    def put(active):
        with store.write() as tx:
            tx.access.put_token(Token(name="t", hash=digest_of("s"), active=active))

    async def story():
        assert await tokens.find("s") is None
        timer.now = LIFE + 1
        put(active=True)
        assert (await tokens.find("s")).name == "t"
        put(active=False)
        timer.now += LIFE + 1
        assert await tokens.find("s") is None

    asyncio.run(story())
    store.close()


@pytest.mark.parametrize(
    ("scope", "role"),
    [("api", "operator"), ("signals api:leader", "leader"), ("api:root", None), ("signals", None)],
)
def test_a_tokens_role(scope, role):
    caller = caller_by(Token(name="t", hash="", scope=scope))
    assert (caller.role if caller else None) == role
    assert caller is None or caller.ref == "token:t"


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:8700", True),
        ("localhost", True),
        ("LOCALHOST.:80", True),
        ("desk.localhost:1", True),
        ("[::1]:8700", True),
        ("[::1]", True),
        ("evil.example:8700", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
        ("10.0.0.1", False),
    ],
)
def test_loopback_names(host, ours):
    assert is_loopback(host) is ours


@pytest.mark.parametrize(
    ("said", "there"),
    [
        ("/cases/1?a=b", "/cases/1?a=b"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nset-cookie: x", "/"),
        (None, "/"),
    ],
)
def test_after_the_log_in_one_stays_here(said, there):
    assert safe_next(said) == there


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        (None, "zh"),
        ("", "zh"),
        ("en", "en"),
        ("en;q=0.5, zh-CN", "zh"),
        ("fr, en;q=0.1", "en"),
        ("zh;q=oops, en;q=0.1", "en"),
        ("de", "zh"),
    ],
)
def test_language_of_problems(accepted, language):
    assert choose_language(accepted) == language


def test_every_problem_has_both_languages_and_a_status():
    for kind, (status, title) in KINDS.items():
        assert ProblemError(kind).body("en")["title"] == title.en != title.zh
        assert 400 <= status < 600
    assert kind_of_status(404) == "not-found"
    assert kind_of_status(418) == "bad-request"
    assert kind_of_status(502) == "failed"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"\x00\x00\x00\x18ftypheic", "image/heic"),
        (b"<svg/>", None),
        (b"", None),
        (b"<html>", None),
    ],
)
def test_pictures_are_known_by_their_first_bytes(content, kind):
    assert picture_type(content) == kind
