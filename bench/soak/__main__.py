"""``python -m bench.soak``: an hour of a simulated district with faults; 1 when it did not stay flat."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.race import machine
from bench.soak.run import Plan, Soak, soaking
from bench.soak.verdict import Verdict

RESULTS = Path(__file__).parent / "results"
BYTES_A_SIGNAL = 700
"""What a signal and its place in the index take on the disk, write-ahead log included, with some to spare."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every verdict is good or could not be told in so short a time."""
    told = _parser().parse_args(argv)
    every = told.every or min(60.0, told.minutes * 3)
    plan = Plan(told.minutes, told.rate, told.alarms, every, min(60.0, told.minutes * 3), told.seed)
    _refuse_small_disk(plan, told.work)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running
    began = time.monotonic()
    with soaking(plan, told.work, _say) as soak:
        verdicts = soak.run()
        result = _result(plan, soak, verdicts, time.monotonic() - began)
    for one in verdicts:
        print(f"{_mark(one):<9} {one.question}: {one.answer}")
    path = told.results or RESULTS / f"{result['day']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written: {path}")
    return int(any(one.good is False for one in verdicts))


def _result(plan: Plan, soak: Soak, verdicts: Sequence[Verdict], seconds: float) -> dict[str, Any]:
    return {
        "day": time.strftime("%Y-%m-%d"),
        "machine": machine.describe(),
        "plan": asdict(plan),
        "seconds": round(seconds),
        "faults": soak.faults,
        "verdicts": [one._asdict() for one in verdicts],
        "samples": soak.samples,
    }


def _refuse_small_disk(plan: Plan, work: Path | None) -> None:
    needed = plan.rate * plan.seconds * BYTES_A_SIGNAL
    free = shutil.disk_usage(work or tempfile.gettempdir()).free
    if free < needed:
        raise SystemExit(
            f"{needed / 1e9:.0f} GB are needed, {free / 1e9:.0f} are free; choose another --work"
        )


def _mark(one: Verdict) -> str:
    return {True: "good", False: "BAD", None: "too short"}[one.good]


def _say(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=4_000.0, help="quiet signals a second")
    parser.add_argument("--alarms", type=float, default=0.5, help="calls for help a second")
    parser.add_argument("--every", type=float, help="seconds between samples; default 60")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder with room for the store")
    parser.add_argument("--results", type=Path, help="default: results/<day>.json beside this program")
    return parser


if __name__ == "__main__":
    sys.exit(main())
