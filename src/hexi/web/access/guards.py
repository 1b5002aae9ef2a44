"""Guards: the one way in which an address demands a permission."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar.connection import ASGIConnection, Request
from litestar.handlers.base import BaseRouteHandler

from hexi.connectors.problem import ProblemError
from hexi.kernel.text import Text
from hexi.spine.platform import Platform
from hexi.web.access.permissions import Caller, Permission

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], None]
Call = Request[Any, Any, Any]


def may(*permissions: Permission) -> list[Guard]:
    """Guards of an address that needs every one of these permissions."""

    def guard(connection: Connection, _: BaseRouteHandler) -> None:
        for permission in permissions:
            demand(caller_in(connection), permission)

    return [guard]


def demand(caller: Caller, permission: Permission) -> None:
    """ProblemError when the caller lacks a permission."""
    if not caller.may(permission):
        detail = Text(zh=f"需要权限 {permission.value}", en=f"this needs the permission {permission.value}")
        raise ProblemError("forbidden", detail)


def caller_in(connection: Connection) -> Caller:
    """Who the gate has found; ProblemError when nobody."""
    caller = connection.scope.get("user")
    if not isinstance(caller, Caller):
        raise ProblemError("unauthorized")
    return caller


def platform_of(connection: Connection) -> Platform:
    """The platform behind the site."""
    platform: Platform = connection.app.state.platform
    return platform
