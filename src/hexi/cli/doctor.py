"""``hexi doctor``: is this installation fit to answer an alarm? In plain words."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text as Line

from hexi.cli import common
from hexi.cli.checks import CHECKS, Finding, Patient, examine
from hexi.kernel.text import Text

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    as_json: common.AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only what is not in order.")] = False,
) -> None:
    """Check machine, data, packs, directory and channels; exit code 1 when something must be mended."""
    of = common.settings()
    loaded = common.packs(of)
    with common.opened(of, loaded.catalogue()) as store:
        patient = Patient(settings=of, loaded=loaded, catalogue=loaded.catalogue(), store=store)
        findings = examine(patient, CHECKS, common.now())
    if as_json:
        common.print_json(findings)
    else:
        _print(findings, quiet=quiet)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(common.FAILED)


def _print(findings: list[Finding], *, quiet: bool) -> None:
    for finding in findings:
        if quiet and finding.level == "ok":
            continue
        mark, colour = _MARKS[finding.level]
        common.out.print(Line.assemble((mark, colour), " ", common.words(finding.message)), soft_wrap=True)
    errors = sum(f.level == "error" for f in findings)
    warnings = sum(f.level == "warning" for f in findings)
    summary = Text(zh=f"{errors} 个错误，{warnings} 个提醒", en=f"{errors} errors, {warnings} warnings")
    common.out.print(common.words(summary), highlight=False)
