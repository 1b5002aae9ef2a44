"""CSRF: Litestar's, for everything a browser could be made to send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar.config.csrf import CSRFConfig
from litestar.datastructures import Headers
from litestar.middleware import DefineMiddleware
from litestar.middleware.csrf import CSRFMiddleware
from litestar.types import Receive, Scope, Send

from hexi.web.access.permissions import Caller

EXCLUDED = ["^/r/", "^/api/v1/replies$"]
"""Addresses that act by a signature of their own and look at no cookie."""

_BROWSER_ONLY = ("cookie", "origin", "sec-fetch-site")


def from_browser(headers: Mapping[str, str]) -> bool:
    """Whether a browser may have sent this without its user's will; programs add none of these."""
    return any(name in headers for name in _BROWSER_ONLY)


class BrowserCSRF(CSRFMiddleware):
    """Litestar's check, passed over by callers with a token and by programs without cookies."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, or pass on."""
        caller: Any = scope.get("user")
        by_token = isinstance(caller, Caller) and caller.by_token
        acts = scope.get("method") not in self.config.safe_methods
        if by_token or (acts and not from_browser(Headers.from_scope(scope))):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def csrf(secret: str, *, secure: bool) -> DefineMiddleware:
    """The middleware; its cookie is ``csrftoken``, its header ``x-csrftoken``, its field ``_csrf_token``."""
    config = CSRFConfig(secret=secret, cookie_secure=secure, cookie_samesite="lax", exclude=EXCLUDED)
    return DefineMiddleware(BrowserCSRF, config=config)
