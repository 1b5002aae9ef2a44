"""What every screen stands on: the visitor, the language, the templates, the platform."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response
from litestar.enums import MediaType
from litestar.utils.scope.state import ScopeState

from hexi.kernel.catalogue import Catalogue
from hexi.kernel.clock import Instant
from hexi.kernel.ports import CaseFilter
from hexi.spine.platform import Platform
from hexi.web.access.permissions import Caller, Permission
from hexi.web.screens import names, words
from hexi.web.screens.drawn import Drawn
from hexi.web.screens.queue import NAMES_FOR, Queue
from hexi.web.screens.report_cache import Reports

HERE = Path(__file__).resolve().parent.parent
STATIC = HERE / "static"
TEMPLATES = HERE / "templates"
Visit = Request[Any, Any, Any]
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No inline script or style, and nothing from elsewhere."""


def environment() -> Environment:
    """The templates, with words that follow the language of the page."""
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals["_"] = words.gettext
    env.globals["word"] = words.word
    env.globals["Permission"] = Permission
    env.filters.update(
        listed=words.listed,
        say=words.say,
        clock=names.clock,
        minute=names.minute,
        stamp=names.stamp,
        span=names.length,
    )
    return env


class Screens:
    """The platform with what is needed to show it."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.queue = Queue()
        self.reports = Reports(platform)
        self.drawn = Drawn(platform.hub)
        self.env = environment()
        self.env.globals["demo"] = platform.demo
        self.env.globals["version"] = platform.version

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of this moment; a reload puts another in its place."""
        return self.platform.spine.catalogue

    def now(self) -> Instant:
        """The present by the platform's clock."""
        return self.platform.clock.now()

    def render(self, request: Visit, template: str, **values: Any) -> str:
        """A template in the visitor's language."""
        words.LANGUAGE.set(language_of(request))
        context = {
            "language": words.LANGUAGE.get(),
            "visitor": visitor_of(request),
            "now": self.now(),
            "csrf": csrf_of(request),
            "path": request.url.path,
            "press": secrets.token_urlsafe(12),
            "message": "",
            "trouble": "",
            "next": "",
            **values,
        }
        return self.env.get_template(template).render(context)

    async def drawn_queue(self, request: Visit, caller: Caller) -> str:
        """The queue as the visitor sees it."""
        key = (language_of(request), caller.place, self.now() // NAMES_FOR, id(self.catalogue))
        return await self.drawn.get(key, lambda: self._draw_queue(request, caller))

    def _draw_queue(self, request: Visit, caller: Caller) -> str:
        speak(request)
        wanted = CaseFilter(open=True, **area(caller))
        with self.platform.store.read() as tx:
            rows = self.queue.rows(tx, self.catalogue, wanted, self.now())
            total = tx.cases.count(wanted)
        return self.render(request, "parts/queue.html", rows=rows, total=total)

    def page(self, request: Visit, template: str, status: int = 200, **values: Any) -> Response[str]:
        """A template as an answer, under the strict content policy."""
        return html(self.render(request, template, **values), status)


GUEST = Caller(login="", name="", role="guest")


def visitor_of(request: Visit) -> Caller:
    """Who is looking: whom the gate has found, else a guest without any permission."""
    caller = request.scope.get("user")
    return caller if isinstance(caller, Caller) else GUEST


def area(caller: Caller) -> dict[str, Any]:
    """The part of the district whose cases a visitor sees, as fields of a ``CaseFilter``."""
    if not caller.place:
        return {}
    return {"street": caller.place} if len(caller.place) == 9 else {"community": caller.place}


def html(content: str, status: int = 200) -> Response[str]:
    """A page or a piece of one."""
    headers = {
        "content-security-policy": POLICY,
        "cache-control": "no-store",
        "referrer-policy": "same-origin",
    }
    return Response(content, status_code=status, media_type=MediaType.HTML, headers=headers)


def language_of(request: Visit) -> str:
    """The language of the visitor's pages."""
    return words.choose_language(request.cookies.get("lang"), request.headers.get("accept-language", ""))


def speak(request: Visit) -> None:
    """Make the visitor's language that of all words said from here on."""
    words.LANGUAGE.set(language_of(request))


def csrf_of(request: Visit) -> str:
    """The token that the visitor's forms carry; empty where the site asks for none."""
    token = ScopeState.from_scope(request.scope).csrf_token
    return token if isinstance(token, str) else request.cookies.get("csrftoken", "")
