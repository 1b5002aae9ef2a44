"""Home Assistant: an MQTT trigger -> rest_command, in the default mode and with the mode raised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from bench.race.broker import free_port, wait_for_port
from bench.race.contestant import CACHE, Contestant, Program
from bench.race.hexi import device

VERSION = "2024.3.3"
"""The last release for Python 3.11."""

HOME = CACHE / "home-assistant"
_CONFIGURATION = """\
homeassistant:
  {{ name: race, latitude: 39.1, longitude: 117.2, elevation: 0, unit_system: metric, time_zone: UTC }}
http: {{ server_host: 127.0.0.1, server_port: {port} }}
logger: {{ default: warning, logs: {{ homeassistant.bootstrap: info }} }}
rest_command:
  judge: {{ url: "{url}", method: post, content_type: application/json, payload: "{{{{ body }}}}" }}
automation: !include automations.json
mqtt: !include mqtt.json
"""
_GONE = (
    "{{ trigger.event.data.old_state is not none and trigger.event.data.new_state is not none"
    " and trigger.event.data.old_state.state == 'on'"
    " and trigger.event.data.new_state.state == 'unavailable' }}"
)


class HomeAssistant(Contestant):
    """Automations as the editor makes them: ``mode: single``."""

    name = "Home Assistant"
    setting = "default (mode: single)"
    returns = 12.0
    cannot: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("latency-1000", "latency-4000", "quiet", "silence", "escalation-kill", "hook"),
        "the mode has no bearing on it: see the raised one",
    )
    mode: ClassVar[Mapping[str, object]] = {"mode": "single"}
    _port = 0

    @classmethod
    def missing(cls) -> str | None:
        """Set up by ``python -m bench.race.setup``."""
        return None if (HOME / "venv" / "bin" / "hass").exists() else "not set up: pip, homeassistant"

    @classmethod
    def version(cls) -> str:
        """As pinned."""
        return f"Home Assistant {VERSION}"

    def prepare(self) -> None:
        """Configuration, automations, and the broker as a config entry."""
        folder = self.arena.folder
        self._port = free_port()
        text = _CONFIGURATION.format(port=self._port, url=self.arena.judge.url)
        (folder / "configuration.yaml").write_text(text, encoding="utf-8")
        (folder / "automations.json").write_text(json.dumps(self._automations()), encoding="utf-8")
        (folder / "mqtt.json").write_text(json.dumps(self._entities()), encoding="utf-8")
        (folder / ".storage").mkdir()
        (folder / ".storage" / "core.config_entries").write_text(self._entries(), encoding="utf-8")

    def _automations(self) -> list[dict[str, object]]:
        topics = ("alarm", "mark", "watched")
        call = {"service": "rest_command.judge", "data": {"body": "{{ trigger.payload }}"}}
        body = '{"id":"{{ trigger.payload_json.device }}#2"}'
        again = {"service": "rest_command.judge", "data": {"body": body}}
        gone = {"service": "rest_command.judge", "data": {"body": "{{ trigger.event.data.new_state.name }}"}}
        wait = {"delay": {"seconds": self.arena.terms.escalate_after}}
        changed = {"platform": "event", "event_type": "state_changed"}
        return [
            self._automation("call", [_on(topic) for topic in topics], [call]),
            self._automation("again", [_on("watched")], [wait, again]),
            {
                **self._automation("gone", [changed], [gone]),
                "condition": [{"condition": "template", "value_template": _GONE}],
            },
        ]

    def _automation(self, name: str, triggers: list[object], actions: list[object]) -> dict[str, object]:
        return {"id": name, "alias": name, **self.mode, "trigger": triggers, "action": actions}

    def _entities(self) -> dict[str, object]:
        """A sensor that hears every reading, and one that expires for each device that beats."""
        reading = {"name": "reading", "unique_id": "reading", "state_topic": "race/quiet", "qos": 1}
        beats = [
            {
                "name": device(number),
                "unique_id": device(number),
                "state_topic": f"race/beat/{device(number)}",
                "qos": 1,
                "value_template": "ON",
                "expire_after": max(1, round(3 * self.arena.terms.beat)),
            }
            for number in range(self.arena.terms.devices)
        ]
        return {
            "sensor": [{**reading, "value_template": "{{ value_json.battery }}"}],
            **({"binary_sensor": beats} if beats else {}),
        }

    def _entries(self) -> str:
        assert self.arena.broker
        entry = {
            "entry_id": "race",
            "version": 1,
            "minor_version": 1,
            "domain": "mqtt",
            "title": "race",
            "data": {"broker": "127.0.0.1", "port": self.arena.broker.port, "discovery": False},
            "options": {},
            "pref_disable_new_entities": False,
            "pref_disable_polling": False,
            "source": "user",
            "unique_id": None,
            "disabled_by": None,
        }
        return json.dumps(
            {"version": 1, "minor_version": 1, "key": "core.config_entries", "data": {"entries": [entry]}}
        )

    def launch(self) -> None:
        """Until it says that it has started."""
        hass = str(HOME / "venv" / "bin" / "hass")
        program = Program([hass, "--config", ".", "--skip-pip", "--verbose"], self.arena.folder)
        self._programs = [program]
        program.wait_for(lambda line: "Home Assistant initialized" in line, 120)
        wait_for_port(self._port)


def _on(topic: str) -> dict[str, object]:
    return {"platform": "mqtt", "topic": f"race/{topic}", "qos": 1}


class HomeAssistantRaised(HomeAssistant):
    """With the mode its documentation offers for triggers that come together, and the limit raised."""

    setting = "mode: parallel, max: 10000"
    cannot: ClassVar[Mapping[str, str]] = {}
    mode: ClassVar[Mapping[str, object]] = {"mode": "parallel", "max": 10_000}
