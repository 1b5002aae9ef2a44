"""The directory: desks, rosters, people and devices."""

from __future__ import annotations

from collections.abc import Iterator

from hexi.adapters.tabular import all_records
from hexi.cli.checks.base import Finding, Patient, error, names, ok, warning
from hexi.kernel.clock import DAY, Instant
from hexi.kernel.directory import Roster, view
from hexi.kernel.place import Level
from hexi.kernel.ports import Transaction

_LONG_SHIFT = DAY
"""Nobody is on duty for longer without a hand-over."""

_DESK = (
    "hexi import roster <表格>，或在“名册”里录入",
    "hexi import roster <table>, or enter it on the screen",
)


def desks(patient: Patient, _: Instant) -> Iterator[Finding]:
    """Every street, and the district, has a desk that can be told at any hour."""
    with patient.store.read() as tx:
        places = [
            p for p in all_records(tx, "place") if p.data.get("level") in {Level.STREET, Level.COMMUNITY}
        ]
        rosters = [view(r, Roster) for r in all_records(tx, "roster")]
    streets = [place for place in places if place.data["level"] == Level.STREET]
    staffed = {(r.level, r.place) for r in rosters if r.staffed}
    if not any(level is Level.DISTRICT for level, _place in staffed):
        yield error(
            "没有区级值班台（编号 district）：升级无人接手",
            "the district has no staffed desk (id district): nobody takes over at the end",
            _DESK,
        )
    bare = [s for s in streets if (Level.STREET, s.id) not in staffed]
    if bare:
        said = f"街道没有值班台：{names(bare, 'zh')}", f"streets without a staffed desk: {names(bare, 'en')}"
        yield error(*said, _DESK)
    yield from _communities(
        len(places) - len(streets), sum((Level.COMMUNITY, p.id) in staffed for p in places)
    )
    if not streets:
        yield warning("还没有街道（place）记录", "there are no records of streets (place) yet")
    elif not bare:
        yield ok(f"{len(streets)} 个街道都有值班台", f"all {len(streets)} streets have a desk")


def _communities(total: int, own: int) -> Iterator[Finding]:
    if own == total:
        yield ok(f"{total} 个社区都有值班台", f"all {total} communities have a desk")
    else:
        yield ok(
            f"{total} 个社区中 {own} 个有值班台，其余由街道值守",
            f"{own} of {total} communities have a desk; the streets answer for the others",
        )


def rosters(patient: Patient, now: Instant) -> Iterator[Finding]:
    """Whoever is on duty is there, and took over not too long ago."""
    with patient.store.read() as tx:
        kept = [(record, view(record, Roster)) for record in all_records(tx, "roster")]
        gone = [
            f"{record.id}: {person}"
            for record, roster in kept
            for person in (*roster.on_duty, *(shift.person for shift in roster.shifts))
            if not _has(tx, "person", person)
        ]
    if gone:
        shown = "; ".join(dict.fromkeys(gone))
        yield error(f"值班表里的人已不存在：{shown}", f"rosters name people who are gone: {shown}", _DESK)
    ended = [record for record, r in kept if r.on_duty and r.since and r.since < now - _LONG_SHIFT]
    if ended:
        yield warning(
            f"接班超过一天没有交班：{names(ended, 'zh')}",
            f"taken over more than a day ago and never handed over: {names(ended, 'en')}",
            ("请现在的值班人在值班台接班", "let whoever is on duty take over at the desk"),
        )


def people(patient: Patient, _: Instant) -> Iterator[Finding]:
    """Persons with a device have somebody who can be told."""
    with patient.store.read() as tx:
        owners = {str(d.data["owner"]) for d in all_records(tx, "device") if d.data.get("owner")}
        told = {str(c.data["person"]) for c in all_records(tx, "contact") if c.data.get("person")}
        alone = [p for p in all_records(tx, "person") if p.id in owners and p.id not in told]
    lost = [p for p in alone if not p.data.get("steward")]
    if lost:
        yield error(
            f"有设备但既无联系人也无管家：{names(lost, 'zh')}",
            f"persons with a device but neither contact nor steward: {names(lost, 'en')}",
            (
                "补上联系人或管家：hexi import contact",
                "give them a contact or a steward: hexi import contact",
            ),
        )
    if len(alone) > len(lost):
        count = len(alone) - len(lost)
        yield warning(f"{count} 人有设备但没有紧急联系人", f"{count} persons with a device have no contact")
    if not alone:
        yield ok(
            f"{len(owners)} 位设备使用人都有联系人", f"all {len(owners)} owners of devices have contacts"
        )


def devices(patient: Patient, _: Instant) -> Iterator[Finding]:
    """Every device belongs to a person who is there."""
    with patient.store.read() as tx:
        all_devices = list(all_records(tx, "device"))
        bare = [d for d in all_devices if not d.data.get("owner")]
        dangling = [d for d in all_devices if d.data.get("owner") and not _has(tx, "person", d.data["owner"])]
    if bare:
        yield warning(
            f"设备没有使用人：{names(bare, 'zh')}", f"devices without an owner: {names(bare, 'en')}"
        )
    if dangling:
        yield error(
            f"设备的使用人不存在：{names(dangling, 'zh')}",
            f"devices whose owner does not exist: {names(dangling, 'en')}",
            ("导入缺少的人员，或改正设备的使用人", "import the missing people, or correct the devices"),
        )
    if not bare and not dangling:
        yield ok(f"{len(all_devices)} 台设备都有使用人", f"all {len(all_devices)} devices have an owner")


def _has(tx: Transaction, kind: str, identity: object) -> bool:
    return tx.records.get(kind, str(identity)) is not None
