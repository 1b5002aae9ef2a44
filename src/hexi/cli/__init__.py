"""The command line: ``hexi <command>``. One file for each group of commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from hexi.cli import common
from hexi.kernel.ports import StoreError
from hexi.kernel.text import Text
from hexi.settings import SettingsError

ROOMS = {
    "serve": ("demo", "serve"),
    "packs": ("check", "explain", "new"),
    "day": ("day",),
    "table": ("import", "export"),
    "places": ("import",),
    "safety": ("backup", "restore"),
    "migrate": ("migrate", "migrate-store"),
    "figures": ("rebuild", "indicators"),
    "quarantine": ("quarantine",),
    "mqtt": ("mqtt",),
    "access": ("account", "token"),
    "erase": ("erase",),
    "archive": ("archive",),
    "query": ("query",),
    "configuration": ("settings",),
    "doctor": ("doctor",),
    "processes": ("processes",),
    "drill": ("drill",),
    "report": ("report",),
}
"""Which module of this room has which commands."""


_WITH_VALUE = frozenset({"-c", "--config", "--lang"})
"""Options before the command whose next word is not the command."""


def build(command: str | None = None) -> typer.Typer:
    """The command line. With a command's name only its module is loaded, so that it starts at once."""
    app = typer.Typer(
        name="hexi",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="The operating platform of a city district.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        callback=_options,
    )
    wanted = [room for room, commands in ROOMS.items() if command in commands]
    for room in wanted or ROOMS:
        import_module(f"hexi.cli.{room}").register(app)
    return app


def _command_in(words: Sequence[str]) -> str | None:
    """The command that a command line names; None when its help is asked for, or nothing."""
    known = {command for commands in ROOMS.values() for command in commands}
    before = ("", *words)
    return next(
        (w for w, last in zip(words, before, strict=False) if w in known and last not in _WITH_VALUE), None
    )


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hexi {version('hexi')}")
        raise typer.Exit


def _options(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings file; else HEXI_CONFIG, else ./hexi.toml.")
    ] = None,
    lang: Annotated[
        str | None, typer.Option("--lang", help="zh or en; else HEXI_LANG or the locale; else both.")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    common.chosen.config = config
    common.chosen.language = common.choose_language(lang)


def main() -> None:
    """Run one command; an expected fault ends in one sentence on standard error."""
    try:
        build(_command_in(sys.argv[1:]))()
    except (SettingsError, StoreError, OSError) as error:
        sys.exit(_told(error))
    except Exception as error:
        words = getattr(error, "text", None)
        if not isinstance(words, Text):
            raise
        common.warn(words)
        sys.exit(getattr(error, "code", common.FAILED))


def _told(error: SettingsError | StoreError | OSError) -> int:
    """Say an expected fault in a sentence; its exit code."""
    if isinstance(error, StoreError):
        common.warn(_STORE[error.kind])
    elif isinstance(error, OSError):
        common.warn(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
    else:
        common.warn(str(error))
        return common.MISUSED
    return common.FAILED


_STORE = {
    "locked": Text(
        zh="数据库正被占用，请稍后再试", en="the database is held by another writer; try again in a moment"
    ),
    "full": Text(zh="磁盘已满，没有写入任何内容", en="the disk is full; nothing was written"),
    "broken": Text(
        zh="数据库无法读写，请运行 hexi doctor", en="the database cannot be used; run hexi doctor"
    ),
}
