"""Take: a signal comes in once, and whatever has to follow from it follows in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hexi.kernel.catalogue import FALLBACK, winner
from hexi.kernel.clock import SECOND
from hexi.kernel.ports import Known
from hexi.kernel.scenario import AtLeast, Scenario
from hexi.kernel.signal import Flag, Signal, digest
from hexi.spine import watch
from hexi.spine.act import do
from hexi.spine.close import clear
from hexi.spine.open import open_or_join
from hexi.spine.scene import Scene, context, look
from hexi.spine.work import OWN_SOURCE, RefusedError, Taken, Work

HEARD_EVERY = SECOND
"""How often ``heard`` goes to the store; losing this much after a crash only delays a silence."""


def take(work: Work, signals: Sequence[Signal]) -> None:
    """Take a batch; the results stand in ``work.outcome.taken`` in the order of the batch."""
    quiet, new = work.catalogue.quiet, Known.NEW
    for signal, known in zip(signals, work.tx.signals.claim(signals), strict=True):
        if known is new:
            taken = _take_quiet(work, signal) if signal.kind in quiet else _take_new(work, signal)
        elif known is Known.REUSED:
            taken = _take_reused(work, signal)
        else:
            taken = _repeat(work, signal)
        work.outcome.taken.append(taken)
    _follow(work)


def _repeat(work: Work, signal: Signal) -> Taken:
    return Taken(
        source=signal.source, id=signal.id, fate="repeat", case_id=work.tx.signals.case_of(signal.key)
    )


def _take_reused(work: Work, signal: Signal) -> Taken:
    """An id used again for something else: taken under an id of its own, and flagged."""
    other = msgspec.structs.replace(signal, id=f"{signal.id}#{digest(signal) & (2**64 - 1):016x}")
    (known,) = work.tx.signals.claim([other])
    if known is not Known.NEW:
        return msgspec.structs.replace(_repeat(work, other), id=signal.id)
    return msgspec.structs.replace(_take_new(work, other.flagged(Flag.ID_REUSED)), id=signal.id)


def _take_new(work: Work, signal: Signal) -> Taken:
    if signal.is_act:
        return _take_act(work, signal)
    if signal.kind in work.catalogue.quiet:
        return _take_quiet(work, signal)
    case_id, signal = _answer(work, signal)
    work.tx.signals.add(signal, case_id)
    return Taken(source=signal.source, id=signal.id, fate="accepted", case_id=case_id, flags=signal.flags)


def _take_quiet(work: Work, signal: Signal) -> Taken:
    """The hot path: a known kind that nobody answers to."""
    subject = signal.subject
    if subject and Flag.DRILL not in signal.flags:
        watch.hear_of(work, subject, signal)
        if subject.startswith("device:") and not work.knows(subject):
            signal = signal.flagged(Flag.UNKNOWN_DEVICE)
    work.tx.signals.add(signal, None)
    return Taken(source=signal.source, id=signal.id, fate="accepted", flags=signal.flags)


def _take_act(work: Work, signal: Signal) -> Taken:
    try:
        case_id = do(work, signal)
    except RefusedError as refused:
        work.tx.signals.add(signal, None)
        return Taken(source=signal.source, id=signal.id, fate="refused", error=refused.reason)
    work.tx.signals.add(signal, case_id)
    return Taken(source=signal.source, id=signal.id, fate="accepted", case_id=case_id)


def _answer(work: Work, signal: Signal) -> tuple[str | None, Signal]:
    """Let the scenarios speak: the case the signal went to, and the signal with its flags."""
    scene = look(work, signal)
    if scene.device_ref and signal.source != OWN_SOURCE and Flag.DRILL not in signal.flags:
        watch.hear_of(work, scene.device_ref, signal)
    watch.notice(work, scene)
    cleared = clear(work, scene)
    scenario, scene = _choose(work, scene)
    if scenario is None:
        unknown = signal.kind not in work.catalogue.kinds and not scene.signal.kind.startswith("tech.")
        return cleared, scene.signal.flagged(Flag.UNKNOWN_KIND) if unknown else scene.signal
    return open_or_join(work, scenario, scene), scene.signal


def _choose(work: Work, scene: Scene) -> tuple[Scenario | None, Scene]:
    candidates: list[Scenario] = []
    kind = scene.signal.kind
    answering = work.catalogue.answering(kind)
    sight = context(scene, work.catalogue.predicates) if any(a.when for a in answering) else None
    for scenario, when in answering:
        if when and sight:
            holds, error = when.judge(sight)
            if error:
                scene = scene._replace(signal=scene.signal.flagged(Flag.CONDITION_FAILED))
            if not holds:
                continue
        if _often_enough(work, scenario.signal.at_least, scene):
            candidates.append(scenario)
    chosen = winner(candidates)
    if chosen is None and work.catalogue.is_sos(kind):
        scene = scene._replace(signal=scene.signal.flagged(*_unanswered(work, kind)))
        chosen = work.catalogue.scenarios.get(FALLBACK)
    return chosen, scene


def _unanswered(work: Work, kind: str) -> list[str]:
    return [] if kind in work.catalogue.kinds else [Flag.UNKNOWN_KIND]


def _often_enough(work: Work, rule: AtLeast | None, scene: Scene) -> bool:
    if rule is None:
        return True
    subject = scene.device_ref if rule.by == "device" else scene.subject
    if subject is None:
        return True
    drill = Flag.DRILL in scene.signal.flags
    before = work.tx.signals.count([scene.signal.kind], subject, work.now - rule.within, drill=drill)
    return before + 1 >= rule.times


def _follow(work: Work) -> None:
    """Signals of our own that this work has derived; each may derive more, within reason."""
    for _ in range(10):
        if not work.derived:
            return
        batch, work.derived = work.derived, []
        for signal, known in zip(batch, work.tx.signals.claim(batch), strict=True):
            if known is Known.NEW:
                _take_new(work, signal)


def note_heard(work: Work) -> None:
    """Keep from time to time which devices were heard: at the very end, so that no case is waited for."""
    memory = work.memory
    if memory.heard and not work.noted and work.now - memory.heard_written >= HEARD_EVERY:
        work.tx.heard.note(memory.heard)
        work.noted = dict(memory.heard)
