"""The field: every contestant by the name it is called on the command line."""

from __future__ import annotations

from bench.race.alertmanager import Alertmanager, AlertmanagerQuick
from bench.race.contestant import Contestant
from bench.race.hexi import HexiHttp, HexiPostgres, HexiRoles, HexiSqlite
from bench.race.home_assistant import HomeAssistant, HomeAssistantRaised
from bench.race.node_red import NodeRed, NodeRedDurable
from bench.race.zabbix import Zabbix, ZabbixRaised

EXTRA = frozenset({"hexi-http"})
"""Only when asked for."""

CONTESTANTS: dict[str, type[Contestant]] = {
    "hexi-sqlite": HexiSqlite,
    "hexi-postgresql": HexiPostgres,
    "hexi-roles": HexiRoles,
    "hexi-http": HexiHttp,
    "node-red": NodeRed,
    "node-red-durable": NodeRedDurable,
    "home-assistant": HomeAssistant,
    "home-assistant-raised": HomeAssistantRaised,
    "alertmanager": Alertmanager,
    "alertmanager-quick": AlertmanagerQuick,
    "zabbix": Zabbix,
    "zabbix-raised": ZabbixRaised,
}
