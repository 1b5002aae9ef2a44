"""The ways out to people, who may come in, and which processes are there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from hexi.adapters.sql.questions import attempts
from hexi.app.roles import Role
from hexi.cli.checks.base import Finding, Installation, Patient, error, is_running, ok, warning
from hexi.kernel.clock import DAY, MINUTE, Instant
from hexi.kernel.process import living, played
from hexi.settings import ChannelSettings, SettingsError, channel_secret, refuse_exposure

_REACH_SECONDS = 5.0
_BAD_SHARE = 0.5


def channels(patient: Installation, _: Instant) -> Iterator[Finding]:
    """Every way the scenarios use goes out somewhere."""
    scenarios = patient.catalogue.scenarios.values()
    used = {way for s in scenarios for step in s.response for way in (*step.by, *step.else_by)}
    used |= {way for s in scenarios if s.ask for way in s.ask.by}
    bound = set(patient.settings.channels) | {"app", "desk"}
    missing = ", ".join(sorted(used - bound))
    if missing:
        yield error(
            f"场景用到但未配置的通知方式：{missing}（在设置 [channels.*] 中配置）",
            f"ways that scenarios use but nothing sends: {missing} (set [channels.*])",
            None,
            "channel-down",
        )
    else:
        yield ok("场景用到的通知方式都已配置", "every way that scenarios use is configured")
    for way, channel in patient.settings.channels.items():
        try:
            channel_secret(channel)
        except SettingsError as fault:
            yield error(f"channels.{way}：{fault}", f"channels.{way}: {fault}")


def reach(patient: Installation, _: Instant) -> Iterator[Finding]:
    """The gateways' addresses can be connected to. Asked for by ``--reach``; nothing is sent."""
    for way, channel in patient.settings.channels.items():
        if channel.use == "webhook" and channel.url:
            yield _reached(way, channel)


def _reached(way: str, channel: ChannelSettings) -> Finding:
    address = urlsplit(channel.url or "")
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), _REACH_SECONDS).close()
    except OSError as fault:
        return error(
            f"channels.{way}：连不上 {address.hostname}:{port}（{fault}）",
            f"channels.{way}: {address.hostname}:{port} cannot be reached ({fault})",
            (
                "查域名解析、路由和网关；期间由其他方式通知",
                "look at DNS, route and gateway; other ways go on",
            ),
            "channel-down",
        )
    return ok(f"channels.{way}：可以连接", f"channels.{way}: can be reached")


def failures(patient: Patient, now: Instant) -> Iterator[Finding]:
    """What became of the latest notices of each way."""
    with patient.store.read() as tx:
        found = attempts(tx, now - DAY)
    for way, counts in sorted(found.items()):
        failed, total = counts[True], counts.total()
        zh = f"{way}：最近一天 {total} 条通知中 {failed} 条失败"
        en = f"{way}: {failed} of the latest {total} notices failed"
        todo = ("看案件里的回执和网关日志", "look at the receipts in the cases, and at the gateway's log")
        if failed > total * _BAD_SHARE:
            yield error(zh, en, todo, "channel-down")
        else:
            yield warning(zh, en, todo, "channel-down") if failed else ok(zh, en)


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


def processes(patient: Patient, now: Instant) -> Iterator[Finding]:
    """Every role is played, by processes that agree with each other."""
    if not is_running(patient, now):
        yield warning(
            "没有正在运行的进程",
            "no process of the platform is running",
            ("启动它：systemctl start hexi", "start it: systemctl start hexi"),
            "platform-does-not-answer",
        )
    elif patient.store.dialect == "sqlite":
        yield ok("平台正在运行", "the platform is running")
    else:
        yield from _several(patient, now)


def _several(patient: Patient, now: Instant) -> Iterator[Finding]:
    with patient.store.read() as tx:
        everyone = tx.processes.all()
    there = living(everyone, now)
    missing = ", ".join(sorted({str(role) for role in Role} - played(there)))
    if missing:
        yield error(
            f"没有进程承担：{missing}",
            f"nobody plays: {missing}",
            ("启动该角色：systemctl start hexi@<角色>", "start it: systemctl start hexi@<role>"),
            "standby-takeover",
        )
    died = [p for p in everyone if not p.alive(now) and p.seen_at > now - 10 * MINUTE]
    for process in died:
        said = f"{process.host} 上的进程 {process.pid}", f"process {process.pid} on {process.host}"
        yield warning(f"{said[0]} 没有告别就消失了", f"{said[1]} is gone without leaving")
    for what, values in (
        (("版本", "versions"), {p.version for p in there}),
        (("密钥", "secrets"), {p.secret for p in there if p.secret}),
    ):
        if len(values) > 1:
            yield error(
                f"各进程的{what[0]}不一致", f"the processes have different {what[1]}", None, "upgrade-failed"
            )
    yield ok(f"{len(there)} 个进程在运行", f"{len(there)} processes are running")
