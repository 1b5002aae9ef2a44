"""``hexi quarantine``: what could not be decoded, and taking it after all."""

from __future__ import annotations

import random
import sys
from typing import Annotated

import msgspec
import typer

from hexi.adapters.geo import read_index
from hexi.cli import common
from hexi.connectors.http import decode_quarantined
from hexi.connectors.mqtt.mapping import QUARANTINED, Mapper, parse_kept
from hexi.connectors.mqtt.paths import UnreadableError
from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import Instant, format_instant
from hexi.kernel.ports import Quarantined, Store
from hexi.kernel.signal import Signal
from hexi.kernel.text import Text
from hexi.protocols.cloudevents import (
    Malformed,
    TooManyEventsError,
    UndecodableError,
    UnsupportedTypeError,
)
from hexi.settings import Settings
from hexi.spine.spine import Spine

quarantine = typer.Typer(no_args_is_help=True, help="Messages that could not be decoded.")

Number = Annotated[int, typer.Argument(help="Its number in the list.")]


class _MachineClock:
    """The machine's clock, for work that takes one moment."""

    def now(self) -> Instant:
        """The present."""
        return common.now()


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(quarantine, name="quarantine")


@quarantine.command("list")
def list_quarantined(
    limit: Annotated[int, typer.Option(min=1, help="How many, the latest first.")] = 50,
    as_json: common.AsJson = False,
) -> None:
    """List what is in quarantine, with the reason."""
    with common.installation() as (_, _catalogue, store), store.read() as tx:
        items = tx.quarantine.find(limit)
    if as_json:
        common.print_json([_summary(item) for item in items])
        return
    for item in items:
        done = common.words(Text(zh="（已重放）", en="(replayed)")) if item.replayed_at else ""
        line = f"{item.id}  {format_instant(item.received)}  {item.link}  {item.reason} {done}"
        common.out.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)
    if not items:
        common.say("隔离区是空的", "the quarantine is empty")


@quarantine.command("show")
def show_quarantined(
    number: Number, raw: Annotated[bool, typer.Option("--raw", help="Only its bytes, as they came.")] = False
) -> None:
    """Show one message whole."""
    with common.installation() as (_, _catalogue, store):
        item = _get(store, number)
    if raw:
        sys.stdout.buffer.write(item.raw)
        return
    common.print_json(_summary(item) | {"raw": item.raw.decode("utf-8", "backslashreplace")})


@quarantine.command("replay")
def replay_quarantined(
    number: Number,
    file: Annotated[
        typer.FileBinaryRead | None,
        typer.Option(help="Take these bytes in its place: the corrected message."),
    ] = None,
) -> None:
    """Decode a message again, as it came or corrected, and take it as a signal."""
    with common.installation() as (settings, catalogue, store):
        item = _get(store, number)
        corrected = file.read() if file else None
        signals = _decode_mqtt(settings, item, corrected) if _is_mqtt(item) else _decode(item, corrected)
        _take(store, catalogue, signals)
        with store.write() as tx:
            tx.quarantine.mark_replayed(number, common.now())


def _get(store: Store, number: int) -> Quarantined:
    with store.read() as tx:
        item = tx.quarantine.get(number)
    if item is None:
        raise common.Fault(f"隔离区没有 {number} 号", f"there is no number {number} in quarantine")
    return item


def _summary(item: Quarantined) -> dict[str, object]:
    return {
        "id": item.id,
        "received": format_instant(item.received),
        "link": item.link,
        "content_type": item.content_type,
        "reason": item.reason,
        "bytes": len(item.raw),
        "replayed_at": format_instant(item.replayed_at) if item.replayed_at else None,
    }


def _is_mqtt(item: Quarantined) -> bool:
    return item.content_type == QUARANTINED


def _decode_mqtt(settings: Settings, item: Quarantined, corrected: bytes | None) -> list[Signal]:
    """Under the topic it came on, by the settings of its link as they are now."""
    name = item.link.removeprefix("mqtt:")
    link = settings.mqtt.get(name)
    if link is None:
        raise common.Fault(f"设置里已没有链路 {name}", f"the settings have no link {name} any more")
    message, arrival = parse_kept(item.raw, corrected)
    try:
        return Mapper(name, link).read(message, arrival._replace(received=common.now()))
    except UnreadableError as error:
        raise _still_bad(error.reason) from error


def _decode(item: Quarantined, corrected: bytes | None) -> list[Signal]:
    if corrected is not None:
        item = msgspec.structs.replace(item, raw=corrected)
    try:
        items = decode_quarantined(item, common.now())
    except UndecodableError as error:
        raise _still_bad(error.reason) from error
    except (TooManyEventsError, UnsupportedTypeError) as error:
        raise _still_bad(Text(zh=str(error) or "格式不明", en=str(error) or "unknown form")) from error
    bad = next((i for i in items if isinstance(i, Malformed)), None)
    if bad:
        raise _still_bad(bad.reason)
    return [i for i in items if isinstance(i, Signal)]


def _still_bad(reason: Text) -> common.Fault:
    return common.Fault(f"仍无法读取：{reason.zh}", f"it still cannot be read: {reason.en}", common.FAILED)


def _take(store: Store, catalogue: Catalogue, signals: list[Signal]) -> None:
    """Take them in this process; a running platform sends the notices from the outbox."""
    with store.read() as tx:
        places = read_index(tx)
    spine = Spine(store, _MachineClock(), catalogue, places, random.SystemRandom())
    for taken in spine.take(signals).taken:
        case = taken.case_id or "-"
        common.say(f"{taken.id}：{taken.fate}，案件 {case}", f"{taken.id}: {taken.fate}, case {case}")
