"""``hexi day``: play a pack's simulated day and say whether everything happened that must."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text as Styled

from hexi.adapters.packs.load import Loaded, load_packs
from hexi.cli import common
from hexi.sim.day import DayReport, day_of, play
from hexi.sim.day_file import DayFileError
from hexi.sim.day_lines import Line, timeline


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("day")(play_day)


def play_day(
    pack: Annotated[str, typer.Argument(help="The pack's id, or the folder of a pack.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only what was not as expected.")] = False,
    as_json: common.AsJson = False,
) -> None:
    """Play the day of a pack on a simulated clock; exit code 1 when something did not happen as expected."""
    identity, loaded = _find(pack)
    catalogue = loaded.catalogue()
    try:
        report = play(day_of(loaded, identity), catalogue, identity)
    except DayFileError as error:
        raise typer.Exit(_tell_problems(error)) from error
    lines = timeline(report, catalogue)
    if as_json:
        common.print_json([{"at": x.clock, "case": x.case, "ok": x.ok, "text": x.text} for x in lines])
    else:
        _print(report, [line for line in lines if line.ok is False or not quiet])
    if report.failures:
        raise typer.Exit(common.FAILED)


def _find(pack: str) -> tuple[str, Loaded]:
    """A pack by id among all, or by its folder."""
    folders = list(common.settings().packs)
    folder = Path(pack)
    if (folder / "pack.toml").exists():
        loaded = load_packs([*folders, folder])
        named = [s.manifest.id for s in loaded.sources if s.folder == folder.resolve()]
    else:
        loaded = load_packs(folders)
        named = [s.manifest.id for s in loaded.sources if s.manifest.id == pack and s.day_file.exists()]
    if not named:
        known = ", ".join(s.manifest.id for s in loaded.sources if s.day_file.exists())
        raise common.Fault(
            f"没有带 day.toml 的包 {pack}（有：{known}）",
            f"there is no pack {pack} with a day.toml (there is: {known})",
        )
    return named[0], loaded


def _tell_problems(error: DayFileError) -> int:
    for problem in error.problems:
        common.warn(str(problem))
    return common.MISUSED


def _print(report: DayReport, lines: list[Line]) -> None:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(line.clock, line.case, _styled(line))
    common.out.print(table)
    kept = sum(1 for moment in report.moments if moment.expect and not moment.findings)
    wrong = len(report.failures)
    common.say(
        f"{report.day.title.zh}：案件 {len(report.stories)} 个，符合预期 {kept} 处，不符 {wrong} 处",
        f"{report.day.title.en}: {len(report.stories)} cases, {kept} expectations met, {wrong} not",
    )


def _styled(line: Line) -> Styled:
    words = common.words(line.text) if line.text.zh != line.text.en else line.text.zh
    if line.ok is None:
        return Styled(words)
    mark, style = ("✓ ", "green") if line.ok else ("✗ ", "bold red")
    return Styled(mark + words, style)
