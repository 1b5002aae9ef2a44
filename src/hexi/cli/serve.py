"""``hexi demo`` and ``hexi serve``: the running platform."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop

from hexi.adapters.backup import BackupError, holding
from hexi.adapters.logs import set_up_logs
from hexi.app.compose import App, Manner, open_app
from hexi.app.demo import Demo, Fault, Plan
from hexi.app.memory import share_arenas
from hexi.app.roles import ALL_ROLES, Role, in_order
from hexi.app.server import serve as run_server
from hexi.cli import common
from hexi.kernel.text import Text
from hexi.settings import Listen, Settings, refuse_exposure

DEMO_PORT = 8700


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(demo)
    app.command()(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; else listen.host.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port to listen on; else listen.port, or that of the role."),
    ] = None,
    role: Annotated[
        list[Role] | None,
        typer.Option(help="What this process does; may be given several times. Else everything."),
    ] = None,
    standby: Annotated[
        bool, typer.Option("--standby", help="Play these roles only while no other process does.")
    ] = False,
) -> None:
    """Run the platform on its own settings until it is stopped. Everyone has to log in."""
    told = common.settings()
    roles = frozenset(role or ALL_ROLES)
    alone = told.database_url().startswith("sqlite")
    if alone and (roles != ALL_ROLES or standby):
        raise common.Fault(
            "SQLite 只能由一个进程承担全部角色；要分成多个进程请设置 database.url（PostgreSQL）",
            "on SQLite one process plays all roles; set database.url to a PostgreSQL to have several",
        )
    settings = _listening(told, host, _port_of(told, roles) if port is None else port)
    refused = refuse_exposure(settings)
    if refused:
        zh, _, en = refused.partition(" / ")
        raise common.Fault(zh, en)
    set_up_logs(settings.log.level, settings.log.form)
    share_arenas()
    try:
        with holding(settings.data_dir, shared=not alone):
            app = open_app(settings, Manner(roles=roles, standby=standby))
            _remind(app)
            uvloop.run(_serve(app))
    except BackupError as error:
        raise common.Fault(f"数据目录正被使用：{settings.data_dir}", str(error), common.FAILED) from error


def _port_of(settings: Settings, roles: AbstractSet[Role]) -> int:
    """The port of a process: that of the screens, else of the first of its roles that has one."""
    if Role.WEB in roles:
        return settings.listen.port
    ports: list[int] = [getattr(settings.listen.ports, role) for role in in_order(roles)]
    return ports[0]


def demo(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = DEMO_PORT,
    elders: Annotated[
        int, typer.Option(min=1, max=50_000, help="Elders who live in the district.")
    ] = Plan().elders,
    speed: Annotated[
        float, typer.Option(min=0.1, max=1_000, help="How much faster than life the day goes.")
    ] = Plan().speed,
    data: Annotated[Path | None, typer.Option(help="Keep the demo's data in this folder.")] = None,
    fault: Annotated[
        list[Fault] | None, typer.Option(help="Let something go wrong; may be given several times.")
    ] = None,
) -> None:
    """Play a synthetic district on this machine only: no log-in, nothing to install, nothing kept."""
    set_up_logs("warning", "auto")
    share_arenas()
    plan = Plan(elders=elders, speed=speed, faults=tuple(fault or ()))
    listen = Listen(host="127.0.0.1", port=port)
    if data:
        _demo(Settings(data_dir=data, listen=listen), plan)
        return
    with tempfile.TemporaryDirectory(prefix="hexi-demo-") as folder:
        _demo(Settings(data_dir=Path(folder), listen=listen), plan)


def _listening(settings: Settings, host: str | None, port: int | None) -> Settings:
    listen = msgspec.structs.replace(
        settings.listen,
        host=settings.listen.host if host is None else host,
        port=settings.listen.port if port is None else port,
    )
    return msgspec.structs.replace(settings, listen=listen)


def _demo(settings: Settings, plan: Plan) -> None:
    common.say(
        f"正在生成模拟河西区：{plan.elders} 位老人…",
        f"Making a synthetic district with {plan.elders} elders ...",
    )
    uvloop.run(_live(Demo(settings, plan)))


async def _live(demo: Demo) -> None:
    playing: list[asyncio.Task[None]] = []

    async def ready(address: str) -> None:
        common.say(
            f"打开 {address}/demo 开始；Ctrl+C 结束。", f"Open {address}/demo to begin; Ctrl+C ends it."
        )
        playing.append(asyncio.create_task(demo.play()))

    try:
        await run_server(demo.app, ready)
    finally:
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)


async def _serve(app: App) -> None:
    async def ready(address: str) -> None:
        common.say(f"hexi 已启动：{address}", f"hexi is up: {address}")

    await run_server(app, ready)


def _remind(app: App) -> None:
    """Whoever opens the screens has to log in."""
    if Role.WEB not in app.roles:
        return
    with app.store.read() as tx:
        ready = any(account.role == "admin" and account.active for account in tx.access.accounts())
    if not ready:
        common.warn(
            Text(
                zh="还没有管理员，谁也不能登录：hexi account add <登录名>",
                en="there is no administrator, nobody can log in: hexi account add <login>",
            )
        )
