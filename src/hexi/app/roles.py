"""Roles: what a process does. One process may play all of them, or several processes share them."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import StrEnum


class Role(StrEnum):
    """One of the jobs of the platform."""

    INTAKE = "intake"
    """Takes signals: the HTTP door for devices, the brokers."""
    CLOCK = "clock"
    """Handles what falls due, and looks after the platform itself."""
    SENDERS = "senders"
    """Hands notices to the channels."""
    WEB = "web"
    """Screens and the API for people."""


ALL_ROLES = frozenset(Role)


def in_order(roles: AbstractSet[Role]) -> tuple[Role, ...]:
    """Some roles in the order in which they are written."""
    return tuple(role for role in Role if role in roles)
