"""The scene of a signal: who it is about, where, and what a condition may know of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import cel
import msgspec

from hexi.kernel.clock import LOCAL, to_datetime
from hexi.kernel.directory import Device, Person, in_test
from hexi.kernel.place import Location, point_in
from hexi.kernel.scenario import Scenario
from hexi.kernel.signal import DRILL_SOURCE, Flag, Signal
from hexi.spine.directory import Whose
from hexi.spine.work import Work

_NOWHERE = Location()
_PRIVATE = ("medical_note", "door_code", "key_holder", "phone", "addresses")


class Scene(NamedTuple):
    """A signal with the person, device and place it is about."""

    signal: Signal
    subject: str | None
    """``person:...`` when the person is known, else what the signal named."""
    person: Person | None
    device: Device | None
    device_ref: str | None
    place: Location

    @property
    def drill(self) -> bool:
        """An exercise or an installer's test."""
        return Flag.DRILL in self.signal.flags


def look(work: Work, signal: Signal) -> Scene:
    """Find out who and where; what is unknown is flagged and never refused."""
    said = signal.subject or ""
    kind = said.partition(":")[0]
    whose = work.directory.whose(said)
    device, person, _ = whose
    flags = _doubts(kind, device, person)
    if device and in_test(device, work.now):
        flags.append(Flag.DRILL)
    return Scene(
        signal=signal.flagged(*flags) if flags else signal,
        subject=f"person:{person.id}" if person else signal.subject,
        person=person,
        device=device,
        device_ref=signal.subject if kind == "device" else _device_in(signal),
        place=_locate(work, signal, whose),
    )


def unseen(signal: Signal) -> Scene:
    """The scene when nothing can be found out: only what the signal itself says of whom it is about."""
    flagged = signal.flagged(Flag.UNKNOWN_PERSON)
    return Scene(
        signal=flagged,
        subject=signal.subject,
        person=None,
        device=None,
        device_ref=signal.subject if (signal.subject or "").startswith("device:") else None,
        place=Location(),
    )


def _doubts(kind: str, device: Device | None, person: Person | None) -> list[str]:
    flags: list[str] = []
    if kind == "device" and device is None:
        flags.append(Flag.UNKNOWN_DEVICE)
    if person is None and kind in {"", "person"}:
        flags.append(Flag.UNKNOWN_PERSON)
    return flags


def _device_in(signal: Signal) -> str | None:
    named = signal.data.get("device")
    return f"device:{named}" if isinstance(named, str) and named else None


def _locate(work: Work, signal: Signal, whose: Whose) -> Location:
    """The signal's own position, else where the device is fixed, else the registered home."""
    device, _, home = whose
    own = point_in(signal.data)
    if own:
        return msgspec.structs.replace(work.locator.locate(own), point=own, origin="signal")
    fixed = point_in({"lon": device.lon, "lat": device.lat}) if device and not home else None
    if fixed:
        return msgspec.structs.replace(work.locator.locate(fixed), point=fixed, origin="device")
    if home and home.point and not home.community:
        found = work.locator.locate(home.point)
        return msgspec.structs.replace(found, point=home.point, address=home.address, origin="home")
    return home or _NOWHERE


def context(scene: Scene, functions: dict[str, Any]) -> cel.Context:
    """What CEL sees; made once per signal. Nothing sensitive is in it."""
    moment = to_datetime(scene.signal.received, LOCAL)
    signal = scene.signal
    return cel.Context(
        variables={
            "data": signal.data,
            "signal": {"kind": signal.kind, "source": signal.source, "flags": list(signal.flags)},
            "subject": _public(scene.person),
            "device": _public(scene.device),
            "place": msgspec.to_builtins(scene.place),
            "local": {
                "hour": moment.hour,
                "minute": moment.minute,
                "weekday": moment.isoweekday(),
                "day": moment.date().isoformat(),
            },
        },
        functions=functions,
    )


def _public(entry: Person | Device | None) -> dict[str, Any]:
    if entry is None:
        return {}
    known: dict[str, Any] = msgspec.to_builtins(entry)
    return {name: value for name, value in known.items() if value is not None and name not in _PRIVATE}


def fold_key(scenario: Scenario, scene: Scene) -> str:
    """Under which key signals belong to one case; a signal about nothing known stands alone.

    An exercise never shares a case with the real thing, nor with another exercise.
    """
    values = [_value(name, scene) for name in scenario.signal.same_case.by]
    if any(value is None for value in values):
        values.append("/".join(scene.signal.key))
    matter = f"{_exercise(scene.signal)}|{scenario.matter}" if scene.drill else scenario.matter
    return "|".join([matter, *(str(value) for value in values if value is not None)])


def _exercise(signal: Signal) -> str:
    return signal.source if signal.source.startswith(DRILL_SOURCE) else "drill"


def _value(name: str, scene: Scene) -> str | None:
    if name == "subject":
        return scene.subject or scene.device_ref
    if name == "device":
        return scene.device_ref or scene.subject
    if name == "source":
        return scene.signal.source
    if name.startswith("data."):
        value = scene.signal.data.get(name[5:])
        return None if value is None else str(value)
    value = getattr(scene.place, name, None)
    return None if value is None else str(value)
