"""The settings of an installation: one TOML file, then ``HEXI_*`` variables over it.

A variable names a key by its path: ``HEXI_LISTEN__PORT=8080`` is ``port`` under ``[listen]``. Every
key is checked before anything starts; ``SettingsError`` lists everything that is wrong at once.
"""

from hexi.settings.archive import Archive, ArchivedKind
from hexi.settings.base import SettingsError, Span, Table, read_secret
from hexi.settings.faults import refuse_exposure
from hexi.settings.mqtt import MqttLink, Topic
from hexi.settings.read import CONFIG_VARIABLE, PREFIX, RESERVED, load_settings
from hexi.settings.shape import expected, is_listed, is_named, key_types, plain, table_of
from hexi.settings.tables import (
    ChannelSettings,
    Database,
    DrillSettings,
    Limits,
    Listen,
    Log,
    Settings,
    channel_secret,
)
from hexi.settings.watch import Watch

__all__ = [
    "CONFIG_VARIABLE",
    "PREFIX",
    "RESERVED",
    "Archive",
    "ArchivedKind",
    "ChannelSettings",
    "Database",
    "DrillSettings",
    "Limits",
    "Listen",
    "Log",
    "MqttLink",
    "Settings",
    "SettingsError",
    "Span",
    "Table",
    "Topic",
    "Watch",
    "channel_secret",
    "expected",
    "is_listed",
    "is_named",
    "key_types",
    "load_settings",
    "plain",
    "read_secret",
    "refuse_exposure",
    "table_of",
]
