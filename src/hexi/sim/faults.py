"""What goes wrong on demand in a simulated day."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from hexi.kernel.clock import MINUTE, Duration, Instant


class PowerCut(NamedTuple):
    """A community without mains: its hubs report within a minute, and again when it is over."""

    community: str
    at: Instant
    length: Duration

    @property
    def until(self) -> Instant:
        """When the mains return."""
        return self.at + self.length

    def covers(self, at: Instant) -> bool:
        """Whether the mains are off."""
        return self.at <= at < self.until


class GatewayDown(NamedTuple):
    """A way out to people that fails every attempt for a while."""

    way: str
    at: Instant
    length: Duration

    def covers(self, at: Instant) -> bool:
        """Whether the gateway is down."""
        return self.at <= at < self.at + self.length


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """All faults of one run; none by default."""

    power_cuts: tuple[PowerCut, ...] = ()
    gateways: tuple[GatewayDown, ...] = ()
    never_answer: frozenset[str] = frozenset()
    """References such as ``centre:SC07`` that stay silent whatever is sent."""
    dead_devices: dict[str, Instant] = {}
    """Device ids that send nothing from an instant on."""
    restarts: tuple[Instant, ...] = ()
    """When the platform is to be stopped and started again, such as 03:00."""

    def gateway_down(self, way: str, at: Instant) -> bool:
        """Whether a way fails at an instant."""
        return any(gateway.way == way and gateway.covers(at) for gateway in self.gateways)

    def mains_off(self, community: str, at: Instant) -> bool:
        """Whether a community has no power at an instant."""
        return any(cut.community == community and cut.covers(at) for cut in self.power_cuts)

    def is_dead(self, device: str, at: Instant) -> bool:
        """Whether a device has fallen silent."""
        since = self.dead_devices.get(device)
        return since is not None and at >= since


REPORT_WITHIN: Duration = MINUTE
"""How long the hubs of a community take to report a power cut, all together."""
