"""The JSON API under /api/v1."""

from __future__ import annotations

from typing import Any

from litestar import Router
from litestar.di import Provide

from hexi.web.api import (
    accounts,
    cases,
    changes,
    drills,
    evidence,
    health,
    indicators,
    records,
    replies,
    rosters,
    signals,
)

PATH = "/api/v1"


def routes() -> list[Any]:
    """Everything the site mounts for programs."""
    cases_router = Router(
        "/",
        route_handlers=[cases.list_cases, cases.get_case, cases.do_act],
        dependencies={
            "about": Provide(cases.wanted, sync_to_thread=False),
            "area": Provide(cases.where, sync_to_thread=False),
        },
        tags=["cases"],
    )
    indicator_router = Router(
        "/",
        route_handlers=[
            indicators.list_indicators,
            indicators.get_indicator,
            indicators.get_indicator_cases,
        ],
        dependencies={"wanted": Provide(indicators.area, sync_to_thread=False)},
        tags=["indicators"],
    )
    rest = [
        *records.ROUTES,
        *signals.ROUTES,
        *evidence.ROUTES,
        *rosters.ROUTES,
        *replies.ROUTES,
        *changes.ROUTES,
        *accounts.ROUTES,
        *drills.ROUTES,
    ]
    return [Router(PATH, route_handlers=[cases_router, indicator_router, *rest]), *health.ROUTES]


def machine_routes() -> list[Any]:
    """What a process mounts that takes signals and shows nothing: the answers of gateways, and its health."""
    return [Router(PATH, route_handlers=[*replies.ROUTES]), *health.ROUTES]


def health_routes() -> list[Any]:
    """What every process mounts."""
    return [*health.ROUTES]
