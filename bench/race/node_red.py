"""Node-RED: mqtt in (QoS 1) -> http request, as its editor draws it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any, ClassVar

from bench.race.broker import free_port
from bench.race.contestant import CACHE, Contestant, Program

VERSION = "4.1.15"
"""The last release for Node.js 20."""

HOME = CACHE / "node-red"
_SETTINGS = """module.exports = {
  flowFile: "flows.json", uiPort: %d, uiHost: "127.0.0.1", httpAdminRoot: false, credentialSecret: false,
  logging: { console: { level: "info", metrics: false, audit: false } }%s
}
"""
_STORE = ', contextStorage: { default: { module: "localfilesystem" } }'


def node(kind: str, name: str, to: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """One node of the flow."""
    return {"id": name, "type": kind, "z": "race", "name": "", "wires": [list(to)], **fields}


class NodeRed(Contestant):
    """As it is when the broker node is filled in with an address and nothing else."""

    name = "Node-RED"
    setting = "default"
    returns = 18.0
    cannot: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def missing(cls) -> str | None:
        """Set up by ``python -m bench.race.setup``."""
        found = HOME / "node_modules" / "node-red" / "red.js"
        return None if found.exists() and shutil.which("node") else "not set up: npm, node-red"

    @classmethod
    def version(cls) -> str:
        """As installed."""
        package = json.loads((HOME / "node_modules" / "node-red" / "package.json").read_text("utf-8"))
        return f"Node-RED {package['version']}"

    def prepare(self) -> None:
        """Flow and settings."""
        folder = self.arena.folder
        (folder / "settings.js").write_text(_SETTINGS % (free_port(), self._store()), encoding="utf-8")
        (folder / "flows.json").write_text(json.dumps(self._flow()), encoding="utf-8")

    def _store(self) -> str:
        return ""

    def _session(self) -> dict[str, Any]:
        """What the broker node asks for: a clean session under a name of the moment."""
        return {"clientid": "", "cleansession": True}

    def _flow(self) -> list[dict[str, Any]]:
        assert self.arena.broker
        broker = {
            "id": "the-broker",
            "type": "mqtt-broker",
            "name": "",
            "broker": "127.0.0.1",
            "port": str(self.arena.broker.port),
            "autoConnect": True,
            "protocolVersion": "4",
            "keepalive": "60",
            "usetls": False,
            **self._session(),
        }
        post = node("http request", "post", method="POST", ret="txt", url=self.arena.judge.url, persist=True)
        return [
            {"id": "race", "type": "tab", "label": "race"},
            broker,
            post,
            *self._alarms(),
            *self._second_calls(),
            *self._silences(),
        ]

    def _alarms(self) -> list[dict[str, Any]]:
        """Everything comes in by one node; alarms and marks go on, readings end there."""
        rule = [{"t": "neq", "v": "quiet", "vt": "str"}]
        return [
            self._listen("in", "race/+", "chosen"),
            node("switch", "chosen", ("post",), property="payload.kind", rules=rule, outputs=1),
        ]

    def _second_calls(self) -> list[dict[str, Any]]:
        seconds = str(self.arena.terms.escalate_after)
        again = [
            {"t": "set", "p": "payload.id", "pt": "msg", "to": 'payload.device & "#2"', "tot": "jsonata"}
        ]
        return [
            self._listen("in-watched", "race/watched", "wait"),
            node("delay", "wait", ("again",), pauseType="delay", timeout=seconds, timeoutUnits="seconds"),
            node("change", "again", ("post",), rules=again),
        ]

    def _silences(self) -> list[dict[str, Any]]:
        """One trigger node keeps a timer for each device, put off by every beat."""
        wait = str(3 * self.arena.terms.beat)
        quiet = node(
            "trigger",
            "silence",
            ("post",),
            op1type="nul",
            op1="",
            op2type="payl",
            op2="",
            duration=wait,
            units="s",
            extend=True,
            bytopic="topic",
            topic="topic",
            outputs=1,
            reset="",
        )
        return [self._listen("in-beat", "race/beat/+", "silence"), quiet]

    def _listen(self, name: str, topic: str, to: str) -> dict[str, Any]:
        """An mqtt in node at QoS 1."""
        return node(
            "mqtt in", name, (to,), topic=topic, qos="1", datatype="json", broker="the-broker", inputs=0
        )

    def launch(self) -> None:
        """Until the broker has been reached."""
        red = HOME / "node_modules" / "node-red" / "red.js"
        command = [shutil.which("node") or "node", str(red), "--userDir", ".", "--settings", "settings.js"]
        program = Program(command, self.arena.folder)
        self._programs = [program]
        program.wait_for(lambda line: "Connected to broker" in line)


class NodeRedDurable(NodeRed):
    """With what its documentation offers: a persistent session of the broker, and context kept in files."""

    setting = "persistent session, context in files"
    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("latency-1000", "latency-4000", "silence", "escalation", "hook"),
        "the setting has no bearing on it: see the default",
    )

    def _store(self) -> str:
        return _STORE

    def _session(self) -> dict[str, Any]:
        return {"clientid": "node-red-race", "cleansession": False}
