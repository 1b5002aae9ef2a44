"""Write the generated pages of docs/reference: settings, commands and metrics.

``python tools/reference.py`` writes them; a test compares them with what is here, so that no setting,
command or metric goes without its entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from hexi.adapters.metrics import Metrics
from hexi.cli import build
from hexi.cli.configuration import Key, example, keys, toml
from hexi.settings import plain

PAGES = Path(__file__).resolve().parent.parent / "docs" / "reference"
_NOTE = "<!-- Written by `make docs`; change the source, not this page. -->"


def settings_page() -> str:
    """Every setting, its variable, what it expects and its default."""
    return "\n".join(
        [
            "# Settings",
            "",
            _NOTE,
            "",
            "`hexi` reads one TOML file: named by `--config`, else by `HEXI_CONFIG`, else `hexi.toml` in the",
            "working folder. A variable goes over the file; its name is the key's path with double",
            "underscores. Relative paths in the file are taken from the file's folder. Everything is checked",
            "before anything starts, and every fault is named at once with its key and what is expected.",
            "`hexi settings` shows what is in force.",
            "",
            "| key | variable | expects | default | meaning |",
            "|---|---|---|---|---|",
            *(_row(key) for key in keys()),
            "",
            "`<way>` is one of `call`, `sms`, `app`, `mail`, `group`, `webhook` and `desk`.",
            "Lists in a variable are separated by `:`.",
            "",
            "## An example",
            "",
            "`hexi settings --example` prints it.",
            "",
            "```toml",
            example().rstrip(),
            "```",
            "",
        ]
    )


def _row(key: Key) -> str:
    variable = f"`{key.variable}`" if key.variable else "in the file alone"
    return f"| `{key.path}` | {variable} | {key.expects} | {_default(key.default)} | {key.meaning} |"


def _default(value: Any) -> str:
    if value is None or value == () or type(value).__name__ == "NoDefault":
        return ""
    written = plain(value)
    return f"`{toml(written)}`" if isinstance(written, str | int | float | bool) else ""


def commands_page() -> str:
    """Every command with its arguments and options."""
    head = [
        "# Commands",
        "",
        _NOTE,
        "",
        "Exit codes: 0 done; 1 the work found something wrong; 2 it could not be done as asked; 130 stopped",
        "by Ctrl-C. Faults go to standard error in one sentence, in the language of `--lang`, `HEXI_LANG` or",
        "the locale, and in both languages when none of them says. `--json` prints JSON and nothing else.",
        "",
        "These options come before the command:",
        "",
    ]
    root: Any = get_command(build())
    return "\n".join([*head, *_params(root), *_commands(root, "hexi")])


def _commands(group: Any, path: str) -> Iterator[str]:
    for name in sorted(group.commands):
        command = group.commands[name]
        full = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from _commands(command, full)
            continue
        yield from (f"## {full}", "", " ".join((command.help or "").split()), "")
        yield from _params(command)


def _params(command: Any) -> list[str]:
    context = typer.Context(command)
    told = [param.get_help_record(context) for param in command.params if "completion" not in param.name]
    rows = [f"| `{spelling}` | {_cell(said)} |" for spelling, said in filter(None, told)]
    return ["| | |", "|---|---|", *rows, ""] if rows else []


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def metrics_page() -> str:
    """Every metric of ours with its meaning."""
    described = Metrics().described()
    return "\n".join(
        [
            "# Metrics",
            "",
            _NOTE,
            "",
            "`/metrics` gives these as Prometheus reads them, with the usual `process_*` and `python_*`.",
            "Counters end in `_total`; histograms in `_bucket`, `_count` and `_sum`. Times are seconds.",
            "",
            "| metric | meaning |",
            "|---|---|",
            *(f"| `{name}` | {meaning} |" for name, meaning in sorted(described.items())),
            "",
        ]
    )


def pages() -> dict[Path, str]:
    """Every generated page by its file."""
    return {
        PAGES / "settings.md": settings_page(),
        PAGES / "cli.md": commands_page(),
        PAGES / "metrics.md": metrics_page(),
    }


if __name__ == "__main__":
    PAGES.mkdir(parents=True, exist_ok=True)
    for file, text in pages().items():
        file.write_text(text, encoding="utf-8")
