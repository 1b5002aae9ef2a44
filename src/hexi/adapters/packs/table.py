"""The table of a pack's scenarios for its README, made from the files."""

from __future__ import annotations

from hexi.adapters.packs.check.days import tier
from hexi.adapters.packs.check.item import Item
from hexi.adapters.packs.load import Loaded, Source
from hexi.kernel.clock import format_duration
from hexi.kernel.scenario import Scenario

BEGIN, END = "<!-- scenarios: made by `hexi check --write-tables` -->", "<!-- end of scenarios -->"


def catalogue_table(loaded: Loaded, pack: str) -> str:
    """A pack's scenarios as a Markdown table, the worst first; KeyError when there is no such pack."""
    source = {source.manifest.id: source for source in loaded.sources}[pack]
    rows = sorted(source.scenarios.items(), key=lambda pair: (pair[1].case.severity.rank, pair[1].id))
    lines = ["| 场景 / Scenario | id | signals | severity | promises | tier |", "|---|---|---|---|---|---|"]
    lines += [_row(scenario, tier(source, Item(file, source, scenario))) for file, scenario in rows]
    return "\n".join(lines) + "\n"


def _row(scenario: Scenario, level: str) -> str:
    promises = ", ".join(f"{name} {format_duration(due)}" for name, due in scenario.case.deadlines.items())
    cells = (
        f"{scenario.title.zh} / {scenario.title.en}",
        f"`{scenario.id}`",
        ", ".join(_signals(scenario)),
        scenario.case.severity.value,
        promises,
        level,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _signals(scenario: Scenario) -> list[str]:
    absent, sequence = scenario.absence, scenario.sequence
    return [
        *(f"`{kind}`" for kind in scenario.signal.kinds),
        *([f"no `{absent.kinds[0]}` … {absent.since}–{absent.until}"] if absent else []),
        *([f"`{sequence.first[0]}` without `{sequence.then[0]}`"] if sequence else []),
    ]


def with_table(readme: str, table: str) -> str:
    """The README with the table between its two marks; ValueError when they are not there."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table}\n{END}{after}"


def write_tables(loaded: Loaded) -> list[Source]:
    """Bring the table of every pack's README up to date; gives the packs that had one."""
    written = []
    for source in loaded.sources:
        readme = source.folder / "README.md"
        if readme.exists() and BEGIN in readme.read_text("utf-8"):
            table = catalogue_table(loaded, source.manifest.id)
            readme.write_text(with_table(readme.read_text("utf-8"), table), "utf-8")
            written.append(source)
    return written
