"""The checks of ``hexi doctor``. Each is a small function over the installation that yields findings."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from hexi.adapters.backup import check_sqlite
from hexi.adapters.packs.check import check as check_packs
from hexi.adapters.packs.load import Loaded
from hexi.adapters.tabular import all_records
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import MINUTE, Instant, parse_instant, to_datetime
from hexi.kernel.directory import Roster, view
from hexi.kernel.place import Level
from hexi.kernel.ports import CaseFilter, Store, Transaction
from hexi.kernel.record import Record
from hexi.kernel.text import Text
from hexi.settings import Settings, SettingsError, channel_secret, refuse_exposure

LEAST_FREE = 2 * 1024**3
NAMED = 8
"""How many are named before the rest is only counted."""

BUILT = parse_instant("2026-11-01T00:00:00+00:00")
"""No clock that is right shows an earlier time."""


class Finding(msgspec.Struct, frozen=True):
    """What one check found."""

    level: Literal["ok", "warning", "error"]
    message: Text


@dataclass(frozen=True)
class Patient:
    """The installation under examination."""

    settings: Settings
    loaded: Loaded
    catalogue: Catalogue
    store: Store


Check = Callable[[Patient, Instant], Iterable[Finding]]


def ok(zh: str, en: str) -> Finding:
    """In order."""
    return Finding("ok", Text(zh=zh, en=en))


def warning(zh: str, en: str) -> Finding:
    """Works, but somebody should know."""
    return Finding("warning", Text(zh=zh, en=en))


def error(zh: str, en: str) -> Finding:
    """Must be mended."""
    return Finding("error", Text(zh=zh, en=en))


def examine(patient: Patient, checks: Iterable[Check], now: Instant) -> list[Finding]:
    """Every finding of every check, in order."""
    return [finding for one in checks for finding in one(patient, now)]


def python(_: Patient, __: Instant) -> Iterator[Finding]:
    """The interpreter."""
    said = ".".join(map(str, sys.version_info[:3]))
    yield ok(f"Python {said}", f"Python {said}")


def data_folder(patient: Patient, _: Instant) -> Iterator[Finding]:
    """The folder can be written and has room."""
    folder = patient.settings.data_dir.resolve()
    if not os.access(folder, os.W_OK):
        yield error(f"数据目录 {folder} 不可写", f"the data folder {folder} cannot be written")
        return
    free = shutil.disk_usage(folder).free
    zh, en = f"{folder}：剩余 {free / 1024**3:.1f} GB", f"{folder}: {free / 1024**3:.1f} GB free"
    yield ok(zh, en) if free >= LEAST_FREE else warning(f"磁盘快满：{zh}", f"little disk left: {en}")


def clock(patient: Patient, now: Instant) -> Iterator[Finding]:
    """The machine's clock is plausible beside our own past."""
    latest = _latest(patient.store)
    if now < BUILT or (latest and latest > now + MINUTE):
        shown = to_datetime(now).isoformat(timespec="minutes")
        yield error(
            f"系统时钟不可信（{shown}）：早于已记录的事件，请校时",
            f"the clock is wrong ({shown}): earlier than what was recorded; set it",
        )
    else:
        yield ok("系统时钟合理", "the clock is plausible")


def _latest(store: Store) -> Instant | None:
    with store.read() as tx:
        rows = tx.cases.find(CaseFilter(open=False), 1) + tx.cases.find(CaseFilter(), 1)
    return max((row.opened_at for row in rows), default=None)


def database(patient: Patient, _: Instant) -> Iterator[Finding]:
    """The database is sound."""
    url = patient.settings.database_url()
    if not url.startswith("sqlite:///"):
        yield ok("数据库可以连接（PostgreSQL）", "the database answers (PostgreSQL)")
        return
    wrong = check_sqlite(Path(url.removeprefix("sqlite:///")))
    if wrong:
        yield error(
            f"数据库损坏：{wrong}；请从备份恢复", f"the database is damaged: {wrong}; restore a backup"
        )
    else:
        yield ok("数据库完好", "the database is sound")


def backlog(patient: Patient, now: Instant) -> Iterator[Finding]:
    """Nothing that should long have happened still waits."""
    with patient.store.read() as tx:
        owed = len(tx.notices.waiting(now - MINUTE, 1_000))
        pending, open_cases = tx.deadlines.pending(), tx.cases.count(CaseFilter(open=True))
    if owed:
        yield warning(
            f"{owed} 条通知已欠一分钟以上：平台在运行吗？",
            f"{owed} notices have been owed for over a minute: is the platform running?",
        )
    yield ok(
        f"未结案件 {open_cases}，待到时限 {pending}", f"{open_cases} open cases, {pending} deadlines pending"
    )


def quarantine(patient: Patient, _: Instant) -> Iterator[Finding]:
    """What could not be decoded and nobody has looked after."""
    with patient.store.read() as tx:
        waiting = sum(item.replayed_at is None for item in tx.quarantine.find(1_000))
    if waiting:
        yield warning(
            f"隔离区有 {waiting} 条无法解析的报文，见 hexi quarantine list",
            f"{waiting} messages could not be decoded; see hexi quarantine list",
        )
    else:
        yield ok("隔离区为空", "the quarantine is empty")


def packs(patient: Patient, _: Instant) -> Iterator[Finding]:
    """The scenario packs."""
    problems = check_packs(patient.loaded)
    for problem in problems:
        make = error if problem.level == "error" else warning
        where = f"{problem.file}:{problem.line}" if problem.line else problem.file
        yield make(f"{where}：{problem.message.zh}", f"{where}: {problem.message.en}")
    counts = Counter(scenario.pack for scenario in patient.catalogue.scenarios.values())
    said = ", ".join(f"{pack} {count}" for pack, count in sorted(counts.items()))
    yield ok(f"场景包：{said}", f"packs: {said}")


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
        )
    bare = [s for s in streets if (Level.STREET, s.id) not in staffed]
    if bare:
        yield error(
            f"街道没有值班台：{_names(bare, 'zh')}", f"streets without a staffed desk: {_names(bare, 'en')}"
        )
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


def people(patient: Patient, _: Instant) -> Iterator[Finding]:
    """Persons with a device have somebody who can be told."""
    with patient.store.read() as tx:
        owners = {str(d.data["owner"]) for d in all_records(tx, "device") if d.data.get("owner")}
        told = {str(c.data["person"]) for c in all_records(tx, "contact") if c.data.get("person")}
        alone = [p for p in all_records(tx, "person") if p.id in owners and p.id not in told]
    lost = [p for p in alone if not p.data.get("steward")]
    if lost:
        yield error(
            f"有设备但既无联系人也无管家：{_names(lost, 'zh')}",
            f"persons with a device but neither contact nor steward: {_names(lost, 'en')}",
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
            f"设备没有使用人：{_names(bare, 'zh')}", f"devices without an owner: {_names(bare, 'en')}"
        )
    if dangling:
        yield error(
            f"设备的使用人不存在：{_names(dangling, 'zh')}",
            f"devices whose owner does not exist: {_names(dangling, 'en')}",
        )
    if not bare and not dangling:
        yield ok(f"{len(all_devices)} 台设备都有使用人", f"all {len(all_devices)} devices have an owner")


def channels(patient: Patient, _: Instant) -> Iterator[Finding]:
    """Every way the scenarios use goes out somewhere."""
    used = {
        way
        for s in patient.catalogue.scenarios.values()
        for step in s.response
        for way in (*step.by, *step.else_by)
    }
    used |= {way for s in patient.catalogue.scenarios.values() if s.ask for way in s.ask.by}
    bound = set(patient.settings.channels) | {"app", "desk"}
    missing = ", ".join(sorted(used - bound))
    if missing:
        yield error(
            f"场景用到但未配置的通知方式：{missing}（在设置 [channels.*] 中配置）",
            f"ways that scenarios use but nothing sends: {missing} (set [channels.*])",
        )
    else:
        yield ok("场景用到的通知方式都已配置", "every way that scenarios use is configured")
    for way, channel in patient.settings.channels.items():
        try:
            channel_secret(channel)
        except SettingsError as fault:
            yield error(f"channels.{way}：{fault}", f"channels.{way}: {fault}")


def access(patient: Patient, _: Instant) -> Iterator[Finding]:
    """Somebody can log in, and nobody can listen in."""
    with patient.store.read() as tx:
        admins = [a for a in tx.access.accounts() if a.role == "admin" and a.active]
    if not admins:
        yield error(
            "还没有管理员：hexi account add <登录名>", "there is no administrator: hexi account add <login>"
        )
    exposed = refuse_exposure(patient.settings)
    if exposed:
        zh, _sep, en = exposed.partition(" / ")
        yield error(zh, en)


def _has(tx: Transaction, kind: str, identity: object) -> bool:
    return tx.records.get(kind, str(identity)) is not None


def _names(records: list[Record], language: str) -> str:
    shown = ", ".join(record.id for record in records[:NAMED])
    left = len(records) - NAMED
    if left <= 0:
        return shown
    return shown + (f" 等 {len(records)} 个" if language == "zh" else f" and {left} more")


CHECKS: tuple[Check, ...] = (
    python,
    data_folder,
    clock,
    database,
    backlog,
    quarantine,
    packs,
    desks,
    people,
    devices,
    channels,
    access,
)
