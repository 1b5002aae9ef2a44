"""Records: every version kept, found by text, linked by reference."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from sqlalchemy import delete
from tests.contract.make import a_record

from hexi.adapters.sql import SqlStore
from hexi.adapters.sql.tables import record_link
from hexi.kernel.record import Field, FieldType, RecordKind
from hexi.kernel.text import Text

_LABEL = Text(zh="字段", en="field")


def _kind(identity: str, **refs: str) -> RecordKind:
    fields = {name: Field(label=_LABEL, type=FieldType.REF, ref=target) for name, target in refs.items()}
    return RecordKind(id=identity, title=_LABEL, field={"name": Field(label=_LABEL)} | fields)


KINDS = {"contact": _kind("contact", person="person"), "person": _kind("person", steward="person")}


def test_every_put_is_a_version(store: SqlStore) -> None:
    with store.write() as tx:
        first = tx.records.put(a_record("person", "E1", name="张三"))
        second = tx.records.put(a_record("person", "E1", name="张三丰"))
        assert (first.version, second.version) == (1, 2)
        assert tx.records.get("person", "E1") == second
    with store.write() as tx:
        third = tx.records.put(replace(second, deleted=True))
        assert tx.records.get("person", "E1") is None
        assert tx.records.history("person", "E1") == [third, second, first]
        assert tx.records.count("person") == 0
        assert tx.records.put(second).version == 4
        assert tx.records.count("person") == 1


@pytest.mark.parametrize("text", ["E0001", "e0001", "三丰", "ZHANG", "6号楼", '"quoted"', "50%", "a\\b"])
def test_a_text_is_found_in_id_or_data(store: SqlStore, text: str) -> None:
    with store.write() as tx:
        tx.records.put(a_record("person", "E0001", name="张三丰 Zhang", note='6号楼 "quoted" 50% a\\b'))
        tx.records.put(a_record("person", "E2", name="李四", note="500"))
        tx.records.put(a_record("contact", "E0001", name="张三丰"))
    with store.read() as tx:
        assert [r.id for r in tx.records.find("person", text)] == ["E0001"]
        assert tx.records.count("person", text) == 1
        assert tx.records.count("person", "no such") == 0


def test_pages_by_id(store: SqlStore) -> None:
    with store.write() as tx:
        for number in (3, 1, 2):
            tx.records.put(a_record("unit", f"U{number}"))
        assert [r.id for r in tx.records.find("unit", "", 2)] == ["U1", "U2"]
        assert [r.id for r in tx.records.find("unit", "", 2, 2)] == ["U3"]


STREET, OTHER = "410802001", "410802002"
PLACED = {
    ("person", "E1"): {"street": STREET, "community": STREET + "001"},
    ("person", "E2"): {"street": OTHER, "community": OTHER + "001"},
    ("person", "E3"): {"community": STREET + "002"},
    ("person", "E4"): {"name": "无住址"},
    ("contact", "K1"): {"person": "E1"},
    ("contact", "K2"): {"person": "E2"},
    ("contact", "K3"): {"person": "nobody"},
    ("device", "D1"): {"owner": "person:E1"},
    ("device", "D2"): {"owner": "E3", "street": OTHER},
    ("roster", "street-1"): {"place": STREET},
    ("roster", "district"): {"place": "410802"},
    ("place", STREET): {"name": "街道"},
    ("place", STREET + "001-G01"): {"name": "网格"},
    ("place", OTHER): {"name": "街道"},
}


@pytest.mark.parametrize(
    ("kind", "place", "expected"),
    [
        ("person", STREET, ["E1", "E3"]),
        ("person", STREET + "002", ["E3"]),
        ("person", "410802003", []),
        ("contact", STREET, ["K1"]),
        ("contact", OTHER + "001", ["K2"]),
        ("device", STREET, ["D1"]),
        ("device", OTHER, ["D2"]),
        ("roster", STREET, ["street-1"]),
        ("place", STREET, [STREET, STREET + "001-G01"]),
    ],
)
def test_records_of_a_place_are_found_in_the_store(
    store: SqlStore, kind: str, place: str, expected: list[str]
) -> None:
    """Of its own street or community, else of those of the person it belongs to."""
    with store.write() as tx:
        for (of_kind, identity), data in PLACED.items():
            tx.records.put(a_record(of_kind, identity, **data))
        assert [r.id for r in tx.records.find(kind, place=place)] == expected
    with store.read() as tx:
        assert [r.id for r in tx.records.find(kind, place=place)] == expected
        assert tx.records.count(kind, place=place) == len(expected)
        assert [r.id for r in tx.records.find(kind, "", 1, 1, place)] == expected[1:2]
        assert tx.records.find(kind, "no such", place=place) == []


def test_who_moves_is_found_where_they_live_now_with_all_that_is_theirs(store: SqlStore) -> None:
    with store.write() as tx:
        for (kind, identity), data in PLACED.items():
            tx.records.put(a_record(kind, identity, **data))
        tx.records.put(a_record("person", "E1", street=OTHER))
    with store.read() as tx:
        assert [r.id for r in tx.records.find("person", place=STREET)] == ["E3"]
        assert tx.records.find("contact", place=STREET) == []
        assert [r.id for r in tx.records.find("contact", place=OTHER)] == ["K1", "K2"]
    with store.write() as tx:
        tx.records.erase("person", "E2")
    with store.read() as tx:
        assert [r.id for r in tx.records.find("contact", place=OTHER)] == ["K1"]


def test_places_are_derived_anew_for_records_of_an_earlier_version(store: SqlStore) -> None:
    """An installation that kept only references finds its places after the update."""
    with store.write() as tx:
        tx.records.put(a_record("person", "E1", street=STREET))
    with store.write() as tx:
        tx.link.query(delete(record_link))
        tx.settings.put("records.links", "{}")
        assert tx.records.find("person", place=STREET) == []
    store.use_record_kinds({})
    with store.read() as tx:
        assert [r.id for r in tx.records.find("person", place=STREET)] == ["E1"]


def test_references_follow_their_record(store: SqlStore) -> None:
    store.use_record_kinds(KINDS)
    with store.write() as tx:
        contact = tx.records.put(a_record("contact", "K1", person="E1"))
        tx.records.put(a_record("contact", "K2", person="E2"))
        assert tx.records.linked("contact", "person", "E1") == [contact]
        tx.records.put(a_record("contact", "K1", person="E2"))
    with store.write() as tx:
        assert tx.records.linked("contact", "person", "E1") == []
        assert [r.id for r in tx.records.linked("contact", "person", "E2")] == ["K1", "K2"]
        tx.records.put(replace(contact, deleted=True))
        assert [r.id for r in tx.records.linked("contact", "person", "E2")] == ["K2"]
        assert tx.records.linked("person", "steward", "E2") == []


@pytest.mark.parametrize("count", [1, 10, 123])
def test_many_are_read_at_once(store: SqlStore, count: int) -> None:
    store.use_record_kinds(KINDS)
    people = [f"E{number}" for number in range(count)]
    with store.write() as tx:
        for number, person in enumerate(people):
            tx.records.put(a_record("person", person, name="甲"))
            tx.records.put(a_record("device", person, owner=person))
            for contact in range(number % 3):
                tx.records.put(a_record("contact", f"K{number}-{contact}", person=person))
        gone = tx.records.put(a_record("person", "gone"))
        tx.records.put(replace(gone, deleted=True))
        owed = {r.id: r for r in tx.records.load("person", [*people, "gone", "nobody", *people])}
        assert owed == {person: tx.records.get("person", person) for person in people}
    with store.read() as tx:
        assert {r.id: r for r in tx.records.load("person", people)} == owed
        linked = tx.records.linked_to("contact", "person", [*people, "nobody"])
        each = {person: tx.records.linked("contact", "person", person) for person in people}
        assert linked == {person: found for person, found in each.items() if found}
        assert tx.records.load("person", []) == []
        assert tx.records.linked_to("contact", "person", []) == {}


def test_kinds_made_known_later_link_what_is_there(store: SqlStore) -> None:
    with store.write() as tx:
        for number in range(1500):
            tx.records.put(a_record("contact", f"K{number}", person="E1"))
        assert tx.records.linked("contact", "person", "E1") == []
    store.use_record_kinds(KINDS)
    with store.read() as tx:
        assert len(tx.records.linked("contact", "person", "E1")) == 1500
    store.use_record_kinds({})
    with store.read() as tx:
        assert tx.records.linked("contact", "person", "E1") == []


def test_the_revision_grows_with_every_change(store: SqlStore) -> None:
    with store.read() as tx:
        seen = [tx.records.revision()]
    for number in range(3):
        with store.write() as tx:
            tx.records.put(a_record("unit", f"U{number}"))
        with store.read() as tx:
            seen.append(tx.records.revision())
    assert seen == sorted(set(seen))


def test_an_erased_record_leaves_its_id_and_nothing_else(store: SqlStore) -> None:
    store.use_record_kinds(KINDS)
    with store.write() as tx:
        for name in ("张三", "张三丰"):
            tx.records.put(a_record("contact", "K1", name=name, person="E1"))
        tx.records.put(a_record("contact", "K2", name="李四", person="E1"))
        before = tx.records.revision()
        assert tx.records.erase("contact", "K1") == 2
        assert tx.records.erase("contact", "K9") == 0
        assert tx.records.revision() > before
    with store.read() as tx:
        assert tx.records.get("contact", "K1") is None
        assert [(r.version, r.data) for r in tx.records.history("contact", "K1")] == [(2, {}), (1, {})]
        assert [r.id for r in tx.records.linked("contact", "person", "E1")] == ["K2"]
        kept = [
            tuple(row)
            for row in tx.link.plain("SELECT data FROM record UNION SELECT data FROM record_version")
        ]
        assert "张三" not in str(kept)
        assert "李四" in str(kept)


def test_an_erased_id_may_be_used_again(store: SqlStore) -> None:
    with store.write() as tx:
        tx.records.put(a_record("contact", "K1", name="张三"))
        tx.records.erase("contact", "K1")
        assert tx.records.put(a_record("contact", "K1", name="王五")).version == 2
        assert [r.data for r in tx.records.history("contact", "K1")] == [{"name": "王五"}, {}]
