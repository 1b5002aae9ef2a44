"""The settings of the watch over the platform itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from hexi.kernel.clock import HOUR, MINUTE, SECOND
from hexi.settings.base import Span, Table

LEAST_EVERY = SECOND


class Watch(Table, frozen=True):
    """Who outside hears that the platform is well, and what it looks after besides."""

    ping_url: Annotated[
        str | None,
        Meta(
            description="Address outside that is asked while all is well; whoever answers there alarms "
            "somebody when this stops."
        ),
    ] = None
    every: Annotated[Span, Meta(description="Time between two pings.")] = Span(MINUTE)
    timeout: Annotated[
        Span, Meta(description="A ping that takes longer has failed; a write that takes longer is not well.")
    ] = Span(10 * SECOND)
    backups: Annotated[
        Path | None,
        Meta(description="Folder into which backups are made, so that hexi doctor sees when they stop."),
    ] = None
    backup_age: Annotated[Span, Meta(description="The newest backup should not be older than this.")] = Span(
        36 * HOUR
    )


def watch_faults(watch: Watch) -> list[str]:
    """What cannot be meant."""
    wrong = []
    if watch.ping_url and not watch.ping_url.startswith(("http://", "https://")):
        wrong.append("watch.ping_url: should start with http:// or https://")
    if watch.every < LEAST_EVERY or watch.timeout <= 0:
        wrong.append('watch: every should be at least "1s", and timeout more than nothing')
    return wrong
