"""The checks of ``hexi doctor``, by theme. Each is a small function over the installation."""

from hexi.cli.checks import brokers, directory, machine, outward, scenarios, stored, upgrade
from hexi.cli.checks.base import (
    BareCheck,
    Check,
    Finding,
    Installation,
    Patient,
    error,
    examine,
    examine_bare,
    ok,
    warning,
)

__all__ = [
    "BARE",
    "BEFORE_UPGRADE",
    "REACH",
    "STORED",
    "Finding",
    "Installation",
    "Patient",
    "error",
    "examine",
    "examine_bare",
    "ok",
    "warning",
]

BARE: tuple[BareCheck, ...] = (
    machine.python,
    machine.data_folder,
    machine.clock_kept,
    machine.certificates_end,
    machine.backups,
    stored.database,
    stored.server,
    scenarios.packs,
    outward.channels,
)
"""What can be looked at whatever state the database is in."""

REACH: tuple[BareCheck, ...] = (outward.reach, brokers.reach)
"""What opens connections, and is looked at when asked for."""

STORED: tuple[Check, ...] = (
    stored.clock,
    stored.backlog,
    stored.technical,
    stored.quarantine,
    stored.archive,
    scenarios.in_force,
    directory.desks,
    directory.rosters,
    directory.people,
    directory.devices,
    outward.failures,
    brokers.brokers,
    outward.processes,
    outward.access,
)
"""What is asked of the open store."""

BEFORE_UPGRADE: tuple[BareCheck, ...] = (stored.database, upgrade.tables, upgrade.room, scenarios.packs)
"""What a new build looks at before it takes over."""
