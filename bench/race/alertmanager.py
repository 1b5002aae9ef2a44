"""Alertmanager: the half that tells people. Alerts go in over its API, a webhook receiver gets them."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Mapping
from typing import ClassVar

from bench.race.broker import free_port, wait_for_port
from bench.race.contestant import Contestant, Program, output
from bench.race.doors import FarDoor, PostDoor, alerts

_CONFIGURATION = """\
route:
  receiver: judge
  group_by: {group_by}
{times}receivers:
- name: judge
  webhook_configs:
  - {{ url: "{url}", send_resolved: false }}
"""
_NO_SCENE = "it groups and tells; it knows no {}"


def _open(port: int) -> PostDoor:
    return PostDoor(port, alerts())


class Alertmanager(Contestant):
    """Its documented defaults: grouped by the alert's name, the first call after 30 s, news every 5 min."""

    name = "Alertmanager, the telling half"
    setting = "default (group_wait 30s)"
    speaks_mqtt = False
    cannot: ClassVar[Mapping[str, str]] = {
        "latency": "by default a group waits 30 s before its first call and 5 min before the next",
        "latency-1000": "as idle",
        "latency-4000": "as idle",
        "quiet": _NO_SCENE.format("readings"),
        "silence": _NO_SCENE.format("devices"),
        "escalation": _NO_SCENE.format("acknowledgement"),
        "escalation-kill": _NO_SCENE.format("acknowledgement"),
        "kill": "by default what comes after a group's first call waits 5 min for the next",
        "broker": "takes its alerts over HTTP",
        "hook": "by default what comes after a group's first call waits 5 min for the next",
    }
    group_by: ClassVar[str] = '["alertname"]'
    times: ClassVar[str] = ""
    patience: ClassVar[float] = 34.0
    _port = 0

    @classmethod
    def missing(cls) -> str | None:
        """Set up by ``python -m bench.race.setup``."""
        return None if shutil.which("prometheus-alertmanager") else "not set up: apt, prometheus-alertmanager"

    @classmethod
    def version(cls) -> str:
        """As it says."""
        return " ".join(output("prometheus-alertmanager", "--version").split()[:3])

    def prepare(self) -> None:
        """Its configuration."""
        self._port = free_port()
        text = _CONFIGURATION.format(group_by=self.group_by, times=self.times, url=self.arena.judge.url)
        (self.arena.folder / "alertmanager.yml").write_text(text, encoding="utf-8")

    def launch(self) -> None:
        """Without a cluster."""
        listen = f"--web.listen-address=127.0.0.1:{self._port}"
        command = ["prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=data"]
        program = Program([*command, listen, "--cluster.listen-address="], self.arena.folder)
        self._programs = [program]
        wait_for_port(self._port)

    def far_door(self, name: str = "gateway") -> FarDoor:  # noqa: ARG002
        """Its API."""
        return functools.partial(_open, self._port)


class AlertmanagerQuick(Alertmanager):
    """Each alert a group of its own, told at once, as documented for alerts that must not wait."""

    setting = 'group_by ["..."], group_wait 0s'
    cannot: ClassVar[Mapping[str, str]] = {
        heat: why for heat, why in Alertmanager.cannot.items() if heat not in {"latency", "kill", "hook"}
    } | {"latency-1000": _NO_SCENE.format("readings"), "latency-4000": _NO_SCENE.format("readings")}
    group_by: ClassVar[str] = '["..."]'
    patience: ClassVar[float] = 6.0
    times: ClassVar[str] = "  group_wait: 0s\n  group_interval: 5s\n"
