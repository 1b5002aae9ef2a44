"""The screens: one file each, drawn on the server, kept live by small changes."""

from __future__ import annotations

from typing import Any

from litestar import Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.response import Redirect
from litestar.static_files import create_static_files_router

from hexi.connectors.problem import ProblemError
from hexi.spine.platform import Platform
from hexi.web.access.permissions import Permission
from hexi.web.screens import (
    acts,
    answer,
    arrival,
    cases,
    demo,
    desk,
    door,
    drills,
    me,
    records,
    report,
    signals,
    wall,
)
from hexi.web.screens.shell import STATIC, Screens, Visit, speak, visitor_of
from hexi.web.screens.words import gettext, mark

_YEAR = 31_536_000
_TITLES = {
    403: mark("This is not permitted for you."),
    404: mark("There is no such page."),
}
_FAILED = mark("This did not work.")
_PAGES: list[Any] = [
    desk.desk,
    desk.queue,
    desk.panel,
    desk.open_case,
    desk.shift,
    acts.act,
    cases.case_page,
    cases.live,
    cases.look_at,
    cases.case_list,
    wall.wall,
    wall.wall_live,
    wall.points,
    wall.outlines,
    records.kinds,
    records.well_known,
    records.record_list,
    records.well_known_one,
    records.record,
    records.history,
    records.new_record,
    records.edit_record,
    records.suggest,
    records.save,
    signals.signals,
    signals.quarantine,
    signals.replay,
    answer.read_link,
    answer.press_link,
    arrival.read_code,
    arrival.press_code,
    door.door_code,
    door.renew_code,
    report.this_month,
    report.month_page,
    report.month_file,
    drills.drill_list,
    drills.drill_page,
    me.inbox,
    me.answer,
]
_DEMO: list[Any] = [
    demo.start,
    demo.pendant,
    demo.pendant_live,
    demo.press,
    demo.phones,
    demo.phones_live,
    demo.answer,
]


@get("/", sync_to_thread=False)
def front(request: Visit, screens: NamedDependency[Screens]) -> Redirect:
    """To the screen a visitor works with."""
    caller = visitor_of(request)
    if screens.platform.demo:
        return Redirect("/demo")
    if caller.role == "worker":
        return Redirect("/me")
    return Redirect("/desk" if caller.may(Permission.CASE_ACT) else "/wall")


@post("/language")
async def language(request: Visit) -> Redirect:
    """Remember a language, and go back."""
    form = await request.form()
    chosen = "en" if form.get("language") == "en" else "zh"
    cookie = Cookie("lang", value=chosen, max_age=_YEAR, samesite="lax", httponly=True)
    back = request.headers.get("referer", "/")
    same = back.startswith(str(request.base_url))
    return Redirect(back if same else "/", status_code=303, cookies=[cookie])


def on_trouble(request: Visit, error: Exception) -> Response[str]:
    """A page that says what went wrong."""
    speak(request)
    screens: Screens = Screens(request.app.state.platform)
    status = int(getattr(error, "status_code", 0) or getattr(error, "status", 500))
    said = gettext(_TITLES.get(status, _FAILED))
    detail = str(getattr(error, "detail", "") or "") if status not in _TITLES else ""
    return screens.page(request, "trouble.html", status, trouble=said, detail=detail)


def handlers(platform: Platform) -> list[Any]:
    """The pages of the platform; those of the demo only in a demo."""
    screens = Screens(platform)
    pages = Router(
        path="/",
        route_handlers=[front, language, *_PAGES, *(_DEMO if platform.demo else [])],
        dependencies={"screens": Provide(lambda: screens, sync_to_thread=False)},
        exception_handlers={HTTPException: on_trouble, ProblemError: on_trouble},
        include_in_schema=False,
    )
    static = create_static_files_router(
        path="/static", directories=[STATIC], cache_control=None, include_in_schema=False
    )
    return [pages, static]
