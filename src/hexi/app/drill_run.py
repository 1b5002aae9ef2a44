"""Run a drill against a running platform: its signals go in by HTTP as a device's do.

Nothing here knows the platform's inside: it asks for a cast, begins the drill, posts signals, reads who
was told, answers for them as planned, and ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import aiohttp
import msgspec

from hexi.kernel.clock import MINUTE, SECOND, Duration, Instant
from hexi.spine.drill_plan import DrillPlan, PlannedAnswer, PlannedSignal
from hexi.spine.drill_report import Beginning, CaseJudged, DrillReport, NoticeSeen, Seen

EVERY = 0.25
"""Seconds between two looks at the drill."""

PATIENCE: Duration = 30 * SECOND
"""How long the platform may take to close the drill's cases."""

_BATCH = "application/cloudevents-batch+json"
_T = TypeVar("_T")


class DrillRefusedError(Exception):
    """The platform did not do what the drill needs; the message is its own answer."""


class Platform:
    """The running platform by its address, with a token of the scope ``drill`` (a demo needs none)."""

    def __init__(self, url: str, token: str | None) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        timeout = aiohttp.ClientTimeout(total=MINUTE / SECOND)
        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession(headers=headers, timeout=timeout)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def cast(self, device: str, many: int) -> list[str]:
        """Devices whose owners can be helped."""
        return await self._call("GET", f"/drills/cast?device={device}&many={many}", list[str])

    async def begin(self, plan: DrillPlan, *, live: bool) -> Beginning:
        """Begin a drill."""
        return await self._call(
            "POST", "/drills", Beginning, {"plan": msgspec.to_builtins(plan), "live": live}
        )

    async def see(self, identity: str) -> Seen:
        """A drill as it stands."""
        return await self._call("GET", f"/drills/{identity}", Seen)

    async def end(self, identity: str) -> None:
        """Let it end now."""
        await self._call("POST", f"/drills/{identity}/end", Any)

    async def post(self, events: Sequence[dict[str, Any]]) -> None:
        """Send signals; DrillRefusedError when one was not taken."""
        said = {"content-type": _BATCH}
        answer = await self._call("POST", "/signals", dict[str, Any], list(events), said)
        for result in answer["results"]:
            # an answer that comes too late is refused by its case, as it would be from a person
            if result["status"] not in {"accepted", "repeat"} and not result["id"].startswith("answer/"):
                raise DrillRefusedError(f"{result['id']}: {result['status']} {result.get('error', '')}")

    async def _call(
        self,
        method: str,
        path: str,
        wanted: type[_T],
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> _T:
        said = {"accept": "application/json", "content-type": "application/json", **(headers or {})}
        content = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(
                method, f"{self._url}/api/v1{path}", data=content, headers=said
            ) as answer:
                raw = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise DrillRefusedError(f"{self._url}: {type(error).__name__}: {error}") from error
        if answer.status >= 300:
            raise DrillRefusedError(_reason(answer.status, raw))
        return msgspec.json.decode(raw or b"null", type=wanted)


def _reason(status: int, raw: bytes) -> str:
    try:
        said = msgspec.json.decode(raw)
        return f"{status}: {said.get('detail') or said.get('title')}"
    except (msgspec.DecodeError, AttributeError):
        return str(status)


Tell = Callable[[Seen], None]


class Runner:
    """One run of one plan."""

    def __init__(self, platform: Platform, plan: DrillPlan, *, live: bool = False) -> None:
        self._platform = platform
        self._plan = plan
        self._live = live
        self._answered: set[str] = set()
        self._sent: set[int] = set()
        self._source = ""

    async def run(self, subjects: Sequence[str] = (), tell: Tell | None = None) -> DrillReport:
        """Play the plan to its end; the report as the platform gives it."""
        cast = self._plan.cast
        found = list(subjects) or await self._platform.cast(cast.device, cast.many)
        if not found:
            raise DrillRefusedError(f"no {cast.device} whose owner has a steward and no open case")
        begun = await self._platform.begin(self._plan, live=self._live)
        self._source = begun.source
        try:
            await self._play(begun.id, found, tell)
        finally:
            await self._platform.end(begun.id)
        return await self._ended(begun.id)

    async def _play(self, identity: str, subjects: Sequence[str], tell: Tell | None) -> None:
        while True:
            seen = await self._platform.see(identity)
            if tell:
                tell(seen)
            gone = seen.now - seen.report.began
            if gone >= self._plan.lasts or self._nothing_left(seen.report):
                return
            await self._send_due(gone, subjects)
            if not self._live:
                await self._answer_due(seen)
            await asyncio.sleep(EVERY)

    async def _send_due(self, gone: Duration, subjects: Sequence[str]) -> None:
        due = [i for i, one in enumerate(self._plan.signal) if one.after <= gone and i not in self._sent]
        events = [self._signal(i, self._plan.signal[i], subject) for i in due for subject in subjects]
        if events:
            await self._platform.post(events)
            self._sent.update(due)

    def _signal(self, number: int, planned: PlannedSignal, subject: str) -> dict[str, Any]:
        return self._event(f"{number}/{subject}", planned.kind, subject, planned.data)

    def _event(self, identity: str, kind: str, subject: str, data: dict[str, Any]) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": identity,
            "source": self._source,
            "type": kind,
            "subject": subject,
            "data": {**data, "drill": True},
        }

    async def _answer_due(self, seen: Seen) -> None:
        events = [
            event
            for case in seen.report.cases
            if case.open
            for number, planned in enumerate(self._plan.answer)
            for event in self._answers(case, number, planned, seen.now)
        ]
        if events:
            await self._platform.post(events)
            self._answered.update(event["id"] for event in events)

    def _answers(
        self, case: CaseJudged, number: int, planned: PlannedAnswer, now: Instant
    ) -> list[dict[str, Any]]:
        told = _first_told(case, planned.role)
        chosen = told if planned.who == "all" else told[:1]
        events = []
        for notice in chosen:
            identity = f"answer/{case.id}/{number}/{notice.recipient}"
            due = case.opened_at + notice.owed_after + planned.after
            if due <= now and identity not in self._answered:
                said = {"by": notice.recipient, "role": notice.role, "notice": notice.id, "via": "drill"}
                events.append(self._event(identity, f"act.{planned.act}", f"case:{case.id}", said))
        return events

    def _nothing_left(self, report: DrillReport) -> bool:
        """Signals sent, answers given, promises reached: waiting would show no more."""
        if len(self._sent) < len(self._plan.signal) or not report.cases:
            return False
        owed = [] if self._live else self._plan.answer
        due = [
            f"answer/{case.id}/{number}/{notice.recipient}"
            for case in report.cases
            for number, planned in enumerate(owed)
            for notice in _first_told(case, planned.role)[:1]
        ]
        reached = all(promise.took is not None for case in report.cases for promise in case.promises)
        return reached and self._answered.issuperset(due)

    async def _ended(self, identity: str) -> DrillReport:
        async with asyncio.timeout(PATIENCE / SECOND):
            while True:
                report = (await self._platform.see(identity)).report
                if report.ended is not None and not any(case.open for case in report.cases):
                    return report
                await asyncio.sleep(EVERY)


def _first_told(case: CaseJudged, role: str) -> list[NoticeSeen]:
    """The first notice to each of a role, in the order of their telling."""
    ordered = sorted((n for n in case.notices if n.role == role), key=lambda n: n.owed_after)
    return list({notice.recipient: notice for notice in reversed(ordered)}.values())[::-1]
