"""Work on the archive is killed at every step and at random; no signal is lost or counted twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.contract.conftest import postgresql_url, shared_url  # noqa: F401 -- the databases

ROOT = Path(__file__).parents[2]
POINTS, KILLS = 32, 12


def test_killed_at_every_step_and_at_random(shared_url: str, tmp_path: Path) -> None:  # noqa: F811
    worker = [sys.executable, "-m", "tests.scenario.archive_worker", shared_url, str(tmp_path / "archive")]
    done = subprocess.run(
        [*worker, str(POINTS), str(KILLS), "7"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told.pop("killed") >= POINTS
    assert told == {"twice": 0, "missing": 0, "unknown": 0, "hot": 1, "drafts": 0, "counted": True}
