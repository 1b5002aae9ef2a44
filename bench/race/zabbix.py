"""Zabbix: trapper item -> trigger -> action -> media webhook, set up over its own API."""

from __future__ import annotations

import functools
import gzip
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from bench.race.broker import HOST, free_port, wait_for_port
from bench.race.contestant import CACHE, Contestant, Program, output
from bench.race.doors import FarDoor
from bench.race.postgres import database, parts_of, run_in

FRONT = CACHE / "zabbix" / "front" / "usr" / "share" / "zabbix"
"""The pages of its front end, whose API sets it up; from Debian's package, unpacked and not installed."""

SCHEMA = Path("/usr/share/zabbix-server-pgsql")
_HEADER = b"ZBXD\x01"
_SERVER = """\
DBHost={host}
DBName={name}
DBUser={user}
DBPort={port}
ListenIP=127.0.0.1
ListenPort={listen}
LogFile=zabbix.log
PidFile={folder}/zabbix.pid
SocketDir={folder}
AllowUnsupportedDBVersions=1
AllowRoot=1
{more}
"""
_FRONT = """<?php
$DB['TYPE'] = 'POSTGRESQL'; $DB['SERVER'] = '{host}'; $DB['PORT'] = '{port}'; $DB['DATABASE'] = '{name}';
$DB['USER'] = '{user}'; $DB['PASSWORD'] = ''; $DB['SCHEMA'] = ''; $DB['ENCRYPTION'] = false;
$DB['DOUBLE_IEEE754'] = true; $ZBX_SERVER = ''; $ZBX_SERVER_PORT = ''; $ZBX_SERVER_NAME = 'race';
$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
"""
_SCRIPT = (
    "var p = JSON.parse(value), r = new HttpRequest(); r.addHeader('Content-Type: application/json');"
    " r.post(p.url, p.message); if (r.getStatus() != 200) throw 'HTTP ' + r.getStatus(); return 'OK';"
)


class TrapperDoor:
    """The protocol of zabbix_sender: values in one request, answered once they are in the server's memory."""

    def __init__(self, port: int) -> None:
        self.sent: dict[str, float] = {}
        self.taken: dict[str, float] = {}
        self._port = port

    def offer(self, kind: str, ids: Sequence[str]) -> None:
        """As many as zabbix_sender puts into one request."""
        for start in range(0, len(ids), 250):
            part = ids[start : start + 250]
            now = time.monotonic()
            self.sent |= {name: self.sent.get(name, now) for name in part}
            if self._insist(kind, part):
                self.taken |= dict.fromkeys(part, time.monotonic())

    def pour(self, kind: str, ids: Sequence[str]) -> None:
        """Values of which only the number counts."""
        for start in range(0, len(ids), 250):
            self._insist(kind, ids[start : start + 250])

    def settle(self, limit: float) -> bool:  # noqa: ARG002
        """Everything was waited for as it was sent."""
        return len(self.taken) == len(self.sent)

    def close(self) -> None:
        """Nothing is held."""

    def _insist(self, kind: str, ids: Sequence[str]) -> bool:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if self._send(kind, ids):
                    return True
            except OSError:
                pass
            time.sleep(0.1)
        return False

    def _send(self, kind: str, ids: Sequence[str]) -> bool:
        values = [{"host": "race", "key": kind, "value": name} for name in ids]
        body = json.dumps({"request": "sender data", "data": values}).encode()
        with socket.create_connection((HOST, self._port), 10) as connection:
            connection.sendall(_HEADER + len(body).to_bytes(8, "little") + body)
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
        return b"failed: 0" in answer


class Zabbix(Contestant):
    """Its defaults; what it keeps is in its database, what it has just received is in its memory."""

    name = "Zabbix"
    setting = "default"
    speaks_mqtt = False
    returns = 30.0
    patience = 12.0
    cannot: ClassVar[Mapping[str, str]] = {
        "latency-1000": "takes its values over its own protocol; only idle is measured",
        "latency-4000": "as beside 1,000/s",
        "kill": "did not come back within 30 s of a kill in our trials; the cause was not found",
        "broker": "takes its values over its own protocol",
        "silence": "nodata() wants an item and a trigger for each device: not set up here",
        "escalation": "a step of its escalations lasts 60 s at least",
        "escalation-kill": "a step of its escalations lasts 60 s at least",
    }
    more: ClassVar[str] = ""
    _listen = 0

    @classmethod
    def missing(cls) -> str | None:
        """Set up by ``python -m bench.race.setup``."""
        found = shutil.which("zabbix_server", path=os.environ["PATH"] + ":/usr/sbin")
        there = found and shutil.which("php") and (FRONT / "api_jsonrpc.php").exists()
        return None if there else "not set up: apt, zabbix-server-pgsql, zabbix-frontend-php, php"

    @classmethod
    def version(cls) -> str:
        """As it says, with its database."""
        return (
            " ".join(output("/usr/sbin/zabbix_server", "--version").split()[:3]) + ", PostgreSQL of the wheel"
        )

    def prepare(self) -> None:
        """A database with its schema and one host; the webhook's address changes with each judge."""
        url = database("zabbix", _fill)
        address = self.arena.judge.url
        run_in(url, f"UPDATE media_type_param SET value = '{address}' WHERE name = 'url'")
        self._listen = _low_port()
        text = _SERVER.format(**parts_of(url), listen=self._listen, folder=self.arena.folder, more=self.more)
        (self.arena.folder / "zabbix.conf").write_text(text, encoding="utf-8")

    def launch(self) -> None:
        """Until it listens and has read its configuration."""
        log = self.arena.folder / "zabbix.log"
        seen = log.stat().st_size if log.exists() else 0
        command = ["/usr/sbin/zabbix_server", "--foreground", "-c", str(self.arena.folder / "zabbix.conf")]
        program = Program(command, self.arena.folder)
        self._programs = [program]
        wait_for_port(self._listen)
        until = time.monotonic() + 30
        while time.monotonic() < until and b"[trapper #1]" not in log.read_bytes()[seen:]:
            time.sleep(0.05)

    def far_door(self, name: str = "gateway") -> FarDoor:  # noqa: ARG002
        """Its trapper."""
        return functools.partial(TrapperDoor, self._listen)


class ZabbixRaised(Zabbix):
    """With as many alerts at once as its documentation allows, and what a busy server is told to raise."""

    setting = "StartAlerters=20, unlimited sessions"
    cannot: ClassVar[Mapping[str, str]] = {
        **Zabbix.cannot,
        **dict.fromkeys(("quiet", "kill", "hook"), "the setting has no bearing on it: see the default"),
    }
    more: ClassVar[str] = "StartAlerters=20\nStartEscalators=4\nStartTrappers=10\nStartDBSyncers=8"

    def prepare(self) -> None:
        """The medium, too, may be used as often as wanted."""
        super().prepare()
        text = (self.arena.folder / "zabbix.conf").read_text("utf-8")
        told = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        url = f"postgresql://{told['DBUser']}@/{told['DBName']}?host={told['DBHost']}&port={told['DBPort']}"
        run_in(url, "UPDATE media_type SET maxsessions = 0 WHERE name = 'race'")


def _low_port() -> int:
    """A free port that it may listen on: its own limit is 32,767."""
    for port in range(21_000, 32_767):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise RuntimeError("no port below 32,767 is free")


def _fill(url: str) -> None:
    """Schema and data as the package brings them, then one host over the API."""
    for name in ("schema", "images", "data"):
        script = gzip.decompress((SCHEMA / f"{name}.sql.gz").read_bytes())
        command = ["psql", "-q", "-v", "ON_ERROR_STOP=1", url]
        subprocess.run(command, input=script, check=True, stdout=subprocess.DEVNULL)
    config = FRONT / "conf" / "zabbix.conf.php"
    config.write_text(_FRONT.format(**parts_of(url)), encoding="utf-8")
    reader = FRONT / "include" / "classes" / "core" / "CConfigFile.php"
    text = reader.read_text("utf-8").replace("/etc/zabbix/zabbix.conf.php", str(config))
    reader.write_text(text, encoding="utf-8")  # our own copy looks beside itself
    port = free_port()
    pages = subprocess.Popen(
        ["php", "-S", f"{HOST}:{port}", "-t", str(FRONT)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port)
        _configure(Api(f"http://{HOST}:{port}/api_jsonrpc.php"))
    finally:
        pages.kill()
        pages.wait(10)


class Api:
    """Zabbix's JSON-RPC."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._auth: str | None = None
        self._auth = self("user.login", username="Admin", password="zabbix")

    def __call__(self, method: str, **params: Any) -> Any:
        """Ask; RuntimeError with its own words when it refuses."""
        asked = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1, "auth": self._auth}
        head = {"content-type": "application/json-rpc"}
        request = urllib.request.Request(self._url, json.dumps(asked).encode(), head)
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = json.loads(answer.read())
        if "error" in said:
            raise RuntimeError(f"{method}: {said['error']}")
        return said["result"]


def _configure(api: Api) -> None:
    """A host with an item for each kind, a trigger for those that call, and the webhook."""
    (group,) = api("hostgroup.create", name="race")["groupids"]
    (host,) = api("host.create", host="race", groups=[{"groupid": group}])["hostids"]
    for key in ("alarm", "mark", "quiet"):
        api("item.create", hostid=host, name=key, key_=key, type=2, value_type=4)
    params = [{"name": "url", "value": "http://127.0.0.1/"}, {"name": "message", "value": "{ALERT.MESSAGE}"}]
    webhook = {"name": "race", "type": 4, "script": _SCRIPT, "parameters": params, "timeout": "10s"}
    (medium,) = api("mediatype.create", **webhook)["mediatypeids"]
    api("user.update", userid="1", medias=[{"mediatypeid": medium, "sendto": ["judge"]}])
    find = 'find(/race/{},,"regexp","RACE")=1'
    triggers = [
        api(
            "trigger.create",
            description=key,
            expression=find.format(key),
            type=1,
            priority=4,
        )["triggerids"][0]
        for key in ("alarm", "mark")
    ]
    tell = {"default_msg": 0, "subject": "race", "message": "{ITEM.VALUE}", "mediatypeid": medium}
    operation = {"operationtype": 0, "opmessage": tell, "opmessage_usr": [{"userid": "1"}]}
    conditions = [{"conditiontype": 2, "operator": 0, "value": trigger} for trigger in triggers]
    api(
        "action.create",
        name="race",
        eventsource=0,
        esc_period="1h",
        filter={"evaltype": 2, "conditions": conditions},
        operations=[operation],
    )
