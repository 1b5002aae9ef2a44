"""Promises about a pack's own Python."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from hexi.adapters.packs.check.item import Whole
from hexi.adapters.packs.problem import Problem
from hexi.kernel.text import Text

_FACADE = "hexi.pack"


def rules_import_only_the_facade(whole: Whole) -> Iterator[Problem]:
    """A pack leans on ``hexi.pack`` and on no other part of hexi, so that those parts may change."""
    for source in whole.sources:
        file = source.folder / "rules.py"
        if not source.functions or not file.exists():
            continue
        for line, module in _imports(ast.parse(file.read_bytes())):
            if module.split(".")[0] == "hexi" and module != _FACADE:
                message = Text(
                    zh=f"包只能引用 {_FACADE}，不能引用 {module}",
                    en=f"packs import {_FACADE} and not {module}",
                )
                yield Problem(file=str(file), line=line, message=message)


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
