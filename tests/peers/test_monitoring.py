"""The files for Prometheus, Alertmanager and Grafana: they speak of what there is, and they work."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from tests.peers.bundling import free_port, wait_for

from hexi.adapters.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "hexi.json").read_text())
PATIENCE = 90


def names():
    """Every series of ours that a page of metrics can have, with the suffixes of its kind."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    for family in Metrics().registry.collect():
        if family.name.startswith("hexi_"):
            yield from (family.name + suffix for suffix in suffixes.get(family.type, ("",)))


def expressions():
    yield from ((rule["alert"], rule["expr"]) for rule in RULES)
    for panel in DASHBOARD["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()))


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_an_expression_asks_for_what_there_is(where, expression):
    used = set(re.findall(r"\bhexi_\w+", expression))
    assert used <= set(names())
    assert used or re.search(r"\bup\{|\bvector\(|process_\w+", expression)


def test_the_dashboard_is_whole():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert all(panel["targets"] for panel in DASHBOARD["panels"] if panel["type"] != "row")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_in_both_languages_and_where_to_read_on(rule):
    told = rule["annotations"]
    assert set(told) == {"summary", "summary_zh", "runbook"}
    assert re.search("[一-鿿]", told["summary_zh"])
    assert (ROOT / told["runbook"]).is_file()
    assert rule["labels"]["severity"] in {"page", "ticket", "deadman"}


def run_tool(name, *words):
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_configuration_and_rules():
    run_tool("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml")


def test_the_rules_fire_when_they_should_and_only_then():
    run_tool("promtool", "test", "rules", DEPLOY / "prometheus" / "rules_test.yml")


def test_amtool_accepts_the_configuration():
    run_tool("amtool", "check-config", DEPLOY / "alertmanager" / "alertmanager.yml")


@pytest.fixture
def hexi(tmp_path):
    """A running platform."""
    port = free_port()
    told = {"HEXI_DATA_DIR": str(tmp_path / "data"), "HEXI_LISTEN__PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "hexi", "serve"], cwd=tmp_path, env=os.environ | told,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    process.address = f"127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"http://{process.address}/readyz"), process, PATIENCE)
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(PATIENCE)


def answers(url):
    try:
        return httpx.get(url, trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


class Prometheus:
    """A real one with the configuration of ``deploy``, in a hurry."""

    def __init__(self, program, folder, target):
        config = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
        config = re.sub(r"interval: 5s", "interval: 500ms", config).replace("127.0.0.1:8700", target)
        (folder / "prometheus.yml").write_text(config.replace("timeout: 4s", "timeout: 500ms"))
        rules = (DEPLOY / "prometheus" / "rules.yml").read_text()
        (folder / "rules.yml").write_text(re.sub(r"for: \w+", "for: 1s", rules))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/api/v1"
        told = (f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}")
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            [program, *told, f"--web.listen-address=127.0.0.1:{port}"], stdout=quiet, stderr=quiet
        )

    def value(self, query):
        """The present value of a query; None while there is none."""
        told = self._ask("query", query=query)
        found = told["result"] if told else []
        return float(found[0]["value"][1]) if found else None

    def firing(self):
        """The names of the alerts that fire now."""
        told = self._ask("alerts")
        alerts = told["alerts"] if told else []
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def _ask(self, what, **query):
        """What its API says; None while it is not ready."""
        try:
            answer = httpx.get(f"{self.url}/{what}", params=query, trust_env=False, timeout=5)
        except httpx.TransportError:
            return None
        return answer.json()["data"] if answer.status_code == 200 else None


@pytest.fixture
def prometheus(hexi, tmp_path):
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    peer = Prometheus(program, tmp_path, hexi.address)
    try:
        yield peer
    finally:
        peer.process.terminate()
        peer.process.wait(PATIENCE)


@pytest.mark.slow
def test_a_real_prometheus_sees_the_platform_and_cries_when_it_hangs(hexi, prometheus):
    wait_for(lambda: prometheus.value('up{job="hexi"}') == 1, prometheus.process, PATIENCE)
    wait_for(lambda: prometheus.value("hexi_well") == 1, prometheus.process, PATIENCE)
    assert prometheus.value("hexi_tick_age_seconds") < 10
    wait_for(lambda: "HexiDeadMan" in prometheus.firing(), prometheus.process, PATIENCE)
    assert "HexiDown" not in prometheus.firing()
    hexi.send_signal(signal.SIGSTOP)
    wait_for(lambda: "HexiDown" in prometheus.firing(), prometheus.process, PATIENCE)
