"""Watch: silence, absence and sequences, all as deadline rows."""

from __future__ import annotations

import msgspec

from hexi.kernel.catalogue import BACK, OFFLINE, ONLINE, SILENT
from hexi.kernel.clock import DAY, HOUR, MINUTE, Duration, Instant, next_local, parse_time_of_day
from hexi.kernel.deadline import Deadline, DeadlineKind
from hexi.kernel.scenario import Scenario
from hexi.kernel.signal import Flag, Signal
from hexi.spine import uplinks
from hexi.spine.scene import Scene
from hexi.spine.work import OTHERS_LAG, Work

LEAVE: Duration = MINUTE
"""How long a device whose last will has been told may take to connect again before it is missed."""

LOOK_AGAIN: Duration = HOUR
"""How often one is looked for that owes no heartbeat and has left."""


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
    ended = deadline.body.get("again", deadline.body.get("asked", deadline.due_at))
    hours_began = next_local(ended - DAY, parse_time_of_day(scenario.absence.since))
    if deadline.due_at < work.memory.ready_at and not {"again", "asked"} & deadline.body.keys():
        _look_later(work, deadline, hours_began)
        return
    seen = last_heard(work, deadline.key)
    missed = seen is None or seen < hours_began
    if missed and _asks_others(work, deadline):
        return
    if missed:
        work.derive(f"absence.{scenario.id}", subject, last_seen=seen or 0)
    _arm_absence(work, scenario, subject)


def _look_later(work: Work, deadline: Deadline, hours_began: Instant) -> None:
    """The hours ended while we were down: what we missed may still come, so give it as long again."""
    due = work.memory.ready_at + deadline.due_at - hours_began
    body = deadline.body | {"again": deadline.due_at}
    work.tx.deadlines.arm([msgspec.structs.replace(deadline, due_at=due, body=body)])


def silence_due(work: Work, deadline: Deadline) -> None:
    """A device should have been heard by now. After an outage it has a whole interval."""
    subject = deadline.key.removeprefix("silence/")
    device = work.directory.device(subject.removeprefix("device:"))
    body = deadline.body
    if device is None or (device.silent_after is None and not body.get("gone")):
        return
    interval = device.silent_after or LOOK_AGAIN
    if uplinks.is_unheard(work, body.get("link")) and not body["silent"]:
        work.tx.deadlines.arm([msgspec.structs.replace(deadline, due_at=work.now + interval)])
        return
    heard = last_heard(work, subject) or 0
    gone = bool(body.get("gone")) and heard <= body["gone"]
    last = max(heard, body["since"], work.memory.ready_at, uplinks.heard_since(work, body.get("link")))
    silent = gone or (device.silent_after is not None and last + interval <= work.now)
    if silent and not body["silent"] and _asks_others(work, deadline):
        return
    back = bool(heard) and not gone and heard + interval > work.now
    _tell(work, subject, was_silent=body["silent"], silent=silent, back=back)
    silent = silent or (body["silent"] and not back)
    if silent or device.silent_after is not None:
        due = work.now + interval if silent else last + interval
        kept = {"silent": silent, "gone": body["gone"] if gone else 0, "asked": 0}
        work.tx.deadlines.arm([msgspec.structs.replace(deadline, due_at=due, body=body | kept)])


def _asks_others(work: Work, deadline: Deadline) -> bool:
    """Whether to look once more a little later: another process may have heard it and not yet written so."""
    if work.share.name is None or deadline.body.get("asked"):
        return False
    body = deadline.body | {"asked": deadline.due_at}
    work.tx.deadlines.arm([msgspec.structs.replace(deadline, due_at=work.now + OTHERS_LAG, body=body)])
    return True


def _tell(work: Work, subject: str, *, was_silent: bool, silent: bool, back: bool) -> None:
    if silent and not was_silent:
        work.derive(SILENT, subject, last_heard=last_heard(work, subject) or 0)
        work.outcome.silent.append(subject)
    if silent:
        work.memory.silent.add(subject)
    if was_silent and back:
        _come_back(work, subject)


def hear_of(work: Work, subject: str, signal: Signal) -> None:
    """A signal tells that a device is there, unless it is its last will."""
    if signal.kind == OFFLINE:
        _gone(work, subject, signal.received)
        return
    if signal.kind == ONLINE:
        _recall(work, subject)
    hear(work, subject, signal.received)


def hear(work: Work, subject: str, at: Instant) -> None:
    """Something was heard of a device; one that was silent is back from this moment."""
    memory = work.memory
    memory.heard[subject] = at
    if work.linked.get(subject, memory.links.get(subject, _NEVER)) != work.link:
        _remember_link(work, subject)
    if subject in memory.silent and _still_silent(work, subject):
        _no_longer_silent(work, subject, at)


_NEVER = "never heard"


def _remember_link(work: Work, subject: str) -> None:
    """The silence deadline keeps the link, so that another process and the next start know it too."""
    if not work.knows(subject):
        return  # it will have its deadline when it is registered
    work.linked[subject] = work.link
    known = work.tx.deadlines.get(f"silence/{subject}")
    if known and known.body.get("link") != work.link:
        body = known.body | {"link": work.link}
        work.tx.deadlines.arm([msgspec.structs.replace(known, body=body)])


def _gone(work: Work, subject: str, at: Instant) -> None:
    """The broker says that a device has left without a word: it is missed soon, unless it comes back.

    One that is known to be silent, or already waited for, is not missed twice, however often that is said.
    """
    known = work.tx.deadlines.get(f"silence/{subject}") or silence(subject, at + LEAVE)
    body = known.body
    waited_for = body.get("gone", 0) and (last_heard(work, subject) or 0) <= body["gone"]
    if not body["silent"] and not waited_for:
        due = min(known.due_at, at + LEAVE)
        after = body | {"gone": at, "link": work.link}
        work.tx.deadlines.arm([msgspec.structs.replace(known, due_at=due, body=after)])


def _recall(work: Work, subject: str) -> None:
    """A device connects: whether it was missed stands in the store, whoever noticed it."""
    known = work.tx.deadlines.get(f"silence/{subject}")
    if known and known.body["silent"]:
        work.memory.silent.add(subject)


def _still_silent(work: Work, subject: str) -> bool:
    """Another process may have heard it first."""
    known = work.tx.deadlines.get(f"silence/{subject}")
    silent = known is not None and bool(known.body.get("silent"))
    if not silent:
        work.memory.silent.discard(subject)
    return silent


def _no_longer_silent(work: Work, subject: str, at: Instant) -> None:
    device = work.directory.device(subject.removeprefix("device:"))
    if device and device.silent_after is not None:
        due = at + device.silent_after
        work.tx.deadlines.arm([silence(subject, due, since=at, link=work.link)])
    else:
        work.tx.deadlines.cancel([f"silence/{subject}"])
    _come_back(work, subject)


def _come_back(work: Work, subject: str) -> None:
    work.memory.silent.discard(subject)
    work.derive(BACK, subject)


def silence(subject: str, due: Instant, *, since: Instant = 0, link: str | None = None) -> Deadline:
    """The deadline that looks after one device, and knows over which link it was last heard."""
    body = {"silent": False, "since": since, "gone": 0, "link": link}
    return Deadline(key=f"silence/{subject}", due_at=due, kind=DeadlineKind.SILENCE, body=body)


def last_heard(work: Work, key: str) -> Instant | None:
    """When a key was last heard, also when it is not yet written."""
    written = work.tx.heard.last(key)
    fresh = work.memory.heard.get(key)
    return max(written or 0, fresh or 0) or None
