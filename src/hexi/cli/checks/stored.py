"""What is stored: the database itself, what waits in it, what is not in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hexi.adapters.backup import check_sqlite
from hexi.adapters.sql.health import examine as examine_server
from hexi.adapters.sql.moved import MovedError
from hexi.adapters.sql.questions import oldest_signal, overdue, stands_at
from hexi.adapters.sql.schema import SCHEMA, NewerSchemaError
from hexi.app.wellness import LATE
from hexi.cli.checks.base import Finding, Installation, Patient, error, ok, warning
from hexi.kernel.archive import FileState, of_signals
from hexi.kernel.clock import HOUR, MINUTE, Instant, format_duration, parse_instant, to_datetime
from hexi.kernel.ports import CaseFilter, StoreError

BUILT = parse_instant("2026-11-01T00:00:00+00:00")
"""No clock that is right shows an earlier time."""

_BEHIND = 3 * HOUR
"""Whole hours move one at a time; more than this late means that nothing moves them."""

_MANY = 1_000


def database(patient: Installation, _: Instant) -> Iterator[Finding]:
    """The database answers, is sound, and is of this build."""
    url = patient.settings.database_url()
    restore = ("停止 hexi，然后 hexi restore 最近的备份", "stop hexi, then hexi restore the latest backup")
    try:
        now = stands_at(url)
    except StoreError as fault:
        yield _unreachable(url, fault, restore)
        return
    except MovedError as fault:
        yield error(fault.text.zh, fault.text.en)
        return
    wrong = check_sqlite(Path(url.removeprefix("sqlite:///"))) if now.present and _is_file(url) else None
    if wrong:
        yield error(f"数据库损坏：{wrong}", f"the database is damaged: {wrong}", restore, "database-damaged")
    elif now.newer and not now.usable:
        said = NewerSchemaError(str(now.present)).text
        yield error(said.zh, said.en, None, "upgrade-failed")
    elif _is_file(url):
        yield ok("数据库完好", "the database is sound")
    else:
        yield ok("数据库可以连接（PostgreSQL）", "the database answers (PostgreSQL)")


def server(patient: Installation, _: Instant) -> Iterator[Finding]:
    """PostgreSQL keeps what the platform promises; whether it answers at all is said above."""
    url = patient.settings.database_url()
    if not _is_file(url):
        with suppress(StoreError):
            yield from [Finding(sign.level, sign.message) for sign in examine_server(url)]


def _is_file(url: str) -> bool:
    return url.startswith("sqlite:///")


def _unreachable(url: str, fault: StoreError, restore: tuple[str, str]) -> Finding:
    if _is_file(url):
        said = f"数据库损坏或无法打开：{fault}", f"the database is damaged or cannot be opened: {fault}"
        return error(*said, restore, "database-damaged")
    todo = ("看 PostgreSQL 的状态和网络", "look at PostgreSQL's state and the network between")
    said = f"连不上 PostgreSQL：{fault}", f"PostgreSQL cannot be reached: {fault}"
    return error(*said, todo, "postgresql-down")


def schema(patient: Installation, _: Instant) -> Iterator[Finding]:
    """Whether opening the database would change it."""
    now = stands_at(patient.settings.database_url())
    if now.present is not None and now.pending:
        yield warning(
            f"数据库结构为 {now.present}，本程序将升级到 {SCHEMA}",
            f"the tables are at {now.present}; this build will bring them to {SCHEMA}",
            ("按升级步骤执行：先备份，再 hexi migrate", "upgrade by the book: back up, then hexi migrate"),
            "upgrade-failed",
        )


def clock(patient: Patient, now: Instant) -> Iterator[Finding]:
    """The machine's clock is plausible beside our own past."""
    with patient.store.read() as tx:
        rows = tx.cases.find(CaseFilter(open=False), 1) + tx.cases.find(CaseFilter(), 1)
    latest = max((row.opened_at for row in rows), default=None)
    if now < BUILT or (latest and latest > now + MINUTE):
        shown = to_datetime(now).isoformat(timespec="minutes")
        yield error(
            f"系统时钟不可信（{shown}）：早于已记录的事件",
            f"the clock is wrong ({shown}): earlier than what was recorded; set it",
            ("校时后重启 hexi", "set the clock right, then restart hexi"),
            "clock-wrong",
        )
    else:
        yield ok("系统时钟合理", "the clock is plausible")


def backlog(patient: Patient, now: Instant) -> Iterator[Finding]:
    """Nothing that should long have happened still waits."""
    with patient.store.read() as tx:
        owed = len(tx.notices.waiting(now - MINUTE, _MANY))
        late = overdue(tx, now - LATE)
        pending, open_cases = tx.deadlines.pending(), tx.cases.count(CaseFilter(open=True))
    running = ("平台在运行吗？看 systemctl status hexi", "is the platform running? systemctl status hexi")
    if owed:
        yield warning(
            f"{owed} 条通知已欠一分钟以上",
            f"{owed} notices have been owed for over a minute",
            running,
            "backlog",
        )
    if late:
        yield error(
            f"{late} 个时限已过而无人处理",
            f"{late} deadlines are overdue and nobody acts on them",
            running,
            "backlog",
        )
    yield ok(
        f"未结案件 {open_cases}，待到时限 {pending}", f"{open_cases} open cases, {pending} deadlines pending"
    )


def technical(patient: Patient, _: Instant) -> Iterator[Finding]:
    """The platform's own trouble that nobody has ended."""
    with patient.store.read() as tx:
        rows = tx.cases.find(CaseFilter(open=True, scenario="core.technical"), _MANY)
    if rows:
        shown = ", ".join(f"{row.id} ({row.subject or '-'})" for row in rows[:5])
        yield warning(
            f"{len(rows)} 个平台技术案件未结：{shown}",
            f"{len(rows)} technical cases are open: {shown}",
            ("在值班台打开它们，按处置要点处理", "open them at the desk and follow their guidance"),
        )


def quarantine(patient: Patient, _: Instant) -> Iterator[Finding]:
    """What could not be decoded and nobody has looked after."""
    with patient.store.read() as tx:
        waiting = sum(item.replayed_at is None for item in tx.quarantine.find(_MANY))
    if waiting:
        yield warning(
            f"隔离区有 {waiting} 条无法解析的报文，见 hexi quarantine list",
            f"{waiting} messages could not be decoded; see hexi quarantine list",
            ("改正来源后 hexi quarantine replay", "mend the sender, then hexi quarantine replay"),
        )
    else:
        yield ok("隔离区为空", "the quarantine is empty")


def archive(patient: Patient, now: Instant) -> Iterator[Finding]:
    """The archive is whole and keeps up."""
    hot = patient.settings.archive.hot
    with patient.store.read() as tx:
        files, oldest = tx.archive.files(), oldest_signal(tx)
    damaged = [file.name for file in files if file.state is FileState.DAMAGED]
    if damaged:
        shown = ", ".join(damaged[:5])
        yield error(
            f"{len(damaged)} 个归档文件损坏：{shown}",
            f"{len(damaged)} files of the archive are damaged: {shown}",
            ("从备份取回同名文件；其余可照常查询", "bring them back from a backup; the others can be read"),
            "database-damaged",
        )
    if hot and oldest is not None and oldest < now - hot - _BEHIND:
        behind = format_duration((now - hot - oldest) // HOUR * HOUR)
        yield warning(
            f"归档落后 {behind}",
            f"the archive is {behind} behind",
            ("看磁盘空间和 clock 角色的日志", "look at the disk and at the log of the clock role"),
            "disk-full",
        )
    elif files and not damaged:
        kept = len(of_signals(files))
        yield ok(f"归档 {kept} 个文件，没有落后", f"{kept} files archived, nothing is behind")
