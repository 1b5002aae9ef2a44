"""Ways out to people, built from settings: webhook, Apprise, in-app inbox, console."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from hexi.adapters.channels.apprise import AppriseChannel
from hexi.adapters.channels.console import ConsoleChannel
from hexi.adapters.channels.inbox import InboxChannel
from hexi.adapters.channels.webhook import WebhookChannel
from hexi.kernel.clock import Clock, Duration
from hexi.kernel.ports import Channel
from hexi.spine.senders import Trunk

__all__ = [
    "AppriseChannel",
    "ChannelSettings",
    "ConsoleChannel",
    "InboxChannel",
    "OpenChannel",
    "WaysOut",
    "WebhookChannel",
    "build",
]


_ADDRESS = "{to}"
"""A ``url`` that is only this: each person's address is itself the URL."""


class ChannelSettings(Protocol):
    """What settings say of one way. ``limit``: most notices a second; ``timeout``: of one attempt."""

    @property
    def use(self) -> str: ...  # noqa: D102
    @property
    def url(self) -> str | None: ...  # noqa: D102
    @property
    def limit(self) -> float | None: ...  # noqa: D102
    @property
    def timeout(self) -> Duration: ...  # noqa: D102


class OpenChannel(Channel, Protocol):
    """A channel that holds connections or threads until it is closed."""

    async def close(self) -> None:
        """Let go of everything."""
        ...


class WaysOut:
    """The channels of an installation by way, with the limits of each; closed together."""

    def __init__(
        self,
        settings: Mapping[str, ChannelSettings],
        secret_of: Callable[[str], str | None],
        clock: Clock,
    ) -> None:
        """Build every channel; ValueError names the way whose settings cannot work."""
        self.channels: dict[str, OpenChannel] = {}
        self.trunks: dict[str, Trunk] = {}
        for way, told in settings.items():
            try:
                self.channels[way] = build(told, secret_of(way), clock)
            except ValueError as error:
                raise ValueError(f"channels.{way}: {error}") from error
            self.trunks[way] = Trunk(rate=told.limit, timeout=told.timeout)

    async def close(self) -> None:
        """Close every channel."""
        for channel in self.channels.values():
            await channel.close()


def build(told: ChannelSettings, secret: str | None, clock: Clock) -> OpenChannel:
    """One channel from its settings; ValueError when they cannot work."""
    url = None if told.url == _ADDRESS else told.url
    if told.use == "webhook":
        if not secret:
            raise ValueError("a webhook needs a secret (whsec_...), by which its receiver knows us")
        return WebhookChannel(clock, secret, told.timeout, url)
    if told.use == "apprise":
        return AppriseChannel(clock, told.timeout, url)
    if told.use == "inbox":
        return InboxChannel(clock)
    if told.use == "console":
        return ConsoleChannel(clock)
    raise ValueError(f"there is no channel {told.use!r}; there are webhook, apprise, inbox, console")
