"""The gate: what every request passes before the site sees it.

Outermost: the host name, the safety headers, the signal door, and who the caller is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from time import perf_counter
from urllib.parse import quote

from hexi.connectors.asgi import (
    App,
    Message,
    Receive,
    Scope,
    Send,
    answer,
    answer_problem,
    bearer_of,
    read_headers,
)
from hexi.connectors.http import PATH
from hexi.connectors.problem import ProblemError
from hexi.connectors.tokens import DRILL, Tokens
from hexi.kernel.access import Token
from hexi.kernel.ports import StoreError
from hexi.kernel.text import Text
from hexi.spine.platform import Platform
from hexi.web.access.permissions import DEMO, ROLES, Caller
from hexi.web.access.sessions import Sessions, read_cookie

OPEN = frozenset({"/healthz", "/readyz", "/login", "/language", "/favicon.ico", "/api/v1/replies"})
OPEN_UNDER = ("/static/", "/r/", "/q/")
"""Addresses without credentials: they show nothing, or act by a signature of their own."""

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"permissions-policy": b"camera=(self), geolocation=(self), microphone=()",
}
Answered = Callable[[str, int, float], None]
"""Told of every answer: its method, its status, and the seconds until it began."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
_STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


class Gate:
    """The ASGI application around the site."""

    def __init__(
        self,
        site: App,
        platform: Platform,
        door: App,
        sessions: Sessions,
        answered: Answered | None = None,
    ) -> None:
        self._answered = answered
        self._site = site
        self._platform = platform
        self._door = door
        self._sessions = sessions
        self._tokens = Tokens(platform.store)
        self._safety = dict(_HEADERS)
        if platform.base_url.startswith("https://"):
            self._safety.update([_STRICT_TRANSPORT])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._site(scope, receive, send)
            return
        headers = read_headers(scope)
        guarded = self._guard(self._timed(scope, send) if self._answered else send)
        if self._platform.demo and not is_loopback(headers.get("host", "")):
            await answer_problem(
                guarded, ProblemError("misdirected", _LOOPBACK), headers.get("accept-language")
            )
        elif scope["path"] == PATH and scope["method"] != "GET":
            await self._door(scope, receive, guarded)
        else:
            await self._admit(scope, receive, guarded, headers)

    async def _admit(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str]) -> None:
        try:
            caller = await self.find_caller(headers)
        except StoreError:
            problem = ProblemError("unavailable", headers={"retry-after": "2"})
            await answer_problem(send, problem, headers.get("accept-language"))
            return
        if caller is None and not _is_open(scope, headers):
            await _challenge(scope, send, headers)
            return
        scope["user"], scope["auth"] = caller, None
        await self._site(scope, receive, send)

    async def find_caller(self, headers: Mapping[str, str]) -> Caller | None:
        """Who sent these headers. A token given is the only credential looked at."""
        if "authorization" in headers:
            secret = bearer_of(headers)
            token = await self._tokens.find(secret) if secret else None
            return caller_by(token) if token else None
        if self._platform.demo:
            return DEMO
        cookie = read_cookie(headers.get("cookie", ""))
        return await self._sessions.find(cookie) if cookie else None

    def _timed(self, scope: Scope, send: Send) -> Send:
        began, method = perf_counter(), scope["method"] if scope["method"] in _METHODS else "other"

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start" and self._answered:
                self._answered(method, message["status"], perf_counter() - began)
            await send(message)

        return timed

    def _guard(self, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                given += [(name, value) for name, value in self._safety.items() if name not in names]
                message = {**message, "headers": given}
            await send(message)

        return guarded


def caller_by(token: Token) -> Caller | None:
    """The caller that a token with the scope ``api`` (an operator) or ``api:<role>`` makes."""
    scopes = token.scope.split()
    for scope in scopes:
        kind, _, role = scope.partition(":")
        if kind == "api" and (role or "operator") in ROLES:
            return Caller(login=token.name, name=token.name, role=role or "operator", by_token=True)
    return Caller(login=token.name, name=token.name, role=DRILL, by_token=True) if DRILL in scopes else None


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine, so that no other name was made to point at it."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]").lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _is_open(scope: Scope, headers: Mapping[str, str]) -> bool:
    path: str = scope["path"]
    if path == "/metrics":
        return _is_local(scope, headers)
    return path in OPEN or path.startswith(OPEN_UNDER)


def _is_local(scope: Scope, headers: Mapping[str, str]) -> bool:
    """From this machine itself, and not passed on by a proxy on it."""
    passed_on = "x-forwarded-for" in headers or "forwarded" in headers
    client = scope.get("client")
    if passed_on or client is None:
        return False
    try:
        return ip_address(client[0]).is_loopback
    except ValueError:
        return False


async def _challenge(scope: Scope, send: Send, headers: Mapping[str, str]) -> None:
    wants_page = "text/html" in headers.get("accept", "") and not scope["path"].startswith("/api/")
    if wants_page and scope["method"] in {"GET", "HEAD"}:
        query = scope.get("query_string", b"").decode("latin-1")
        there = quote(scope["path"] + (f"?{query}" if query else ""), safe="/")
        await answer(send, 303, b"", {"location": f"/login?next={there}", "cache-control": "no-store"})
        return
    problem = ProblemError("unauthorized", headers={"www-authenticate": "Bearer"})
    await answer_problem(send, problem, headers.get("accept-language"))


_LOOPBACK = Text(
    zh="演示只在本机可用，请用 http://127.0.0.1 访问",
    en="the demo is for this machine only; open it as http://127.0.0.1",
)
