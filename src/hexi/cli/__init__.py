"""The command line: ``hexi <command>``. One file for each group of commands."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from hexi.adapters.sheets import SheetError
from hexi.adapters.sql import NewerSchemaError
from hexi.cli import (
    access,
    common,
    configuration,
    day,
    doctor,
    erase,
    figures,
    packs,
    places,
    quarantine,
    safety,
    serve,
    table,
)
from hexi.kernel.ports import StoreError
from hexi.kernel.text import Text
from hexi.settings import SettingsError

app = typer.Typer(
    name="hexi",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The operating platform of a city district.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for group in (
    serve,
    packs,
    day,
    table,
    places,
    safety,
    figures,
    quarantine,
    access,
    configuration,
    doctor,
    erase,
):
    group.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hexi {version('hexi')}")
        raise typer.Exit


@app.callback()
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
        app()
    except (common.Fault, SettingsError, SheetError, NewerSchemaError, StoreError, OSError) as error:
        sys.exit(_told(error))


def _told(error: Exception) -> int:
    """Say an expected fault in a sentence; its exit code."""
    if isinstance(error, common.Fault):
        common.warn(error.text)
        return error.code
    if isinstance(error, NewerSchemaError):
        common.warn(error.text)
    elif isinstance(error, StoreError):
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
