"""The demo: a synthetic district in an embedded store, living at any speed, with people who answer."""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum

import msgspec

from hexi.adapters.geo import read_index
from hexi.app.compose import Manner, open_app
from hexi.kernel.clock import DAY, MINUTE, Instant
from hexi.kernel.ports import Store
from hexi.kernel.record import Record
from hexi.kernel.response import Notice
from hexi.settings import Settings
from hexi.sim.district import fill, generate
from hexi.sim.faults import Faults, GatewayDown, PowerCut
from hexi.sim.people import People
from hexi.sim.player import Doors, LivePlayer
from hexi.sim.telephones import AnsweringChannel
from hexi.sim.traffic import Rates, Traffic, homes_of

HERO = "E00001"
"""The elder whom the visitor plays; nobody answers for the people around."""

DAYS = 30
"""How long the traffic goes on."""

REMEMBERED = 1_000


class Fault(StrEnum):
    """What can be made to go wrong while the visitor looks."""

    CENTRES = "silent-centres"
    """No service centre answers anything."""
    GATEWAY = "gateway-down"
    """Calls fail for five minutes, a minute after the start."""
    POWER = "power-cut"
    """A community is without mains for five minutes, a minute after the start."""


_CENTRES = tuple(f"centre:SC{number:02}" for number in range(1, 46))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo plays: how many elders, how many of their homes are alive, at which speed."""

    seed: int = 1
    elders: int = 2_000
    homes: int = 400
    speed: float = 20.0
    trouble: float = 3.0
    """How many times as much goes wrong as on an average day."""
    faults: tuple[Fault, ...] = ()


def faults_of(plan: Plan, community: str, now: Instant) -> Faults:
    """What is to go wrong from a minute after the start on; the power goes in one community."""
    later, long = MINUTE, 5 * MINUTE
    hurried = round(later * plan.speed), round(long * plan.speed)
    return Faults(
        power_cuts=(PowerCut(community, now + hurried[0], hurried[1]),) if Fault.POWER in plan.faults else (),
        gateways=(GatewayDown("call", now + later, long),) if Fault.GATEWAY in plan.faults else (),
        never_answer=frozenset(_CENTRES if Fault.CENTRES in plan.faults else ()),
    )


class Demo:
    """A platform with a district that lives beside the visitor."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self.app = open_app(settings, Manner(demo=True))
        self._plan = plan
        records = list(generate(plan.seed, plan.elders))
        self._homes = [home for home in homes_of(records) if home.elder != HERO][: plan.homes]
        self._furnish(records)

    def _furnish(self, records: list[Record]) -> None:
        """An empty store gets the district; one from an earlier demo goes on."""
        store, now = self.app.store, self.app.platform.clock.now()
        with store.read() as tx:
            empty = tx.records.count("person") == 0
        if empty:
            fill(store, records, watched={home.elder for home in self._homes}, since=now)
        with store.read() as tx:
            self.app.platform.spine.use(locator=read_index(tx))

    async def play(self) -> None:
        """Let the district live until this is cancelled."""
        platform, plan = self.app.platform, self._plan
        doors = Doors(platform.intake.submit, platform.intake.receipt)
        start = platform.clock.now()
        faults = faults_of(plan, self._homes[0].community, start)
        people = People(plan.seed, faults, spared=_Spared(platform.store))
        player = LivePlayer(platform.clock, doors, people, plan.speed)
        self.app.wrap_channels(lambda inner: AnsweringChannel(inner, player.reached, platform.clock, faults))
        traffic = Traffic(self._homes, seed=plan.seed, rates=Rates(trouble=plan.trouble), faults=faults)
        try:
            await player.run(traffic.stream(start, start + DAYS * DAY))
        finally:
            player.stop()


class _Spared:
    """Notices about the visitor's own elder: those the visitor answers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, bool] = OrderedDict()

    def __call__(self, notice: Notice) -> bool:
        known = self._known.get(notice.case_id)
        if known is None:
            known = self._known[notice.case_id] = self._ask(notice.case_id)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return known

    def _ask(self, case_id: str) -> bool:
        with self._store.read() as tx:
            case = tx.cases.get(case_id)
        return case is not None and case.subject == f"person:{HERO}"
