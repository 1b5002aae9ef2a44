"""kill -9 under load: what was acknowledged is there, and nobody is called twice for one thing."""

from __future__ import annotations

from pathlib import Path

import uvloop
from bench.kill import FIRST_CALL_MS, siege

KILLS = 5


def test_killed_again_and_again(tmp_path: Path) -> None:
    figures = uvloop.run(siege(KILLS, tmp_path, seed=5))
    assert figures.kills == KILLS
    assert figures.cries > KILLS
    assert figures.acknowledged > 10 * KILLS
    assert figures.calls >= figures.cries
    assert figures.lost == []
    assert figures.two_keys == []
    assert (figures.undelivered, figures.wrong_rows) == (0, 0)
    assert figures.first_call_ms
    assert max(figures.first_call_ms) <= FIRST_CALL_MS
