"""Open: a signal opens a case, or joins the one its matter already has."""

from __future__ import annotations

from typing import Any

import msgspec

from hexi.kernel.ids import case_id
from hexi.kernel.place import Level
from hexi.kernel.scenario import Scenario
from hexi.kernel.signal import Signal
from hexi.spine import ask, drill, notify
from hexi.spine.close import rearm, reopen
from hexi.spine.scene import Scene, fold_key
from hexi.spine.work import CaseFile, Work


def open_or_join(work: Work, scenario: Scenario, scene: Scene) -> str:
    """The case the signal went to."""
    key = fold_key(scenario, scene)
    fresh = case_id(work.now, work.random)
    holder = work.tx.cases.fold(key, fresh, work.now)
    file = work.surviving(holder) if holder != fresh else None
    if file is None:
        _open(work, scenario, scene, key, fresh)
        return fresh
    _join(work, scenario, scene, file)
    return file.case.id


def show(work: Work, scenario: Scenario, scene: Scene) -> str:
    """The case is there for the desk to see, although nobody could be told."""
    key = fold_key(scenario, scene)
    fresh = case_id(work.now, work.random)
    holder = work.tx.cases.fold(key, fresh, work.now)
    file = work.surviving(holder) if holder != fresh else None
    if file is None:
        return _report(work, scenario, scene, key, fresh).case.id
    _add(file, scenario, scene)
    return file.case.id


def _open(work: Work, scenario: Scenario, scene: Scene, key: str, identity: str) -> None:
    file = _report(work, scenario, scene, key, identity)
    if scenario.ask and not work.catalogue.is_sos(scene.signal.kind):
        ask.start(work, file, scenario)
    else:
        notify.dispatch(work, file, scenario)


def _report(work: Work, scenario: Scenario, scene: Scene, key: str, identity: str) -> CaseFile:
    file = work.new_case(identity)
    file.log(
        "reported",
        fold_key=key,
        matter=scenario.matter,
        subject=scene.subject,
        device=scene.device_ref,
        place=_place(scene),
        drill=scene.drill,
        **drill.enter(work, scene.signal, identity),
        level=Level.COMMUNITY,
        **_demands(scenario, scene.signal),
        **_said(scene.signal),
    )
    rearm(work, file)
    return file


def _place(scene: Scene) -> dict[str, Any]:
    """The place as the log keeps it: position and codes; an address stays in its record."""
    place: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(scene.place, address=None))
    return place


def _demands(scenario: Scenario, signal: Signal) -> dict[str, Any]:
    return {
        "scenario": scenario.id,
        "version": scenario.version,
        "severity": scenario.case.severity,
        "promises": {name: signal.received + length for name, length in scenario.case.deadlines.items()},
        "evidence": list(scenario.case.evidence),
    }


def _said(signal: Signal) -> dict[str, Any]:
    """The signal as the log keeps it: enough to rebuild, without a person's own words."""
    kept = {
        "id": signal.id,
        "source": signal.source,
        "kind": signal.kind,
        "received": signal.received,
        "time": signal.time,
        "subject": signal.subject,
        "data": signal.data,
    }
    return {"signal": kept, "flags": list(signal.flags)}


def _join(work: Work, scenario: Scenario, scene: Scene, file: CaseFile) -> None:
    """Another signal of the matter: it may raise the case and start missing steps, never lower it."""
    cry = work.catalogue.is_sos(scene.signal.kind)
    if not file.case.is_open or (cry and _said_to_be_over(file)):
        reopen(work, file, by="system", reason=scene.signal.kind)
    _add(file, scenario, scene)
    known = scenario.id in file.case.scenarios
    if not known:
        file.log("raised", **_demands(scenario, scene.signal))
        rearm(work, file)
    if file.case.asked == "waiting" and (cry or not scenario.ask):
        ask.go_on(work, file, "overtaken")
    if not known and file.case.asked != "waiting":
        notify.dispatch(work, file, scenario)


def _add(file: CaseFile, scenario: Scenario, scene: Scene) -> None:
    """One more signal of the case; its own position says where the person is now."""
    file.log("joined", scenario=scenario.id, **_said(scene.signal))
    if scene.place.origin == "signal" and scene.place != file.case.place:
        file.log("moved", place=_place(scene))


def _said_to_be_over(file: CaseFile) -> bool:
    """Whether helpers have done their part and left: a cry that comes after it is a new one."""
    return not {"handled", "verified"}.isdisjoint(file.case.milestones)
