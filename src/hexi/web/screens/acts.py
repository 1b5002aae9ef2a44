"""Acts: what a person presses on a screen becomes a signal to the case."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from litestar import Response, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.params import FromPath
from litestar.response import Redirect

from hexi.kernel.signal import ACT_PREFIX, Signal
from hexi.spine.work import Taken
from hexi.web.access.guards import may
from hexi.web.access.permissions import Permission
from hexi.web.api.evidence import picture_type
from hexi.web.screens.desk import panel_values, seen_view
from hexi.web.screens.shell import Screens, Visit, speak, visitor_of
from hexi.web.screens.words import gettext, mark, say

FIELDS = ("text", "reason", "unit", "number", "said", "into", "outcome", "task", "type", "within", "role")
NUMBERS = ("lon", "lat")
MOST_BYTES = 10_000_000
_DONE = mark("Done: noted and sent to everyone concerned.")
_REPEAT = mark("Already noted.")
_TOO_LARGE = mark("A photo may have 10 MB at most.")
_NOT_IMAGE = mark("Only a photo can be attached.")


class Actor(NamedTuple):
    """Who acts, by which way, and by which door the act came in."""

    by: str
    via: str = "web"
    source: str = "web"


def act_signal(screens: Screens, case_id: str, act: str, actor: Actor, said: Mapping[str, Any]) -> Signal:
    """The signal of one press. ``said["press"]`` makes a second press of the same form a repeat."""
    data = {
        name: said[name] for name in (*FIELDS, *NUMBERS, "file", "proof") if said.get(name) not in (None, "")
    }
    return Signal(
        id=str(said.get("press") or secrets.token_urlsafe(12)),
        source=actor.source,
        kind=f"{ACT_PREFIX}{act}",
        received=screens.now(),
        subject=f"case:{case_id}",
        data={"by": actor.by, "via": actor.via, **data},
    )


async def do(screens: Screens, signal: Signal) -> Taken:
    """Hand one act in; returns after its commit."""
    (taken,) = await screens.platform.intake.submit([signal])
    return taken


@post("/cases/{case_id:str}/acts/{act:str}", guards=may(Permission.CASE_ACT), status_code=200)
async def act(
    request: Visit, screens: NamedDependency[Screens], case_id: FromPath[str], act: FromPath[str]
) -> Response[str] | Redirect:
    """An act from the desk or the case page: gives the case back as it then stands."""
    speak(request)
    caller = visitor_of(request)
    with screens.platform.store.read() as tx:
        seen_view(screens, tx, case_id, caller)
    said = await read_form(request, screens)
    if act == "evidence" and said.get("file"):
        said["type"] = "photo"
    taken = await do(screens, act_signal(screens, case_id, act, Actor(caller.ref), said))
    if not request.headers.get("hx-request"):
        return Redirect(f"/cases/{case_id}", status_code=303)
    return _live(request, screens, case_id, _answer(taken))


def _answer(taken: Taken) -> tuple[str, str]:
    """What to say: good news, and trouble."""
    if taken.fate == "refused":
        return "", say(taken.error)
    said = _REPEAT if taken.fate == "repeat" else _DONE
    return gettext(said), ""


def _live(request: Visit, screens: Screens, case_id: str, answer: tuple[str, str]) -> Response[str]:
    message, trouble = answer
    with screens.platform.store.read() as tx:
        view = seen_view(screens, tx, case_id, visitor_of(request))
    values = panel_values(visitor_of(request))
    shown = screens.page(
        request,
        "parts/live.html",
        409 if trouble else 200,
        view=view,
        buttons=True,
        message=message,
        trouble=trouble,
        **values,
    )
    shown.headers["hexi-fate"] = "refused" if trouble else "done"
    return shown


async def read_form(request: Visit, screens: Screens) -> dict[str, Any]:
    """The fields of a form; a photo is stored and named by its digest."""
    form = await request.form()
    said: dict[str, Any] = {name: str(value) for name, value in form.items() if isinstance(value, str)}
    said.pop("proof", None)  # a scan is proven by the page behind the code alone
    for name in NUMBERS:
        said[name] = _number(said.get(name))
    photo = form.get("photo")
    if isinstance(photo, UploadFile) and photo.filename:
        said["file"] = await _keep(photo, screens)
    return said


def _number(text: object) -> float | None:
    try:
        return float(str(text)) if text else None
    except ValueError:
        return None


async def _keep(photo: UploadFile, screens: Screens) -> str | None:
    content = await photo.read(MOST_BYTES + 1)
    if not content:
        return None
    if len(content) > MOST_BYTES:
        raise ClientException(gettext(_TOO_LARGE), status_code=413)
    kind = picture_type(content)
    if kind is None:
        raise ClientException(gettext(_NOT_IMAGE), status_code=415)
    return await asyncio.to_thread(screens.platform.files.put, content, kind)
