"""The scenario packs, and whether the running platform works by what is on the disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hexi.adapters.packs.check import check as check_packs
from hexi.adapters.packs.folder import IN_FORCE, digest
from hexi.cli.checks.base import Finding, Installation, Patient, error, is_running, ok, warning
from hexi.kernel.clock import Instant


def packs(patient: Installation, _: Instant) -> Iterator[Finding]:
    """The scenario packs."""
    problems = check_packs(patient.loaded)
    todo = (
        "改正该行；运行中的平台仍按旧版工作",
        "correct the line; a running platform still works by the former version",
    )
    for problem in problems:
        where = f"{problem.file}:{problem.line}" if problem.line else problem.file
        said = f"{where}：{problem.message.zh}", f"{where}: {problem.message.en}"
        yield error(*said, todo, "scenario-broken") if problem.level == "error" else warning(*said)
    counts = Counter(scenario.pack for scenario in patient.catalogue.scenarios.values())
    said_all = ", ".join(f"{pack} {count}" for pack, count in sorted(counts.items()))
    yield ok(f"场景包：{said_all}", f"packs: {said_all}")


def in_force(patient: Patient, now: Instant) -> Iterator[Finding]:
    """A running platform works by the files that are on the disk now."""
    with patient.store.read() as tx:
        told = tx.settings.get(IN_FORCE)
    if told is None or not is_running(patient, now):
        return
    if told == digest(patient.settings.packs):
        yield ok("磁盘上的场景文件都已生效", "the scenario files on the disk are in force")
    else:
        yield warning(
            "磁盘上的场景文件与正在生效的不同",
            "the scenario files on the disk are not those in force",
            (
                "几秒内会自动生效；若仍如此：hexi check，改正后再看，或重启",
                "they are taken within seconds; if this stays: hexi check, correct them, or restart",
            ),
            "scenario-broken",
        )
