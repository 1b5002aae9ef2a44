"""How the people of a simulated district answer what they are sent, and how long it takes them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from hexi.kernel.clock import HOUR, MINUTE, SECOND, Duration, Instant
from hexi.kernel.response import Notice
from hexi.kernel.signal import ACT_PREFIX, Lane, Signal
from hexi.sim.chance import chance, lognormal
from hexi.sim.faults import Faults

REMEMBERED = 50_000
"""Answers remembered, so that nobody answers the same case twice; older ones are forgotten."""

FALSE_SHARE = 0.82
"""Share of alarms that turn out false (Niigata 2014)."""


class Habit(NamedTuple):
    """How somebody answers: how likely a notice is noticed, after how long, and what is done then."""

    notices: float
    median: Duration
    goes: float
    travel: Duration


_HABITS = {
    "subject": Habit(0.75, 9 * SECOND, 0.0, 0),
    "contact": Habit(0.55, 25 * SECOND, 0.5, 24 * MINUTE),
    "steward": Habit(0.85, 18 * SECOND, 0.9, 8 * MINUTE),
    "centre": Habit(0.90, 20 * SECOND, 0.85, 9 * MINUTE),
    "desk": Habit(0.97, 12 * SECOND, 0.0, 0),
    "unit": Habit(0.90, 60 * SECOND, 0.8, 15 * MINUTE),
}
_WAY_FACTOR = {"call": 1.0, "desk": 0.7, "app": 2.5, "sms": 6.0, "mail": 60.0}

_FALSE = ("误按", "误触，老人平安", "设备误报，现场正常")
_REAL = ("扶起后休息，无外伤", "测血压后平稳，家属陪护", "送医检查，家属随行", "现场处置完毕，老人平安")


class Planned(NamedTuple):
    """An act that somebody will do, and when."""

    at: Instant
    signal: Signal


class People:
    """Everybody who can be told. ``spared`` says which notices real people will answer themselves."""

    def __init__(
        self, seed: int = 1, faults: Faults | None = None, spared: Callable[[Notice], bool] | None = None
    ) -> None:
        self._seed = seed
        self._faults = faults or Faults()
        self._spared = spared or (lambda _: False)
        self._answered: OrderedDict[tuple[str, str, bool], None] = OrderedDict()

    def answers(self, notice: Notice, at: Instant) -> list[Planned]:
        """What the recipient will do about a notice that has just reached them; often nothing."""
        if notice.recipient in self._faults.never_answer or self._spared(notice):
            return []
        key = (notice.case_id, notice.recipient, notice.step == "ask")
        if key in self._answered:
            return []
        random = chance(self._seed, "answer", *key, notice.way)
        habit = _HABITS[habit_of(notice)]
        if random.random() >= habit.notices:
            return []
        self._remember(key)
        answer = _Answer(random, habit, notice, at, real=self._is_real(notice.case_id))
        return list(answer.acts())

    def _is_real(self, case_id: str) -> bool:
        return chance(self._seed, "truth", case_id).random() >= FALSE_SHARE

    def _remember(self, key: tuple[str, str, bool]) -> None:
        self._answered[key] = None
        if len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)


def habit_of(notice: Notice) -> str:
    """Whose habits the recipient of a notice has."""
    kind, _, identity = notice.recipient.partition(":")
    if kind == "person":
        return "subject" if identity.startswith("E") else "steward" if identity.startswith("W") else "desk"
    return {"contact": "contact", "centre": "centre", "unit": "unit"}.get(kind, "desk")


class _Answer:
    """One person's answer to one case, drawn once."""

    def __init__(self, random: Random, habit: Habit, notice: Notice, at: Instant, *, real: bool) -> None:
        self._random = random
        self._habit = habit
        self._notice = notice
        self._real = real
        slow = _WAY_FACTOR.get(notice.way, 1.0)
        self._at = at + round(lognormal(random, habit.median * slow, 0.6))

    def acts(self) -> Iterator[Planned]:
        """The first answer and all that follows from it."""
        if habit_of(self._notice) == "subject":
            yield from self._subject()
        elif self._notice.lane is not Lane.SOS:
            yield from self._errand()
        elif self._random.random() < self._habit.goes:
            yield from self._go()
        else:
            yield self._act(
                "declined" if self._habit.goes and self._random.random() < 0.4 else "acknowledged"
            )

    def _subject(self) -> Iterator[Planned]:
        """The elder: well after a false alarm, silent or calling for help after a real one."""
        if not self._real:
            yield self._act("well" if self._notice.step == "ask" else "acknowledged")
        elif self._random.random() < 0.4:
            yield self._act("help" if self._notice.step == "ask" else "acknowledged")

    def _go(self) -> Iterator[Planned]:
        yield self._act("set_off")
        yield self._act("arrived", after=self._travel(), proof="claimed")
        if self._habit.travel > 20 * MINUTE:
            return
        pause = self._random.randrange(2, 10) * MINUTE
        if self._real:
            yield self._act("handled", after=pause, outcome=self._random.choice(_REAL))
            yield self._act("closed", after=MINUTE)
        else:
            yield self._act("false_alarm", after=pause, reason=self._random.choice(_FALSE))

    def _travel(self) -> Duration:
        return round(lognormal(self._random, self._habit.travel, 0.45))

    def _errand(self) -> Iterator[Planned]:
        """What does not burn is done some hours later, by those who go out."""
        yield self._act("acknowledged")
        if self._habit.goes:
            later = round(lognormal(self._random, 4 * HOUR, 0.7))
            yield self._act("handled", after=later, outcome="已上门处理，设备恢复正常")
            yield self._act("closed", after=MINUTE)

    def _act(self, name: str, after: Duration = 0, **said: Any) -> Planned:
        self._at += after
        notice = self._notice
        signal = Signal(
            id=f"{notice.id}/{name}",
            source="sim-people",
            kind=ACT_PREFIX + name,
            received=self._at,
            time=self._at,
            subject=f"case:{notice.case_id}",
            data={"by": notice.recipient, "role": notice.role, "via": notice.way, **said},
        )
        return Planned(self._at, signal)
