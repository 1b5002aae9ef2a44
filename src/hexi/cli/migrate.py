"""``hexi migrate`` and ``hexi migrate-store``: the tables of a newer build, and another database."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from sqlalchemy.engine import make_url

from hexi.adapters.backup import BackupError, holding
from hexi.cli import common
from hexi.kernel.ports import StoreError
from hexi.kernel.text import Text
from hexi.settings import Settings, read_secret

if TYPE_CHECKING:
    from hexi.adapters.sql.move import Mover

ENOUGH = 2_000
"""Rows behind the running platform at which catching up has come to rest."""
ROUNDS = 10
"""Rounds after which it is as close as it gets beside this load."""
PAUSE = 1.0
"""Seconds between two rounds while the platform is waited for."""
_STOP = Text(
    zh="请停止所有 hexi 进程，随后自动完成", en="stop every process of hexi; the rest follows by itself"
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="The version of the tables: see it, change it, go back.")
    group.command("status")(status)
    group.command("run")(run)
    app.add_typer(group, name="migrate")
    app.command("migrate-store")(migrate_store)


def status(
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when something is to be done.")] = False,
    as_json: common.AsJson = False,
) -> None:
    """Say where the tables stand and what this build would change; nothing is changed."""
    found = _look(common.settings())
    if as_json:
        common.print_json(found)
    else:
        _tell(found)
    if check and found["pending"]:
        raise typer.Exit(common.FAILED)


def _look(of: Settings) -> dict[str, Any]:
    from hexi.adapters.sql.schema import SCHEMA  # noqa: PLC0415 -- see common.opened
    from hexi.adapters.sql.store import standing_of  # noqa: PLC0415 -- see common.opened

    now = standing_of(_existing(of))
    return {
        "present": now.present,
        "build": SCHEMA,
        "compatible": now.compatible,
        "usable": now.usable,
        "pending": [{"revision": r.name, "title": r.title, "online": r.online} for r in now.pending],
    }


def _existing(of: Settings) -> str:
    """The database's address; a Fault when it is a file that is not there, for looking would make it."""
    url = of.database_url()
    address = make_url(url)
    if address.get_backend_name() == "sqlite" and not Path(str(address.database)).exists():
        raise common.Fault(f"还没有数据库 {address.database}", f"there is no database at {address.database}")
    return url


def _tell(found: dict[str, Any]) -> None:
    common.say(
        f"数据库结构 {found['present'] or '（空）'}，本程序 {found['build']}",
        f"the tables stand at {found['present'] or 'nothing yet'}, this build works with {found['build']}",
    )
    for one in found["pending"]:
        common.say(f"待做 {one['revision']}：{one['title']}", f"to do {one['revision']}: {one['title']}")
    if found["pending"]:
        common.say(
            "hexi migrate run 或启动即会完成；其他进程可继续运行",
            "hexi migrate run does it, and so does a start; other processes may go on meanwhile",
        )
    elif found["present"] != found["build"]:
        _tell_newer(found)
    else:
        common.say("无需改动", "nothing is to be done")


def _tell_newer(found: dict[str, Any]) -> None:
    if found["usable"]:
        common.say(
            f"由更新的版本写成，但 {found['compatible']} 起的程序都可使用",
            f"a newer build wrote it; every build from {found['compatible']} on may work on it",
        )
    else:
        common.say("由更新的版本写成：请升级 hexi", "a newer build wrote it: upgrade hexi")


def run(
    to: Annotated[
        str | None,
        typer.Option(metavar="REVISION", help="Go back to the tables of an earlier build; rows are kept."),
    ] = None,
) -> None:
    """Bring the tables to this build's version, beside running processes; or back to an earlier one."""
    of = common.settings()
    if to:
        _go_back(of, to)
        return
    from hexi.adapters.sql import migrate  # noqa: PLC0415 -- see common.opened

    of.data_dir.mkdir(parents=True, exist_ok=True)
    said = migrate(of.database_url())
    common.say(f"数据库结构现为 {said}", f"the tables now stand at {said}")


def _go_back(of: Settings, to: str) -> None:
    from hexi.adapters.sql.schema import OLDEST  # noqa: PLC0415 -- see common.opened
    from hexi.adapters.sql.store import go_back  # noqa: PLC0415 -- see common.opened

    url = _existing(of)
    try:
        with _stopped(of):
            go_back(url, to)
    except StoreError as error:
        if error.kind != "locked":
            raise
        raise common.Fault(
            "数据库正被使用：请先停止所有 hexi 进程",
            "the database is in use: stop every process of hexi first",
            common.FAILED,
        ) from error
    except ValueError as error:
        raise common.Fault(
            f"不能退到 {to}：可退到 {OLDEST} 及以后的旧结构",
            f"there is no way back to {to}: it ends at {OLDEST}, and begins where the tables stand",
        ) from error
    common.say(
        f"数据库结构已退到 {to}，数据未动；现在可启动旧版本",
        f"the tables are back at {to} with every row; start the earlier build now, this one would move on",
    )


@contextmanager
def _stopped(of: Settings) -> Iterator[None]:
    """Nobody works with the data folder; a Fault while somebody does."""
    try:
        with holding(of.data_dir):
            yield
    except BackupError as error:
        raise common.Fault(
            f"{of.data_dir} 正被使用：请先停止 hexi serve",
            f"{of.data_dir} is in use: stop hexi serve first",
            common.FAILED,
        ) from error


def migrate_store(
    to: Annotated[
        str | None, typer.Option(metavar="URL", help="PostgreSQL's address, without a password.")
    ] = None,
    to_file: Annotated[
        Path | None, typer.Option(help="A file whose first line is PostgreSQL's address with its password.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Go on until the platform is stopped, then finish at once.")
    ] = False,
    back: Annotated[bool, typer.Option("--back", help="From PostgreSQL back to the SQLite file.")] = False,
) -> None:
    """Move a running installation from its SQLite file to PostgreSQL, every row compared; or back.

    Everything is copied while the platform runs. The last part needs it stopped, and takes seconds. Killed
    or stopped anywhere, run the same command again.
    """
    from hexi.adapters.sql.move import moving, place_of  # noqa: PLC0415 -- see common.opened

    of = common.settings()
    file, server = _file(of), _server(of, to, to_file)
    source, target = (server, file) if back else (file, server)
    common.say(f"从 {place_of(source)} 迁往 {place_of(target)}", f"{place_of(source)} -> {place_of(target)}")
    with moving(source, target) as mover:
        if mover.done:
            common.say("此前已完成", "this was done before")
        else:
            _copy(mover)
            _finish(mover, None if back else of, wait=wait)
    _say_settings(back=back)


def _file(of: Settings) -> str:
    """The SQLite file: what the settings name, or the one in the data folder."""
    url = of.database_url()
    if make_url(url).get_backend_name() != "sqlite":
        url = f"sqlite:///{of.data_dir / 'hexi.sqlite'}"
    if not Path(str(make_url(url).database)).exists():
        raise common.Fault(f"没有 SQLite 数据库 {url}", f"there is no SQLite database at {url}")
    return url


def _server(of: Settings, to: str | None, to_file: Path | None) -> str:
    """PostgreSQL's address: an option, a file, or what the settings name."""
    url = read_secret(to_file) if to_file else to or of.database_url()
    address = make_url(url)
    if address.get_backend_name() != "postgresql":
        raise common.Fault(
            "请用 --to-file 或 --to 指明 PostgreSQL 的地址",
            "name PostgreSQL's address with --to-file or --to",
        )
    if to and not to_file and address.password:
        raise common.Fault(
            "命令行上的密码人人可见：请写入文件，用 --to-file",
            "a password on the command line can be read by everyone here: put it in a file for --to-file",
        )
    return url


def _copy(mover: Mover) -> None:
    """Everything once, then what changed meanwhile, until it is little."""
    with _telling("复制", "copying") as told:
        mover.copy(told)
    for _ in range(ROUNDS):
        with _telling("追赶", "catching up") as told:
            behind = mover.catch_up(told)
        common.say(f"追上 {behind:,} 行", f"caught up with {behind:,} rows")
        if behind <= ENOUGH:
            return


@contextmanager
def _telling(zh: str, en: str) -> Iterator[Callable[[str, int], None]]:
    """A bar that counts the rows looked at; a line with how many they were and how long it took."""
    seen: Counter[str] = Counter()
    began = time.monotonic()
    with common.progress(zh, en, None) as done:

        def tell(table: str, rows: int) -> None:
            seen[table] += rows
            done(seen.total())

        yield tell
    took = time.monotonic() - began
    common.say(f"{zh} {seen.total():,} 行，{took:.1f} 秒", f"{en}: {seen.total():,} rows in {took:.1f} s")


def _finish(mover: Mover, of: Settings | None, *, wait: bool) -> None:
    """The last part, once nobody works on the old database, a file in ``of``'s folder; until then keep up."""
    from hexi.adapters.sql.move import BusyError  # noqa: PLC0415 -- see common.opened

    asked = False
    while True:
        try:
            with _stopped(of) if of else nullcontext():
                _cut_over(mover)
                return
        except (BusyError, common.Fault) as busy:
            if not wait:
                _leave(busy)
            if not asked:
                common.warn(
                    Text(
                        zh="请停止所有 hexi 进程，随后自动完成",
                        en="stop every process of hexi; the rest follows by itself",
                    )
                )
            asked = True
            time.sleep(PAUSE)
            mover.catch_up(lambda *_: None)


def _leave(busy: Exception) -> None:
    raise common.Fault(
        "已全部复制。请停止 hexi，再运行同一命令完成最后一步（或加 --wait）",
        "everything is copied. Stop hexi and run the same command again for the last part (or use --wait)",
        common.FAILED,
    ) from busy


def _cut_over(mover: Mover) -> None:
    with _telling("核对", "comparing") as told:
        done = mover.cut_over(told)
    for table, rows in done.rows.items():
        common.out.print(f"  {table:<16} {rows:>12,}", highlight=False)
    common.say(
        f"{sum(done.rows.values()):,} 行逐行一致；旧库已封存",
        f"{sum(done.rows.values()):,} rows, each equal on both sides; the old database is closed",
    )


def _say_settings(*, back: bool) -> None:
    if back:
        common.say("从设置中去掉 [database]，然后启动", "take [database] out of the settings, then start")
        return
    common.say(
        "在设置中写 [database] url_file（或 url），然后启动；凭证文件仍在数据目录",
        "set [database] url_file (or url) in the settings, then start; evidence stays in the data folder",
    )
