"""The district: its records, and the quiet signals that its own devices send, ready to be numbered."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from bench.race.contestant import Arena
from bench.race.hexi import HexiSqlite

from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import open_store
from hexi.kernel.clock import HOUR
from hexi.sim.district import fill, generate
from hexi.sim.traffic import Home, Rates, Traffic, homes_of

MIX = 20_000
"""Signals that are sent again and again under new ids."""

_NOON = 1_780_027_200_000


class Quiet(NamedTuple):
    """A signal without its identity: what stands before and behind it as a CloudEvent, and its device."""

    head: bytes
    tail: bytes
    device: str

    def event(self, identity: str) -> bytes:
        """As it goes into a batch."""
        return self.head + identity.encode() + self.tail


class Hexi(HexiSqlite):
    """The platform of the races in a district of its own."""

    elders = 2_000

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self.homes: list[Home] = []

    def prepare(self) -> None:
        """The callers and the simulated elders with their devices."""
        super().prepare()
        records = list(generate(1, self.elders))
        self.homes = homes_of(records)
        store = open_store(f"sqlite:///{self.database}", load_packs().catalogue().record_kinds)
        fill(store, records)
        store.close()

    @property
    def database(self) -> Path:
        """The store's file."""
        return self.arena.folder / "var" / "hexi.sqlite"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def pid(self) -> int:
        """Its process."""
        return self._programs[0].pid

    def hubs(self) -> list[str]:
        """The devices that report a power cut in the community with most of them."""
        by_community: dict[str, list[str]] = {}
        for home in self.homes:
            if "hub" in home.devices:
                by_community.setdefault(home.community, []).append(home.devices["hub"][0])
        return max(by_community.values(), key=len, default=[])


def quiet_mix(homes: list[Home], source: str) -> list[Quiet]:
    """What devices say on an ordinary noon, without anything that calls somebody."""
    rates = Rates(trouble=0.0, odd=0.0)
    stream = Traffic(homes, rates=rates).stream(_NOON, _NOON + 24 * HOUR)
    found = []
    for _, signal in islice(stream, MIX):
        about = {"source": source, "type": signal.kind, "subject": signal.subject, "data": signal.data}
        tail = b'","specversion":"1.0",' + json.dumps(about, ensure_ascii=False).encode()[1:]
        found.append(Quiet(b'{"id":"', tail, (signal.subject or "").removeprefix("device:")))
    return found
