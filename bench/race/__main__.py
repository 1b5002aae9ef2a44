"""``python -m bench.race``: run the races and write results and page."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bench.race import page
from bench.race.contestant import Contestant
from bench.race.field import CONTESTANTS, EXTRA
from bench.race.heats import HEATS, Sizes
from bench.race.run import Race

RESULTS = Path(__file__).parent / "results"
SMOKE = Sizes(
    latencies=10,
    quiet=1_000,
    burst=60,
    rate=100,
    kill_seconds=1.5,
    kills=1,
    broker_seconds=1.5,
    down=1.0,
    after_down=8.0,
    devices=50,
    silent_share=0.04,
    beat=0.5,
    escalations=20,
    escalate_after=1.5,
    idle=3.0,
    limit=20.0,
)
SMOKE_HEATS = ("latency", "quiet", "burst", "escalation-kill")
SMOKE_FIELD = ("hexi-sqlite", "node-red")


def main(argv: Sequence[str] | None = None) -> int:
    """0 when hexi lost nothing; the others may."""
    given = sys.argv[1:] if argv is None else list(argv)
    told = _parser().parse_args(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running
    began = time.monotonic()
    path = told.results or RESULTS / ("smoke.json" if told.smoke else f"{time.strftime('%Y-%m-%d')}.json")
    command = " ".join(["python -m bench.race", *_shown(given)])

    def save(race: Race) -> None:
        _write(path, race.result(command, time.monotonic() - began))

    race = Race(_field(told), _heats(told), _sizes(told), told.seed, _say, save)
    race.run(1 if told.smoke else told.rounds)
    save(race)
    _say(f"written: {path}")
    if told.page:
        page.write(path, told.page)
        _say(f"written: {told.page}")
    ours = [line for line in race.lines if line.contestant.startswith("hexi")]
    return int(any(line.failed or line.figures.get("lost") or line.figures.get("doubled") for line in ours))


def _say(line: str) -> None:
    print(line, flush=True)


def _shown(given: Sequence[str]) -> list[str]:
    """The command without where its results go."""
    places = [n for n, word in enumerate(given) if word in {"--results", "--page"}]
    return [word for n, word in enumerate(given) if n not in places and n - 1 not in places]


def _write(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"day": time.strftime("%Y-%m-%d"), **result}, ensure_ascii=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def _field(told: argparse.Namespace) -> list[type[Contestant]]:
    names = told.contestants or (
        SMOKE_FIELD if told.smoke else [name for name in CONTESTANTS if name not in EXTRA]
    )
    return [CONTESTANTS[name] for name in names]


def _heats(told: argparse.Namespace) -> list[str]:
    wanted = told.heats or (SMOKE_HEATS if told.smoke else HEATS)
    return [name for name in HEATS if name in wanted]


def _sizes(told: argparse.Namespace) -> Sizes:
    given = {item.name: getattr(told, item.name) for item in fields(Sizes)}
    changed = {name: value for name, value in given.items() if value is not None}
    return replace(SMOKE if told.smoke else Sizes(), **changed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench.race", description=__doc__)
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, help="default: all but hexi-http")
    parser.add_argument("--heats", nargs="+", choices=HEATS, help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of the order and of the moments of the kills")
    parser.add_argument("--smoke", action="store_true", help="hexi and, if it is set up, Node-RED; seconds")
    parser.add_argument(
        "--results", type=Path, help=f"default: {RESULTS.name}/<day>.json beside this program"
    )
    parser.add_argument("--page", type=Path, help="write the page from the results")
    for item in fields(Sizes):
        kind = type(item.default)
        parser.add_argument(f"--{item.name.replace('_', '-')}", type=kind, help=f"default: {item.default}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
