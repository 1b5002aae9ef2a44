"""The outbox: owed once, SOS first."""

from __future__ import annotations

from msgspec.structs import replace
from tests.contract.make import NOW, WrongError, a_case, a_notice, going_wrong

from hexi.adapters.sql import SqlStore
from hexi.kernel.case import CaseState
from hexi.kernel.response import NoticeState
from hexi.kernel.signal import Lane


def test_a_notice_comes_back_whole(store: SqlStore) -> None:
    notice = a_notice("N1")
    with store.write() as tx:
        tx.notices.add(notice)
        assert tx.notices.get("N1") == notice
    with store.read() as tx:
        assert tx.notices.get("N1") == notice
        assert tx.notices.get("N2") is None


def test_notices_read_ahead_are_as_this_transaction_leaves_them(store: SqlStore) -> None:
    with store.write() as tx:
        for identity in ("N1", "N2", "N3"):
            tx.notices.add(a_notice(identity))
    with store.write() as tx:
        tx.notices.add(a_notice("N4"))
        ids = ["N3", "N1", "none", "N4", "N2", "N1"]
        assert {n.id for n in tx.notices.load(ids)} == {"N1", "N2", "N3", "N4"}
        assert tx.notices.get("N1") == a_notice("N1")
        assert tx.notices.get("none") is None
        tx.notices.update(a_notice("N1", attempts=1))
        with going_wrong(), tx.part():
            tx.notices.update(a_notice("N2", attempts=2))
            assert [n.attempts for n in tx.notices.of_case("C1")] == [1, 2, 0, 0]
            tx.notices.load(ids)
            raise WrongError
        assert [n.attempts for n in map(tx.notices.get, ("N1", "N2", "N3")) if n] == [1, 0, 0]
        tx.notices.update(a_notice("N3", attempts=3))
        assert len(tx.notices.of_case("C1")) == 4
        found = tx.notices.get("N3")
        assert found is not None
        assert found.attempts == 3


def test_the_same_id_again_changes_nothing(store: SqlStore) -> None:
    with store.write() as tx:
        tx.notices.add(a_notice("N1"))
        tx.notices.add(a_notice("N1", text="other"))
    with store.write() as tx:
        tx.notices.add(a_notice("N1", text="other"))
        tx.notices.add(a_notice("N2"))
        assert [n.text for n in tx.notices.of_case("C1")] == ["老人求助", "老人求助"]


def test_sos_overtakes_everything_that_waits(store: SqlStore) -> None:
    with store.write() as tx:
        tx.notices.add(a_notice("bulk", next_at=NOW - 9))
        tx.notices.add(a_notice("act", next_at=NOW - 1, lane=Lane.ACT))
        tx.notices.add(a_notice("sos-2", next_at=NOW, lane=Lane.SOS))
        tx.notices.add(a_notice("sos-1", next_at=NOW - 5, lane=Lane.SOS))
        tx.notices.add(a_notice("later", next_at=NOW + 1, lane=Lane.SOS))
        tx.notices.add(a_notice("handed", state=NoticeState.HANDED, lane=Lane.SOS))
        assert [n.id for n in tx.notices.waiting(NOW, 9)] == ["sos-1", "sos-2", "act", "bulk"]
        assert [n.id for n in tx.notices.waiting(NOW, 1)] == ["sos-1"]


def test_an_update_takes_it_out_of_the_queue(store: SqlStore) -> None:
    with store.write() as tx:
        tx.notices.add(a_notice("N1"))
        tx.notices.update(replace(a_notice("N1"), attempts=1, next_at=NOW + 5, error="busy"))
        assert tx.notices.waiting(NOW, 9) == []
    with store.write() as tx:
        found = tx.notices.get("N1")
        assert found is not None
        assert (found.attempts, found.error) == (1, "busy")
        tx.notices.update(replace(found, state=NoticeState.HANDED))
        handed = tx.notices.get("N1")
        assert handed is not None
        assert handed.state is NoticeState.HANDED
    with store.read() as tx:
        assert tx.notices.waiting(NOW + 99, 9) == []


def test_of_a_case_oldest_first_of_a_recipient_latest_first(store: SqlStore) -> None:
    with store.write() as tx:
        for i in range(4):
            tx.notices.add(a_notice(f"N{i}", case_id=f"C{i % 2}", recipient=f"contact:K{i % 2}"))
    with store.read() as tx:
        assert [n.id for n in tx.notices.of_case("C1")] == ["N1", "N3"]
        assert [n.id for n in tx.notices.of_recipient("contact:K0", 9)] == ["N2", "N0"]
        assert [n.id for n in tx.notices.of_recipient("contact:K0", 1)] == ["N2"]


def test_dropping_stops_only_what_waits(store: SqlStore) -> None:
    with store.write() as tx:
        tx.notices.add(a_notice("a", recipient="contact:K1"))
        tx.notices.add(a_notice("b", recipient="contact:K2"))
        tx.notices.add(a_notice("c", recipient="contact:K2", state=NoticeState.HANDED))
        tx.notices.add(a_notice("d", case_id="C2"))
        assert tx.notices.drop("C1", ["contact:K2"]) == 1
        assert [n.id for n in tx.notices.waiting(NOW, 9)] == ["a", "d"]
        assert tx.notices.drop("C1") == 1
    with store.read() as tx:
        assert [n.state.value for n in tx.notices.of_case("C1")] == ["dropped", "dropped", "handed"]


def test_of_many_it_says_which_still_wait(store: SqlStore) -> None:
    with store.write() as tx:
        for number in range(250):
            tx.notices.add(a_notice(f"N{number}", case_id=f"C{number % 2}"))
        tx.notices.add(a_notice("sent", state=NoticeState.HANDED))
        tx.notices.drop("C1")
        asked = [*(f"N{number}" for number in range(250)), "sent", "nobody's"]
        assert tx.notices.still_waiting(asked) == {f"N{number}" for number in range(0, 250, 2)}
        assert tx.notices.still_waiting([]) == set()


def test_only_what_was_said_in_ended_cases_is_erased(store: SqlStore) -> None:
    with store.write() as tx:
        for case_id, state in (("C1", "closed"), ("C2", "reported")):
            case, entries = a_case(case_id)
            case.state = CaseState(state)
            tx.cases.save(case, entries)
            for sent in (NoticeState.HANDED, NoticeState.WAITING):
                tx.notices.add(a_notice(f"{case_id}-{sent}", case_id=case_id, state=sent))
        tx.notices.add(a_notice("other", case_id="C1", state=NoticeState.FAILED, recipient="person:W1"))
        assert tx.notices.erase(recipient="contact:K1") == 1
        assert tx.notices.erase(case_id="C1") == 1
        assert tx.notices.erase(case_id="C1") == 0
        assert tx.notices.erase(case_id="C2") == 0
    with store.read() as tx:
        every = [*tx.notices.of_case("C1"), *tx.notices.of_case("C2")]
        assert {n.id for n in every if not (n.name or n.text or n.address)} == {"C1-handed", "other"}
        kept = tx.notices.get("C1-handed")
        assert kept is not None
        assert (kept.recipient, kept.way, kept.state) == ("contact:K1", "call", NoticeState.HANDED)
