"""``hexi check``, ``hexi explain`` and ``hexi new``: scenarios as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from hexi.adapters.packs.check import check, tiers
from hexi.adapters.packs.explain import explain
from hexi.adapters.packs.load import Loaded, load_packs
from hexi.adapters.packs.problem import Problem, did_you_mean
from hexi.adapters.packs.scaffold import ScaffoldError, new_pack, new_scenario
from hexi.adapters.packs.table import write_tables
from hexi.cli import common
from hexi.kernel.text import LANGUAGES, Text

new = typer.Typer(no_args_is_help=True, help="Make a scenario or a pack to start from.")

Folders = Annotated[
    list[Path] | None,
    typer.Argument(help="Packs or folders of packs beside the built-in and configured ones."),
]
Within = Annotated[
    Path | None, typer.Option("--in", help="Folder of packs; else the first configured one, else ./packs.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("check")(check_packs)
    app.command("explain")(explain_scenario)
    app.add_typer(new, name="new")


def _load(folders: list[Path] | None) -> Loaded:
    return load_packs([*common.settings().packs, *(folders or ())])


def check_packs(
    folders: Folders = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    tables: Annotated[
        bool, typer.Option("--write-tables", help="Also write the table of scenarios in each README.")
    ] = False,
    as_json: common.AsJson = False,
) -> None:
    """Check every scenario, down to a mistyped key; exit code 1 when something is wrong."""
    loaded = _load(folders)
    if tables:
        write_tables(loaded)
    problems = check(loaded)
    if as_json:
        common.print_json(problems)
    else:
        _print_problems(loaded, problems)
    if any(strict or problem.level == "error" for problem in problems):
        raise typer.Exit(common.FAILED)


def _print_problems(loaded: Loaded, problems: list[Problem]) -> None:
    for problem in problems:
        place = f"{_short(problem.file)}:{problem.line}" if problem.line else _short(problem.file)
        level = Text(zh="错误", en="error") if problem.level == "error" else Text(zh="提醒", en="warning")
        where = f" [{problem.where}]" if problem.where else ""
        said = Text(
            zh=f"{place}: {level.zh}{where} {problem.message.zh}",
            en=f"{place}: {level.en}{where} {problem.message.en}",
        )
        common.say(*_both(said, place))
    levels = Counter(problem.level for problem in problems)
    grades = Counter(tiers(loaded).values())
    count = sum(grades.values())
    common.say(
        f"{len(loaded.packs)} 个包，{count} 个场景"
        f"（金 {grades['gold']}，银 {grades['silver']}，铜 {grades['bronze']}）："
        f"{levels['error']} 处错误，{levels['warning']} 处提醒",
        f"{len(loaded.packs)} packs, {count} scenarios ({grades['gold']} gold, {grades['silver']} silver, "
        f"{grades['bronze']} bronze): {levels['error']} errors, {levels['warning']} warnings",
    )


def _both(said: Text, place: str) -> tuple[str, str]:
    """When both languages are shown, the place stands only once."""
    return said.zh, said.en if common.chosen.language else said.en.removeprefix(f"{place}: ")


def _short(file: str) -> str:
    """The path from here, when it lies below."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def explain_scenario(
    scenario: Annotated[
        str, typer.Argument(help="Id, such as elder_care.fall_suspected; the last part is enough.")
    ],
    folders: Folders = None,
) -> None:
    """Tell in plain words who is told when, what is promised and what closes the case."""
    catalogue = _load(folders).catalogue()
    found = catalogue.scenarios.get(scenario) or next(
        (s for identity, s in catalogue.scenarios.items() if identity.partition(".")[2] == scenario), None
    )
    if found is None:
        hint = did_you_mean(scenario, catalogue.scenarios) or Text(zh="。", en=".")
        raise common.Fault(f"没有场景 {scenario}{hint.zh}", f"there is no scenario {scenario}{hint.en}")
    languages = [common.chosen.language] if common.chosen.language else list(LANGUAGES)
    for number, language in enumerate(languages):
        lines = explain(found, catalogue, language)
        common.out.print(("\n" if number else "") + lines[0], style="bold", markup=False, highlight=False)
        common.out.print("\n".join(lines[1:]), markup=False, highlight=False, soft_wrap=True)


@new.command("scenario")
def scaffold_scenario(
    scenario: Annotated[str, typer.Argument(help="Id: pack.name, in small letters, digits and underscores.")],
    within: Within = None,
) -> None:
    """Make a scenario's file, its kind of signal and its event in day.toml; nothing is overwritten."""
    folder = _folder(within)
    _refuse_twin(scenario.partition(".")[0], folder)
    _tell(lambda: new_scenario(scenario, folder), folder)


@new.command("pack")
def scaffold_pack(
    pack: Annotated[str, typer.Argument(help="Id: small letters, digits and underscores.")],
    within: Within = None,
) -> None:
    """Make a pack's folder with its manifest, day and README; nothing is overwritten."""
    folder = _folder(within)
    _refuse_twin(pack, folder)
    _tell(lambda: new_pack(pack, folder), folder)


def _folder(within: Path | None) -> Path:
    """A folder of packs; the folder of one pack means the folder around it."""
    folder = within or next(iter(common.settings().packs), Path("packs"))
    return folder.parent if (folder / "pack.toml").exists() else folder


def _refuse_twin(pack: str, folder: Path) -> None:
    """A second pack of one id would be left out by every reader."""
    for source in _load(None).sources:
        if source.manifest.id == pack and source.folder != (folder / pack).resolve():
            raise common.Fault(
                f"包 {pack} 已在 {source.folder}；换个名字，或用 --in {source.folder.parent}",
                f"the pack {pack} is in {source.folder}; take another name, or --in {source.folder.parent}",
            )


def _tell(make: Callable[[], list[Path]], folder: Path) -> None:
    try:
        files = make()
    except ScaffoldError as error:
        raise common.Fault(error.zh, str(error)) from error
    for file in files:
        common.out.print(str(file), markup=False, highlight=False, soft_wrap=True)
    common.say(f"接着：hexi check {folder}", f"next: hexi check {folder}")
