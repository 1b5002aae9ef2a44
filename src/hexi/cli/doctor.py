"""``hexi doctor``: is this installation fit to answer an alarm? In plain words, with what to do next."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text as Line

from hexi.cli import common
from hexi.cli.checks import (
    BARE,
    BEFORE_UPGRADE,
    REACH,
    STORED,
    Finding,
    Installation,
    Patient,
    examine,
    examine_bare,
)
from hexi.cli.checks.stored import schema
from hexi.kernel.text import Text

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    as_json: common.AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only what is not in order.")] = False,
    reach: Annotated[
        bool, typer.Option("--reach", help="Also connect to the gateways; sends nothing.")
    ] = False,
    before_upgrade: Annotated[
        bool, typer.Option("--before-upgrade", help="Only: may this build take over? Touches nothing.")
    ] = False,
) -> None:
    """Check machine, data, packs, directory and channels; exit code 1 when something must be mended."""
    findings = _before_upgrade() if before_upgrade else _all(reach=reach)
    if as_json:
        common.print_json(findings)
    else:
        _print(findings, quiet=quiet)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(common.FAILED)


def _installation() -> Installation:
    of = common.settings()
    loaded = common.packs(of)
    return Installation(settings=of, loaded=loaded, catalogue=loaded.catalogue())


def _before_upgrade() -> list[Finding]:
    return examine_bare(_installation(), BEFORE_UPGRADE, common.now())


def _all(*, reach: bool) -> list[Finding]:
    """First what needs no store; the store is opened only when that would neither fail nor change it."""
    bare, now = _installation(), common.now()
    bare.settings.data_dir.mkdir(parents=True, exist_ok=True)
    findings = examine_bare(bare, (*BARE, *(REACH if reach else ())), now)
    if any(f.check == "database" and f.level == "error" for f in findings):
        return findings
    pending = examine_bare(bare, (schema,), now)
    if pending:
        return findings + pending
    with common.opened(bare.settings, bare.catalogue) as store:
        patient = Patient(bare.settings, bare.loaded, bare.catalogue, store)
        return findings + examine(patient, STORED, now)


def _print(findings: list[Finding], *, quiet: bool) -> None:
    for finding in findings:
        if quiet and finding.level == "ok":
            continue
        mark, colour = _MARKS[finding.level]
        common.out.print(Line.assemble((mark, colour), " ", common.words(finding.message)), soft_wrap=True)
        for line in _next(finding):
            common.out.print(Line(f"  -> {line}"), soft_wrap=True)
    errors = sum(f.level == "error" for f in findings)
    warnings = sum(f.level == "warning" for f in findings)
    summary = Text(zh=f"{errors} 个错误，{warnings} 个提醒", en=f"{errors} errors, {warnings} warnings")
    common.out.print(common.words(summary), highlight=False)


def _next(finding: Finding) -> list[str]:
    """What to do about a finding, and the page that helps on."""
    told = [common.words(finding.todo)] if finding.todo else []
    return told + ([f"docs/runbooks/{finding.runbook}.md"] if finding.runbook else [])
