"""How the benchmarks print: a figure, its limit, and whether it was kept; the same as JSON lines."""

from __future__ import annotations

import json
import os


def percentile(values: list[float], percent: float) -> float:
    """The nearest-rank percentile of what was measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def show(what: str, value: float, limit: float, unit: str, *, at_least: bool = False) -> bool:
    """One line of a table; with BENCH_JSON also a line of JSON in that file."""
    kept = value >= limit if at_least else value <= limit
    sign = ">=" if at_least else "<="
    print(
        f"{what:<60} {value:>12,.2f} {unit:<4} goal {sign} {limit:>8,.2f}  {'kept' if kept else 'MISSED'}",
        flush=True,
    )
    _keep({"figure": what, "value": value, "unit": unit, "goal": limit, "at_least": at_least, "kept": kept})
    return kept


def beside(what: str, value: float, unit: str) -> None:
    """A number that stands beside a figure and has no goal of its own."""
    print(f"{what:<60} {value:>12,.2f} {unit}", flush=True)
    _keep({"figure": what, "value": value, "unit": unit})


def _keep(line: dict[str, object]) -> None:
    path = os.environ.get("BENCH_JSON")
    if path:
        with open(path, "a", encoding="utf-8") as stream:  # noqa: PTH123 -- appended by several processes
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
