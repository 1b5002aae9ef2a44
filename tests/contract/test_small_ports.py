"""Heard, measures, quarantine, settings and access."""

from __future__ import annotations

from tests.contract.make import NOW, a_measure

from hexi.adapters.sql import SqlStore
from hexi.kernel.access import Account, Look, Token
from hexi.kernel.ports import MeasureFilter, Quarantined


def test_heard_moves_forward_only(store: SqlStore) -> None:
    with store.write() as tx:
        tx.heard.note({"device:D1": NOW, "device:D2": NOW})
        tx.heard.note({"device:D1": NOW + 5, "device:D2": NOW - 5})
        tx.heard.note({})
    with store.read() as tx:
        assert (tx.heard.last("device:D1"), tx.heard.last("device:D2")) == (NOW + 5, NOW)
        assert tx.heard.last("device:D3") is None


def test_what_is_measured_of_a_case_is_replaced_whole(store: SqlStore) -> None:
    with store.write() as tx:
        tx.measures.put([a_measure("a", "C1"), a_measure("b", "C1", hit=None, value=1.5)], "C1")
        tx.measures.put([a_measure("a", "C2")], "C2")
        assert tx.measures.of_case("C1") == [a_measure("a", "C1"), a_measure("b", "C1", hit=None, value=1.5)]
    with store.write() as tx:
        tx.measures.put([a_measure("a", "C1", hit=0)], "C1")
        assert tx.measures.of_case("C1") == [a_measure("a", "C1", hit=0)]
        assert tx.measures.rows("b", MeasureFilter()) == []
        tx.measures.put([], "C1")
        assert tx.measures.of_case("C1") == []


def test_some_of_what_is_measured_is_amended(store: SqlStore) -> None:
    with store.write() as tx:
        tx.measures.put([a_measure("a", "C1"), a_measure("b", "C1")], "C1")
        tx.measures.amend([a_measure("b", "C1", hit=0)], "C1")
        assert tx.measures.of_case("C1") == [a_measure("a", "C1"), a_measure("b", "C1", hit=0)]
        tx.measures.amend([a_measure("a", "C1", hit=None)], "C1")
        tx.measures.put([a_measure("c", "C1")], "C1")
    with store.write() as tx:
        assert tx.measures.of_case("C1") == [a_measure("c", "C1")]
        tx.measures.amend([a_measure("d", "C1", value=2.5)], "C1")
        tx.measures.amend([a_measure("e", "C1")], "C1")
    with store.read() as tx:
        assert [(m.indicator, m.value) for m in tx.measures.of_case("C1")] == [
            ("c", None),
            ("d", 2.5),
            ("e", None),
        ]


def test_measures_by_place_and_period(store: SqlStore) -> None:
    with store.write() as tx:
        for number in range(1, 6):
            case_id = f"C{number}"
            changes = {"day": f"2026-05-0{number}", "street": f"s{number % 2}", "grid": f"g{number}"}
            tx.measures.put([a_measure("a", case_id, **changes)], case_id)

    def ids(**wanted: str) -> list[str]:
        with store.read() as tx:
            return [m.case_id for m in tx.measures.rows("a", MeasureFilter(**wanted))]

    assert ids() == ["C1", "C2", "C3", "C4", "C5"]
    assert ids(since="2026-05-02", until="2026-05-03") == ["C2", "C3"]
    assert ids(street="s1", since="2026-05-02") == ["C3", "C5"]
    assert ids(grid="g4") == ["C4"]
    assert ids(community="none") == []


def test_quarantine_keeps_the_bytes(store: SqlStore) -> None:
    item = Quarantined(
        id=0, received=NOW, link="http", content_type="json", reason="无法解码", raw=b"\x00\xff{"
    )
    with store.write() as tx:
        numbers = [tx.quarantine.add(item) for _ in range(3)]
        assert numbers == sorted(set(numbers))
        tx.quarantine.mark_replayed(numbers[1], NOW + 1)
    with store.read() as tx:
        kept = tx.quarantine.get(numbers[1])
        assert kept is not None
        assert (kept.raw, kept.reason, kept.replayed_at) == (item.raw, item.reason, NOW + 1)
        assert [q.id for q in tx.quarantine.find(2)] == [numbers[2], numbers[1]]
        assert [q.id for q in tx.quarantine.find(2, 2)] == [numbers[0]]
        assert tx.quarantine.get(999) is None


def test_a_reason_may_hold_whatever_a_device_said(store: SqlStore) -> None:
    said = Quarantined(id=0, received=NOW, link="mqtt:a", content_type="x", reason="状态“o\0k”", raw=b"o\0k")
    with store.write() as tx:
        number = tx.quarantine.add(said)
    with store.read() as tx:
        kept = tx.quarantine.get(number)
    assert kept is not None
    assert (kept.reason, kept.raw) == ("状态“o\ufffdk”", b"o\0k")


def test_settings(store: SqlStore) -> None:
    with store.write() as tx:
        assert tx.settings.get("last_time") is None
        tx.settings.put("last_time", "1")
        tx.settings.put("last_time", "2")
    with store.read() as tx:
        assert tx.settings.get("last_time") == "2"


def test_accounts(store: SqlStore) -> None:
    zoe = Account(login="zoe", name="佐伊", hash="x", role="operator", place="120105001", active=False)
    amy = Account(login="amy", name="艾米", hash="y", role="admin")
    with store.write() as tx:
        tx.access.put_account(zoe)
        tx.access.put_account(amy)
        tx.access.put_account(Account(login="amy", name="艾米", hash="z", role="admin"))
    with store.read() as tx:
        assert tx.access.account("zoe") == zoe
        assert [(a.login, a.hash) for a in tx.access.accounts()] == [("amy", "z"), ("zoe", "x")]
        assert tx.access.account("nobody") is None


def test_a_session_lives_until_it_expires_or_ends(store: SqlStore) -> None:
    with store.write() as tx:
        tx.access.put_session("d1", "amy", NOW + 10)
        assert tx.access.session("d1", NOW) == "amy"
        assert tx.access.session("d1", NOW + 10) is None
        tx.access.put_session("d1", "amy", NOW + 20)
        assert tx.access.session("d1", NOW + 10) == "amy"
        tx.access.end_session("d1")
        assert tx.access.session("d1", NOW) is None


def test_tokens(store: SqlStore) -> None:
    with store.write() as tx:
        tx.access.put_token(Token(name="radar", hash="h1", sources=("radar-1", "radar-2")))
        tx.access.put_token(Token(name="all", hash="h2"))
        tx.access.put_token(Token(name="all", hash="h3", active=False))
    with store.read() as tx:
        assert tx.access.token("h1") == Token(name="radar", hash="h1", sources=("radar-1", "radar-2"))
        assert tx.access.token("h2") is None
        assert [t.name for t in tx.access.tokens()] == ["all", "radar"]


def test_looks_latest_first(store: SqlStore) -> None:
    looks = [
        Look(at=NOW + i, by="user:amy", record=f"person:E{i % 2}", what="door_code", case_id="C1")
        for i in range(4)
    ]
    with store.write() as tx:
        for look in looks:
            tx.access.looked(look)
    with store.read() as tx:
        assert tx.access.looks(None, 2) == [looks[3], looks[2]]
        assert tx.access.looks("person:E0", 9) == [looks[2], looks[0]]


def test_all_sessions_of_an_account_end_but_one(store: SqlStore) -> None:
    with store.write() as tx:
        for digest, login in (("d1", "amy"), ("d2", "amy"), ("d3", "bob")):
            tx.access.put_session(digest, login, NOW + 10)
        assert tx.access.end_sessions("amy", but="d2") == 1
        assert [tx.access.session(d, NOW) for d in ("d1", "d2", "d3")] == [None, "amy", "bob"]
        assert tx.access.end_sessions("amy") == 1
        assert tx.access.session("d2", NOW) is None


def test_expired_sessions_are_forgotten(store: SqlStore) -> None:
    with store.write() as tx:
        for number in range(5):
            tx.access.put_session(f"d{number}", "amy", NOW + number)
        assert tx.access.forget_sessions(NOW + 2) == 3
        assert tx.access.forget_sessions(NOW + 2) == 0
        assert [tx.access.session(f"d{n}", NOW) for n in range(5)] == [None, None, None, "amy", "amy"]
