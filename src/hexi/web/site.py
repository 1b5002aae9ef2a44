"""The site: screens, JSON API, log-in and the signal door as one ASGI application."""

from __future__ import annotations

from typing import Any, NamedTuple

from litestar import Litestar, Request, Response
from litestar.datastructures import State

from hexi.adapters.metrics import Metrics
from hexi.connectors.asgi import Receive, Scope, Send, answer_problem, read_headers
from hexi.connectors.http import DoorLimits, SignalDoor
from hexi.connectors.problem import ProblemError
from hexi.kernel.text import Text
from hexi.protocols.standard_webhooks import read_key
from hexi.settings import Settings, channel_secret
from hexi.spine.platform import Platform
from hexi.web import api, screens
from hexi.web.access.csrf import csrf
from hexi.web.access.gate import Gate
from hexi.web.access.login import Logins, Page
from hexi.web.access.sessions import Sessions
from hexi.web.access.throttle import Throttle
from hexi.web.api import schema
from hexi.web.api.common import HANDLERS
from hexi.web.screens.shell import Screens, language_of

_FORM_SLACK = 64 * 1024
"""What a form adds around the file in it."""


class Doors(NamedTuple):
    """Who is let in here: people with their programs, and devices with their signals. Health always is."""

    people: bool = True
    signals: bool = True


_ALL = Doors()


def build_site(
    platform: Platform, settings: Settings, metrics: Metrics | None = None, doors: Doors = _ALL
) -> Litestar:
    """Everything that people and programs reach by HTTP, counted in ``metrics``."""
    sessions = Sessions(platform)
    logins = Logins(platform, sessions, Throttle(settings.limits.logins), _login_page(platform))
    state = {
        "platform": platform,
        "settings": settings,
        "sessions": sessions,
        "exposition": metrics.exposition if metrics else None,
        "reply_keys": reply_keys(settings),
    }
    site = Litestar(
        route_handlers=_handlers(platform, logins, doors),
        middleware=[csrf(platform.secret, secure=platform.base_url.startswith("https://"))],
        exception_handlers=HANDLERS,
        state=State(state, deep_copy=False),
        openapi_config=schema.config(platform.version) if doors.people else None,
        request_max_body_size=max(settings.limits.body, settings.limits.file + _FORM_SLACK),
        logging_config=None,
    )
    if doors.people:
        schema.add_signal_door(site.openapi_schema)
    door = _door(platform, settings, metrics) if doors.signals else _no_door
    answered = metrics.request if metrics else None
    site.asgi_handler = Gate(site.asgi_handler, platform, door, sessions, answered)  # type: ignore[arg-type,assignment]
    return site


def _handlers(platform: Platform, logins: Logins, doors: Doors) -> list[Any]:
    if doors.people:
        return [*screens.handlers(platform), *logins.routes(), *api.routes()]
    return api.machine_routes() if doors.signals else api.health_routes()


async def _no_door(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 -- an ASGI application
    """Signals are for a process with the role intake."""
    await answer_problem(
        send, ProblemError("not-found", _NO_DOOR), read_headers(scope).get("accept-language")
    )


_NO_DOOR = Text(zh="这个进程不接收信号", en="this process takes no signals")


def _door(platform: Platform, settings: Settings, metrics: Metrics | None) -> SignalDoor:
    limits = settings.limits
    allowed = DoorLimits(body=limits.body, batch=limits.batch, rate=limits.rate)
    return SignalDoor(platform, allowed, metrics.quarantined if metrics else None)


def reply_keys(settings: Settings) -> list[bytes]:
    """The keys of the gateways that may send replies: those of the webhook channels."""
    secrets = [channel_secret(channel) for channel in settings.channels.values() if channel.use == "webhook"]
    return [read_key(secret) for secret in secrets if secret]


def _login_page(platform: Platform) -> Page:
    drawn = Screens(platform)

    def page(request: Request[Any, Any, Any], status: int, trouble: Text | None, after: str) -> Response[str]:
        said = trouble.get(language_of(request)) if trouble else ""
        return drawn.page(request, "login.html", status, trouble=said, next=after)

    return page
