"""``hexi mqtt``: the links to brokers, and what a message on one of them would mean."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import msgspec
import typer

from hexi.cli import common
from hexi.connectors.mqtt.link import roles_of
from hexi.connectors.mqtt.mapping import Arrival, Mapper
from hexi.connectors.mqtt.paths import UnreadableError
from hexi.kernel.clock import format_instant
from hexi.kernel.signal import Signal
from hexi.protocols.mqtt import Publish
from hexi.settings import MqttLink, Settings
from hexi.settings.shape import did_you_mean

mqtt = typer.Typer(no_args_is_help=True, help="Links to MQTT brokers, and what their messages mean.")


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(mqtt, name="mqtt")


@mqtt.command("list")
def list_links(as_json: common.AsJson = False) -> None:
    """List the links of the settings and what each listens to."""
    links = [_summary(name, link) for name, link in common.settings().mqtt.items()]
    if as_json:
        common.print_json(links)
        return
    for link in links:
        _print(f"{link['link']}  {link['broker']}  MQTT {link['version']}  {', '.join(link['client_ids'])}")
        for topic in link["topics"]:
            _print(f"    {topic['template']}  {topic['means']}")
    if not links:
        common.say("设置里没有 MQTT 链路", "there are no MQTT links in the settings")


@mqtt.command("try")
def try_message(
    link: Annotated[str, typer.Argument(help="Name of the link in the settings.")],
    topic: Annotated[str, typer.Argument(help="Topic of the message.")],
    payload: Annotated[str, typer.Argument(help="Payload of the message; - reads standard input.")],
    retained: Annotated[bool, typer.Option("--retained", help="As the broker keeps it.")] = False,
) -> None:
    """Show the signals that a message would become, or why it would go to quarantine. Takes nothing."""
    mapper = _mapper(common.settings(), link)
    raw = sys.stdin.buffer.read() if payload == "-" else payload.encode()
    message = Publish(topic, raw, qos=1, packet=1, retain=retained, size=len(raw))
    try:
        signals = mapper.read(message, Arrival(common.now(), "try"))
    except UnreadableError as error:
        why = error.reason
        raise common.Fault(f"会进隔离区：{why.zh}", f"to quarantine: {why.en}", common.FAILED) from error
    common.print_json([_shown(signal) for signal in signals])


def _mapper(settings: Settings, name: str) -> Mapper:
    link = settings.mqtt.get(name)
    if link is None:
        hint = did_you_mean(name, settings.mqtt)
        raise common.Fault(f"没有叫 {name} 的链路{hint}", f"there is no link {name}{hint}")
    return Mapper(name, link)


def _summary(name: str, link: MqttLink) -> dict[str, Any]:
    host, port = link.where
    return {
        "link": name,
        "broker": f"{'mqtts' if link.tls else 'mqtt'}://{host}:{port}",
        "version": link.version,
        "client_ids": [role.client_id for role in roles_of(name, link, Mapper(name, link))],
        "topics": [
            {
                "template": t.template,
                "means": t.kind or ("status" if t.status else t.format),
                "urgent": t.urgent,
            }
            for t in link.topics
        ],
    }


def _shown(signal: Signal) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(signal)
    del shown["received"]
    if signal.time is not None:
        shown["time"] = format_instant(signal.time)
    return shown


def _print(line: str) -> None:
    common.out.print(line, markup=False, highlight=False, soft_wrap=True)
