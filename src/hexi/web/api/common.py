"""What the API's addresses share: paging, places, and the answer to everything that goes wrong."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import QueryParameter

from hexi.connectors.problem import (
    CONTENT_TYPE,
    FieldFault,
    ProblemError,
    choose_language,
    kind_of_status,
)
from hexi.kernel.case import Case
from hexi.kernel.clock import Instant, parse_instant
from hexi.kernel.ports import StoreError, Transaction
from hexi.kernel.text import Text
from hexi.spine.intake import OverloadedError
from hexi.web.access.permissions import Caller

Limit = Annotated[int, QueryParameter(ge=1, le=500, description="How many at most.")]
Offset = Annotated[int, QueryParameter(ge=0, le=1_000_000, description="How many to pass over.")]
Moment = Annotated[
    str | None, QueryParameter(description="RFC 3339 with offset, such as 2026-05-01T08:00:00Z.")
]
Day = Annotated[str | None, QueryParameter(pattern=r"^\d{4}-\d\d-\d\d$", description="Such as 2026-05-01.")]

_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger("hexi.web")


class Zone(msgspec.Struct, frozen=True):
    """A street and a community a list is limited to; ``empty`` when the wish lies outside what is allowed."""

    street: str | None
    community: str | None
    empty: bool = False


def zone(caller: Caller, street: str | None, community: str | None) -> Zone:
    """The wish, narrowed to the caller's place."""
    if caller.place is None:
        return Zone(street, community)
    if len(caller.place) == 9:
        outside = (street or caller.place) != caller.place
        outside |= community is not None and not community.startswith(caller.place)
        return Zone(caller.place, community, outside)
    outside = (community or caller.place) != caller.place
    outside |= street is not None and not caller.place.startswith(street)
    return Zone(street, caller.place, outside)


def moment(name: str, said: str | None) -> Instant | None:
    """An instant of the query; ProblemError when it cannot be read."""
    if said is None:
        return None
    try:
        return parse_instant(said.replace(" ", "+"))
    except (ValueError, OverflowError):
        message = Text(zh="应为带时区的时间，如 2026-05-01T08:00:00Z", en="write 2026-05-01T08:00:00Z")
        raise ProblemError("invalid", errors=[FieldFault(f"/{name}", message)]) from None


def case_for(tx: Transaction, case_id: str, caller: Caller) -> Case:
    """A case the caller may see; outside their place it is as if there were none."""
    case = tx.cases.get(case_id)
    if case is None or not caller.sees_case(case):
        raise ProblemError("not-found", Text(zh=f"没有案件 {case_id}", en=f"there is no case {case_id}"))
    return case


def answer_problem(request: Request[Any, Any, Any], problem: ProblemError) -> Response[bytes]:
    """A problem in the caller's language: JSON for programs, a line of text for a person's page."""
    language = choose_language(request.headers.get("accept-language"))
    headers = {"content-language": language, **problem.headers}
    return Response(
        _encode(problem.body(language)), status_code=problem.status, headers=headers, media_type=CONTENT_TYPE
    )


def on_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """One of our own problems."""
    return answer_problem(request, error if isinstance(error, ProblemError) else ProblemError("failed"))


def on_http(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A problem that the framework found."""
    if not isinstance(error, HTTPException):
        return on_failure(request, error)
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    detail = (
        Text(zh=error.detail, en=error.detail) if error.detail.strip() and error.status_code < 500 else None
    )
    kind = "invalid" if isinstance(error, ValidationException) else kind_of_status(error.status_code)
    return answer_problem(request, ProblemError(kind, detail, headers=headers, errors=_faults(error)))


def _faults(error: HTTPException) -> list[FieldFault]:
    extra = error.extra if isinstance(error.extra, list) else []
    found = [part for part in extra if isinstance(part, dict) and part.get("message")]
    return [_fault(str(part.get("key", "")), str(part["message"])) for part in found]


def _fault(key: str, message: str) -> FieldFault:
    return FieldFault("/" + key.replace(".", "/") if key else "", Text(zh=message, en=message))


def on_store(request: Request[Any, Any, Any], _: Exception) -> Response[bytes]:
    """The store could not do it now."""
    return answer_problem(request, ProblemError("unavailable", headers={"retry-after": "2"}))


def on_failure(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A mistake of ours: logged whole, told without a word of it."""
    _log.error("request failed", method=request.method, path=request.scope["path"], exc_info=error)
    return answer_problem(request, ProblemError("failed"))


HANDLERS: dict[int | type[Exception], Any] = {
    ProblemError: on_problem,
    HTTPException: on_http,
    StoreError: on_store,
    OverloadedError: on_store,
    500: on_failure,
}
"""The answer to every exception."""
