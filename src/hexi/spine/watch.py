"""Watch: silence, absence and sequences, all as deadline rows."""

from __future__ import annotations

import msgspec

from hexi.kernel.catalogue import BACK, SILENT
from hexi.kernel.clock import DAY, Instant, next_local, parse_time_of_day
from hexi.kernel.deadline import Deadline, DeadlineKind
from hexi.kernel.scenario import Scenario
from hexi.kernel.signal import Flag
from hexi.spine.scene import Scene
from hexi.spine.work import Work


def notice(work: Work, scene: Scene) -> None:
    """A signal begins or completes a sequence, or is something that was expected."""
    kind = scene.signal.kind
    for scenario in work.catalogue.following(kind):
        work.tx.deadlines.cancel([_sequence_key(scenario, scene)])
    for scenario in work.catalogue.starting(kind):
        _begin(work, scenario, scene)
    for scenario in () if scene.drill else work.catalogue.expecting(kind):
        _expect(work, scenario, scene)


def _sequence_key(scenario: Scenario, scene: Scene) -> str:
    by = scenario.sequence.by if scenario.sequence else "subject"
    who = scene.device_ref if by == "device" else scene.subject
    exercise = "drill/" if scene.drill else ""
    return f"{exercise}sequence/{scenario.id}/{who or scene.signal.source}"


def _begin(work: Work, scenario: Scenario, scene: Scene) -> None:
    if scenario.sequence is None or work.tx.deadlines.get(key := _sequence_key(scenario, scene)):
        return  # told again that it began: the time runs from the first
    body = {"scenario": scenario.id, "subject": scene.device_ref or scene.subject, "data": scene.signal.data}
    if scene.drill:
        body["drill"] = scene.signal.source
    work.tx.deadlines.arm(
        [
            Deadline(
                key=key,
                due_at=work.now + scenario.sequence.within,
                kind=DeadlineKind.SEQUENCE,
                body=body,
            )
        ]
    )


def _expect(work: Work, scenario: Scenario, scene: Scene) -> None:
    """Remember that it was seen, and look again when its hours end."""
    if scenario.absence is None or not scene.subject:
        return
    key = f"absence/{scenario.id}/{scene.subject}"
    work.memory.heard[key] = work.now
    if key not in work.memory.armed:
        work.armed.add(key)
        _arm_absence(work, scenario, scene.subject)


def _arm_absence(work: Work, scenario: Scenario, subject: str) -> None:
    rule = scenario.absence
    if rule is None:
        return
    due = next_local(work.now, parse_time_of_day(rule.until))
    body = {"scenario": scenario.id, "subject": subject}
    key = f"absence/{scenario.id}/{subject}"
    work.tx.deadlines.arm([Deadline(key=key, due_at=due, kind=DeadlineKind.ABSENCE, body=body)])


def sequence_due(work: Work, deadline: Deadline) -> None:
    """The second signal did not come."""
    body = deadline.body
    work.derive(f"sequence.{body['scenario']}", body["subject"] or "", **body["data"])
    if source := body.get("drill"):  # what follows from an exercise is one
        work.derived[-1] = msgspec.structs.replace(work.derived[-1], source=source).flagged(Flag.DRILL)


def absence_due(work: Work, deadline: Deadline) -> None:
    """The hours have ended: was it seen in them? Look again tomorrow either way."""
    scenario = work.catalogue.scenarios.get(deadline.body["scenario"])
    if scenario is None or scenario.absence is None:
        return
    subject = deadline.body["subject"]
    ended = deadline.body.get("again", deadline.due_at)
    hours_began = next_local(ended - DAY, parse_time_of_day(scenario.absence.since))
    if deadline.due_at < work.memory.ready_at and "again" not in deadline.body:
        _look_later(work, deadline, hours_began)
        return
    seen = last_heard(work, deadline.key)
    if seen is None or seen < hours_began:
        work.derive(f"absence.{scenario.id}", subject, last_seen=seen or 0)
    _arm_absence(work, scenario, subject)


def _look_later(work: Work, deadline: Deadline, hours_began: Instant) -> None:
    """The hours ended while we were down: what we missed may still come, so give it as long again."""
    due = work.memory.ready_at + deadline.due_at - hours_began
    body = deadline.body | {"again": deadline.due_at}
    work.tx.deadlines.arm([msgspec.structs.replace(deadline, due_at=due, body=body)])


def silence_due(work: Work, deadline: Deadline) -> None:
    """A device should have been heard by now. After our own outage it gets a whole interval again."""
    identity = deadline.key.removeprefix("silence/device:")
    device = work.directory.device(identity)
    if device is None or device.silent_after is None:
        return
    subject = f"device:{identity}"
    heard = last_heard(work, subject)
    last = max(heard or 0, deadline.body.get("since", 0), work.memory.ready_at)
    silent = last + device.silent_after <= work.now
    was_silent = deadline.body.get("silent", False)
    if silent and not was_silent:
        work.derive(SILENT, subject, last_heard=heard or 0)
    if silent:
        work.memory.silent.add(subject)
    back = heard is not None and heard + device.silent_after > work.now
    if was_silent and back:
        _come_back(work, subject)
    due = work.now + device.silent_after if silent else last + device.silent_after
    work.tx.deadlines.arm([silence(subject, due, silent=silent or (was_silent and not back))])


def hear(work: Work, subject: str, at: Instant) -> None:
    """Something was heard of a device; one that was silent is back from this moment."""
    work.memory.heard[subject] = at
    if subject in work.memory.silent:
        device = work.directory.device(subject.removeprefix("device:"))
        if device and device.silent_after is not None:
            work.tx.deadlines.arm([silence(subject, at + device.silent_after, since=at)])
        _come_back(work, subject)


def _come_back(work: Work, subject: str) -> None:
    work.memory.silent.discard(subject)
    work.derive(BACK, subject)


def silence(subject: str, due: Instant, *, silent: bool = False, since: Instant = 0) -> Deadline:
    """The deadline that looks after one device."""
    body = {"silent": silent, "since": since}
    return Deadline(key=f"silence/{subject}", due_at=due, kind=DeadlineKind.SILENCE, body=body)


def last_heard(work: Work, key: str) -> Instant | None:
    """When a key was last heard, also when it is not yet written."""
    written = work.tx.heard.last(key)
    fresh = work.memory.heard.get(key)
    return max(written or 0, fresh or 0) or None
