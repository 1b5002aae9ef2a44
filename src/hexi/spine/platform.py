"""Platform: what the doors (connectors, screens) are given."""

from __future__ import annotations

from dataclasses import dataclass

from hexi.kernel.clock import Clock
from hexi.kernel.ports import Files, Locator, Store
from hexi.kernel.signal import Signal
from hexi.spine.hub import Hub
from hexi.spine.intake import Intake
from hexi.spine.links import Links
from hexi.spine.spine import Spine


@dataclass(frozen=True)
class Platform:
    """The running platform. Reading goes to ``store.read()``, every change through ``intake``."""

    store: Store
    clock: Clock
    spine: Spine
    intake: Intake
    hub: Hub
    files: Files
    locator: Locator
    links: Links
    secret: str
    base_url: str
    demo: bool
    version: str

    async def report(self, kind: str, about: str, **data: object) -> None:
        """The platform's own trouble is a signal like any other. StoreError when it could not be kept."""
        now = self.clock.now()
        signal = Signal(
            id=f"{kind}/{about}/{now}",
            source=f"hexi:{about}",
            kind=kind,
            received=now,
            subject=f"platform:{about}",
            data={"about": about, **data},
        )
        await self.intake.submit([signal])
