"""Reads the pages of the documentation: their fenced blocks and the marks above them.

A mark is an HTML comment right above a block: ``<!-- not run: why -->``, ``<!-- file: name -->`` (write
the block to that file), ``<!-- in: name -->`` (add the TOML to that file first), ``<!-- expect: text -->``
(the output holds it; may be repeated), ``<!-- fails -->`` (a command ends with an error) and
``<!-- background: text -->`` (start it and go on once it has printed the text).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELL = frozenset({"bash", "sh", "shell", "console"})

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w+-]*)[^\n]*\n(?P<body>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"<!--\s*(?P<name>not run|file|expect|fails|background)(?::\s*(?P<value>.*?))?\s*-->")


@dataclass
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    body: str
    marks: dict[str, list[str]] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Its page and line, as error messages name it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def mark(self, name: str) -> str | None:
        """The value of a mark, or None without one."""
        return self.marks[name][0] if name in self.marks else None

    @property
    def commands(self) -> str:
        """What a shell block runs: the lines after ``$`` of a console, all of another."""
        if self.language != "console":
            return self.body
        lines = self.body.splitlines()
        asked = [n for n, line in enumerate(lines) if line.startswith("$ ")]
        return "\n".join(_joined(lines, n) for n in asked)


def _joined(lines: list[str], start: int) -> str:
    """A command with the lines it continues on."""
    taken = [lines[start].removeprefix("$ ")]
    while taken[-1].endswith("\\"):
        start += 1
        taken.append(lines[start])
    return "\n".join(taken)


def pages() -> list[Path]:
    """Every page: the READMEs and docs/."""
    return [
        *sorted(ROOT.glob("README*.md")),
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in order, with their marks."""
    text = page.read_text(encoding="utf-8")
    found, last = [], 0
    for match in _FENCE.finditer(text):
        between = text[last : match.start()]
        body = re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, match["language"], body, _marks(between)))
        last = match.end()
    return found


def _marks(before: str) -> dict[str, list[str]]:
    """The marks in the comments that stand right above the block."""
    tail = before.rstrip().rpartition("\n\n")[2]
    marks: dict[str, list[str]] = {}
    for match in _MARK.finditer(tail):
        marks.setdefault(match["name"], []).append(match["value"] or "")
    return marks
