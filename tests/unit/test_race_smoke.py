"""The races run to their end on little work, and their page is what their results say; no time is judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.race import page
from bench.race.broker import program
from bench.race.doors import PostDoor, body_of
from bench.race.heats import judged, medians
from bench.race.judge import Arrival, Judge
from bench.race.mqtt import numbered, publish_packet

from hexi.protocols import mqtt

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / "bench" / "race" / "results").glob("20*.json"))


def test_smoke(tmp_path: Path) -> None:
    if program() is None:
        pytest.skip("mosquitto is not installed")
    results, written = tmp_path / "smoke.json", tmp_path / "races.md"
    done = subprocess.run(
        [sys.executable, "-m", "bench.race", "--smoke", "--results", str(results), "--page", str(written)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    found = json.loads(results.read_text("utf-8"))
    ours = {line["heat"]: line["figures"] for line in found["lines"] if line["contestant"].startswith("hexi")}
    assert set(ours) == {"latency", "quiet", "burst", "escalation-kill"}
    assert all(figures["lost"] == 0 for figures in ours.values())
    assert ours["burst"]["taken"] == found["sizes"]["burst"]
    assert "hexi on SQLite" in written.read_text("utf-8")


@pytest.mark.skipif(not RESULTS, reason="no race has been run yet")
def test_the_page_is_made_of_the_newest_results() -> None:
    newest: dict[str, Any] = json.loads(RESULTS[-1].read_text("utf-8"))
    assert (ROOT / "docs" / "reference" / "races.md").read_text("utf-8") == page.render(
        newest, page.newest_soak()
    )


def test_what_is_lost_and_what_is_doubled() -> None:
    door = PostDoor(1, lambda *_: ("", b"", {}))
    door.taken = dict.fromkeys("abcd", 1.0)
    arrivals = {
        "a": [Arrival("a", 2.0, "k1")],
        "b": [Arrival("b", 2.0, "k2"), Arrival("b", 3.0, "k2")],
        "c": [Arrival("c", 2.0, ""), Arrival("c", 3.0, "")],
    }
    assert judged(door, "abcde", arrivals) == {
        "sent": 5,
        "taken": 4,
        "lost": 1,
        "doubled": 1,
        "doubled, same key": 1,
    }


def test_medians_keep_their_range() -> None:
    assert medians([{"x": 3.0}, {"x": 1.0}, {"x": 2.0, "y": 5.0}]) == {
        "x": {"median": 2.0, "low": 1.0, "high": 3.0},
        "y": {"median": 5.0, "low": 5.0, "high": 5.0},
    }


def test_the_sender_speaks_mqtt() -> None:
    body = body_of("RACE-000001", "alarm", 7)
    packet = numbered(publish_packet("race/alarm", body), 513, again=True)
    (read,) = mqtt.Reader(mqtt.Version.V311).feed(packet)
    assert isinstance(read, mqtt.Publish)
    assert (read.topic, read.payload, read.qos, read.packet, read.dup) == ("race/alarm", body, 1, 513, True)


def test_the_judge_can_be_shut_and_opened_again() -> None:
    judge = Judge()
    try:
        door = PostDoor(judge.port, lambda _, ids: ("/in", ids[0].encode(), {"idempotency-key": "k"}))
        judge.shut()
        assert door._post(("/in", b"", {})) is False
        judge.open()
        door.offer("alarm", ["RACE-000001"])
        (arrival,) = judge.wait(["RACE-000001"], 10, 10)["RACE-000001"]
        assert (arrival.id, arrival.key) == ("RACE-000001", "k")
        door.close()
    finally:
        judge.close()
