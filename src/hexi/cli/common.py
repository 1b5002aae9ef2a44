"""What every command shares: the language, the settings, the store, and how a fault is told."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hexi.adapters.packs.load import Loaded, load_packs
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import Instant
from hexi.kernel.ports import Store
from hexi.kernel.text import Text
from hexi.settings import Settings, load_settings

if TYPE_CHECKING:
    from hexi.adapters.sql import SqlStore

FAILED, MISUSED = 1, 2
"""Exit codes: the work found something wrong; the command could not be done as asked."""

out = Console()
err = Console(stderr=True)


class Fault(Exception):  # noqa: N818 -- a fault is told, not raised through
    """Something expected went wrong: one sentence in both languages, no traceback."""

    def __init__(self, zh: str, en: str, code: int = MISUSED) -> None:
        super().__init__(en)
        self.text = Text(zh=zh, en=en)
        self.code = code


class Chosen:
    """What the options before the command say."""

    config: Path | None = None
    language: str | None = None
    """None: both languages."""


chosen = Chosen()

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def choose_language(option: str | None) -> str | None:
    """The language of messages: the option, HEXI_LANG, the locale; both when none of them says."""
    for said in (option, *(os.environ.get(name) for name in ("HEXI_LANG", "LC_ALL", "LC_MESSAGES", "LANG"))):
        if said and said[:2].lower() in {"zh", "en"}:
            return said[:2].lower()
    return None


def words(text: Text) -> str:
    """A sentence in the chosen language, or in both."""
    return text.get(chosen.language) if chosen.language else f"{text.zh} / {text.en}"


def say(zh: str, en: str) -> None:
    """Tell the operator something on standard output."""
    out.print(words(Text(zh=zh, en=en)), highlight=False, markup=False, soft_wrap=True)
    sys.stdout.flush()


def warn(text: Text | str) -> None:
    """Tell the operator something on standard error."""
    err.print(words(text) if isinstance(text, Text) else text, highlight=False, markup=False, soft_wrap=True)


def warn_of_more(left: int) -> None:
    """Say how many problems were not printed, when there are any."""
    if left > 0:
        warn(Text(zh=f"……还有 {left} 处，见 --json", en=f"... and {left} more, see --json"))


def say_stored(written: int, *, dry_run: bool, refused: bool) -> None:
    """Say how an import ended."""
    if dry_run:
        say("试运行，没有写入", "dry run: nothing was stored")
    elif refused:
        say("没有写入；改正后重试，或加 --skip-bad", "nothing was stored; correct it, or use --skip-bad")
    else:
        say(f"已写入 {written} 条", f"stored {written}")


def print_json(value: Any) -> None:
    """Print a value as JSON, and nothing else."""
    plain = msgspec.to_builtins(value)
    sys.stdout.write(json.dumps(plain, ensure_ascii=False, indent=2) + "\n")


def now() -> Instant:
    """The present by the machine's clock."""
    return time.time_ns() // 1_000_000


def settings() -> Settings:
    """The settings of this installation; SettingsError when they cannot be used."""
    return load_settings(chosen.config)


def packs(of: Settings) -> Loaded:
    """Every pack of this installation."""
    return load_packs(of.packs)


@contextmanager
def opened(of: Settings, catalogue: Catalogue) -> Iterator[SqlStore]:
    """The installation's store, closed again afterwards."""
    from hexi.adapters.sql import open_store  # noqa: PLC0415 -- commands without a store start at once

    of.data_dir.mkdir(parents=True, exist_ok=True)
    store = open_store(of.database_url(), catalogue.record_kinds, beside_a_move=True)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def installation() -> Iterator[tuple[Settings, Catalogue, Store]]:
    """Settings, catalogue and store together."""
    of = settings()
    catalogue = packs(of).catalogue()
    with opened(of, catalogue) as store:
        yield of, catalogue, store


@contextmanager
def progress(zh: str, en: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error for long work; the function takes how much is done so far."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(words(Text(zh=zh, en=en)), total=total)
        yield lambda done: bar.update(task, completed=done)


def ask_secret(zh: str, en: str, *, stdin: bool) -> str:
    """A secret from the keyboard (twice) or the first line of standard input; never from the command line."""
    if stdin or not sys.stdin.isatty():
        given = sys.stdin.readline().rstrip("\r\n")
    else:
        given = str(typer.prompt(words(Text(zh=zh, en=en)), hide_input=True, confirmation_prompt=True))
    if not given:
        raise Fault("没有给出密码", "no password was given")
    return given
