"""The plans of drills in packs: ``drills/*.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from hexi.adapters.packs.folder import discover
from hexi.spine.drill_plan import DrillPlan, parse_plan


class BrokenPlanError(ValueError):
    """A plan's file cannot be used; the message names it."""


def read_plans(folders: Sequence[Path] = ()) -> dict[str, DrillPlan]:
    """Every plan of every pack by id; BrokenPlanError names the first file that is wrong."""
    found: dict[str, DrillPlan] = {}
    for pack in discover(folders):
        for file in sorted((pack / "drills").glob("*.toml")):
            plan = read_plan(file)
            if plan.id in found:
                raise BrokenPlanError(f"{file}: {plan.id} is used twice")
            found[plan.id] = plan
    return found


def read_plan(file: Path) -> DrillPlan:
    """One plan from its file."""
    try:
        return parse_plan(tomllib.loads(file.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise BrokenPlanError(f"{file}: {error}") from error
