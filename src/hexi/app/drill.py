"""Drills on this platform's side: the ways out are put into drill mode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import msgspec

from hexi.adapters.channels import OpenChannel, build
from hexi.adapters.channels.drill import DrillChannel, DrillReceiver, Opens
from hexi.kernel.clock import Clock
from hexi.kernel.ports import Store
from hexi.kernel.response import Notice
from hexi.protocols.standard_webhooks import read_key
from hexi.settings import ChannelSettings, DrillSettings
from hexi.spine import drill


class Outside(NamedTuple):
    """How the real channels are made, and where a drill's plan is read."""

    told: Mapping[str, ChannelSettings]
    secret_of: Callable[[str], str | None]
    clock: Clock
    store: Store


def divert(channels: dict[str, OpenChannel], outside: Outside, settings: DrillSettings) -> None:
    """From now on notices of drills pass, by setting, to people or to the receiver of this process."""
    down = partial(_is_down, outside.store)
    standing = _Standing(outside) if settings.send == "sink" else None
    for way, channel in list(channels.items()):
        instead = standing.opening(way) if standing else None
        channels[way] = _Owned(DrillChannel(channel, down, instead), standing)


class _Owned:
    """A channel in drill mode that takes the receiver with it when it closes."""

    def __init__(self, channel: DrillChannel, standing: _Standing | None) -> None:
        self.send = channel.send
        self._channel = channel
        self._standing = standing

    async def close(self) -> None:
        await self._channel.close()
        if self._standing:
            await self._standing.close()


class _Standing:
    """The channels that stand for the real ones, made when a drill first needs them."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._receiver = DrillReceiver(outside.clock)
        self._opened: dict[str, OpenChannel] = {}
        self._opening = asyncio.Lock()
        """Many notices come at once, and a way is opened once."""

    def opening(self, way: str) -> Opens:
        return partial(self._open, way)

    async def _open(self, way: str) -> OpenChannel:
        async with self._opening:
            if way not in self._opened:
                self._opened[way] = await self._build(way)
            return self._opened[way]

    async def _build(self, way: str) -> OpenChannel:
        """The same kind of channel with the same key and limits, pointed at the receiver."""
        told, secret = self._outside.told[way], self._outside.secret_of(way)
        if told.use == "webhook" and secret:
            address: str | None = await self._receiver.address(way, read_key(secret))
        elif told.use == "apprise":
            address = (await self._receiver.address(way)).replace("http://", "json://", 1)
        else:
            address = told.url
        return build(msgspec.structs.replace(told, url=address), secret, self._outside.clock)

    async def close(self) -> None:
        opened, self._opened = self._opened, {}
        for channel in opened.values():
            await channel.close()
        await self._receiver.close()


async def _is_down(store: Store, notice: Notice) -> bool:
    return await asyncio.to_thread(_ways_down, store, notice)


def _ways_down(store: Store, notice: Notice) -> bool:
    with store.read() as tx:
        case = tx.cases.get(notice.case_id)
        run = drill.run_of_case(case) if case else None
        state = drill.find(tx, run) if run else None
    return state is not None and notice.way in state.plan.down
