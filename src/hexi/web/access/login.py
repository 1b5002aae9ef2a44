"""Log-in and log-out of people in browsers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import ceil
from typing import Any

import structlog
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.response import Redirect

from hexi.kernel.access import Account
from hexi.kernel.clock import SECOND
from hexi.kernel.text import Text
from hexi.spine.platform import Platform
from hexi.web.access.passwords import Verifier
from hexi.web.access.sessions import COOKIE, LIFE, Sessions, read_cookie
from hexi.web.access.throttle import Throttle

Visit = Request[Any, Any, Any]
Page = Callable[[Visit, int, Text | None, str], Response[str]]
"""Draws the form: status, what went wrong, and where to go afterwards."""

_log = structlog.get_logger("hexi.access")


class Logins:
    """The handlers of ``/login`` and ``/logout``."""

    def __init__(self, platform: Platform, sessions: Sessions, throttle: Throttle, page: Page) -> None:
        self._platform = platform
        self._sessions = sessions
        self._throttle = throttle
        self._page = page
        self._verifier = Verifier()
        self._secure = platform.base_url.startswith("https://")

    def routes(self) -> list[Any]:
        """What the site mounts."""

        @get("/login", include_in_schema=False)
        async def show(request: Visit) -> Response[str]:
            return self._page(request, 200, None, safe_next(request.query_params.get("next")))

        @post("/login", include_in_schema=False)
        async def log_in(request: Visit) -> Response[str]:
            return await self._log_in(request)

        @post("/logout", include_in_schema=False)
        async def log_out(request: Visit) -> Response[str]:
            return await self._log_out(request)

        return [show, log_in, log_out]

    async def _log_in(self, request: Visit) -> Response[str]:
        form = await request.form()
        login, password = str(form.get("login", "")).strip(), str(form.get("password", ""))
        after = safe_next(form.get("next") or request.query_params.get("next"))
        address = request.client.host if request.client else "unknown"
        wait = self._throttle.begin(login, address)
        if wait:
            return self._too_often(request, wait, after)
        account = await asyncio.to_thread(self._account, login)
        active = account if account and account.active else None
        if not await self._verifier.fits(active.hash if active else None, password) or active is None:
            _log.warning("log-in failed", address=address)
            return self._page(request, 401, _WRONG, after)
        self._throttle.succeeded(login, address)
        return self._welcome(await self._sessions.begin(active.login), after)

    def _account(self, login: str) -> Account | None:
        with self._platform.store.read() as tx:
            return tx.access.account(login)

    def _too_often(self, request: Visit, wait: float, after: str) -> Response[str]:
        seconds = max(1, ceil(wait))
        said = Text(
            zh=f"尝试过于频繁，请 {seconds} 秒后再试", en=f"Too many attempts; try again in {seconds} s"
        )
        response = self._page(request, 429, said, after)
        response.headers["retry-after"] = str(seconds)
        return response

    def _welcome(self, secret: str, after: str) -> Response[str]:
        cookie = Cookie(
            key=COOKIE,
            value=secret,
            max_age=LIFE // SECOND,
            path="/",
            httponly=True,
            secure=self._secure,
            samesite="lax",
        )
        return Redirect(after, status_code=303, cookies=[cookie], headers={"cache-control": "no-store"})

    async def _log_out(self, request: Visit) -> Response[str]:
        secret = read_cookie(request.headers.get("cookie", ""))
        if secret:
            await self._sessions.end(secret)
        gone = Cookie(key=COOKIE, value="", max_age=0, path="/", httponly=True, secure=self._secure)
        headers = {"clear-site-data": '"cache", "storage"'}
        return Redirect("/login", status_code=303, cookies=[gone], headers=headers)


def safe_next(said: object) -> str:
    """Where to go after the log-in: an address of this site, or the first page."""
    there = said if isinstance(said, str) else ""
    local = there.startswith("/") and not there.startswith(("//", "/\\")) and there.isprintable()
    return there if local and "\\" not in there else "/"


_WRONG = Text(zh="账号或密码不对", en="The account or the password is wrong")
