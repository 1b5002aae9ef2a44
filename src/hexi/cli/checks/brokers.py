"""What ``hexi doctor`` finds of the links to brokers: by the running platform's word, and by a call."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from hexi.cli.checks.base import Finding, Installation, Patient, error, ok
from hexi.connectors.mqtt.session import say
from hexi.kernel.clock import Instant, format_instant
from hexi.settings import MqttLink, SettingsError
from hexi.spine import uplinks
from hexi.spine.uplinks import Uplink

PATIENCE = 5.0
"""Seconds for a broker to take the call."""


def brokers(patient: Patient, now: Instant) -> Iterator[Finding]:
    """Every link listens, as the running platform says, and its secrets can be read."""
    for name, link in patient.settings.mqtt.items():
        at = f"mqtt.{name}"
        try:
            link.password()
        except SettingsError as fault:
            yield error(f"{at}：{fault}", f"{at}: {fault}")
        with patient.store.read() as tx:
            state = uplinks.read(tx, f"mqtt:{name}")
        if state and state.held(now):
            yield _held(at, state)


def reach(patient: Installation, _: Instant) -> Iterator[Finding]:
    """Every broker is there, and its certificate good."""
    for name, link in patient.settings.mqtt.items():
        yield _called(f"mqtt.{name}", link)


def _held(at: str, state: Uplink) -> Finding:
    since = format_instant(state.since)
    if state.up:
        return ok(f"{at}：已连接，自 {since}", f"{at}: listening since {since}")
    return error(
        f"{at}：自 {since} 中断：{state.why}；期间这条链路上的呼救到不了平台",
        f"{at}: down since {since}: {state.why}; no call for help comes in over it meanwhile",
    )


def _called(at: str, link: MqttLink) -> Finding:
    host, port = link.where
    try:
        with socket.create_connection((host, port), PATIENCE) as wire:
            if link.tls:
                trusted = ssl.create_default_context(cafile=str(link.ca) if link.ca else None)
                trusted.wrap_socket(wire, server_hostname=host).close()
    except OSError as failed:
        why = say(failed)
        return error(f"{at}：{host}:{port} 连不上：{why}", f"{at}: {host}:{port} is out of reach: {why}")
    return ok(f"{at}：{host}:{port} 可以连接", f"{at}: {host}:{port} answers")
