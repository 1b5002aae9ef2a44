"""Every benchmark runs to its end on little work and prints its figures; no time is judged here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench._broker import find

ROOT = Path(__file__).parents[2]
SMOKE = {
    "ingest": "the whole spine beside bare sqlite3, 100 rows a commit",
    "intake": "HTTP, batches of 500, best",
    "alarm": "delivered, each exactly once",
    "deadlines": "lateness of 200 near ones, p99",
    "day": "a simulated day of 50,000 signals",
    "archive": "a day's indicator over 1,000 residents",
    "mqtt": "hexi beside the bare paho loop",
    "start": "a change on 20 open screens",
    "migrate_store": "last part, for each million rows",
}


def test_each_benchmark_has_its_smoke() -> None:
    heavy = {"notify", "kill", "kill_mqtt", "roles"}
    assert {file.stem for file in (ROOT / "bench").glob("[a-z]*.py")} == SMOKE.keys() | heavy


@pytest.mark.parametrize("name", SMOKE)
def test_a_benchmark_prints_its_figures(name: str, tmp_path: Path) -> None:
    if name == "mqtt" and find() is None:
        pytest.skip("mosquitto is not installed")
    lines = tmp_path / "figures.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", "--smoke"],
        cwd=ROOT,
        env={**os.environ, "BENCH_JSON": str(lines), "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert SMOKE[name] in done.stdout
    assert "goal" in done.stdout
    assert len(lines.read_text("utf-8").splitlines()) >= 1
