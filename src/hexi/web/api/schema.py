"""OpenAPI 3.1 at /schema, made here and fetched from nowhere."""

from __future__ import annotations

from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    PathItem,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from hexi.connectors import problem
from hexi.connectors.http import PATH
from hexi.protocols import cloudevents

_STRING = Schema(type=OpenAPIType.STRING)

_EVENT = Schema(
    title="CloudEvent",
    type=OpenAPIType.OBJECT,
    required=["specversion", "id", "source", "type"],
    properties={
        "specversion": Schema(type=OpenAPIType.STRING, const="1.0"),
        "id": Schema(type=OpenAPIType.STRING, min_length=1, max_length=cloudevents.MAX_ID),
        "source": Schema(type=OpenAPIType.STRING, min_length=1, max_length=cloudevents.MAX_SOURCE),
        "type": Schema(type=OpenAPIType.STRING, min_length=1, max_length=cloudevents.MAX_KIND),
        "time": Schema(type=OpenAPIType.STRING, description="RFC 3339; a wrong one is flagged, not refused."),
        "subject": Schema(type=OpenAPIType.STRING, description="device:D1, person:E1, or a bare device id."),
        "data": Schema(type=OpenAPIType.OBJECT),
    },
)

_RESULT = Schema(
    title="Result",
    type=OpenAPIType.OBJECT,
    required=["id", "source", "status"],
    properties={
        "id": _STRING,
        "source": _STRING,
        "status": Schema(type=OpenAPIType.STRING, enum=["accepted", "repeat", "refused", "malformed"]),
        "case": _STRING,
        "flags": Schema(type=OpenAPIType.ARRAY, items=_STRING),
        "error": _STRING,
        "pointer": _STRING,
    },
)

_PROBLEM = Schema(
    title="Problem",
    type=OpenAPIType.OBJECT,
    required=["type", "title", "status"],
    properties={
        "type": Schema(type=OpenAPIType.STRING, enum=[problem.TYPE_PREFIX + name for name in problem.KINDS]),
        "title": _STRING,
        "status": Schema(type=OpenAPIType.INTEGER),
        "detail": _STRING,
    },
)

_ANSWERS = {
    202: "Committed; one result an event, in order.",
    400: "The body, or the only event in it, cannot be read; it is kept in quarantine.",
    401: "No valid token.",
    403: "The token may not do this.",
    408: "The body took too long.",
    413: "The body or the batch is too large.",
    415: "The content type carries no CloudEvents.",
    429: "Too often; never for a body with a cry for help in it.",
    503: "Nothing was stored or acknowledged; send it again.",
}


def config(version: str) -> OpenAPIConfig:
    """The configuration: /schema is JSON, and /schema/openapi.json and .yaml are there for tools."""
    return OpenAPIConfig(
        title="hexi",
        version=version,
        description="Signals in, cases and acts, indicators, records. Instants are milliseconds UTC.",
        path="/schema",
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"]), YamlRenderPlugin()],
        use_handler_docstrings=True,
    )


def add_signal_door(schema: OpenAPI) -> None:
    """Describe the bare route, which the framework does not see."""
    paths = schema.paths = schema.paths or {}
    item = paths.setdefault(PATH, PathItem())
    item.post = Operation(
        operation_id="SendSignals",
        summary="Send signals",
        description="CloudEvents 1.0: structured, batch, binary (ce- headers), or one event a line.",
        tags=["signals"],
        security=[{"bearer": []}],
        request_body=RequestBody(content=_contents(), required=True),
        responses={str(status): _response(status, text) for status, text in _ANSWERS.items()},
    )


def _contents() -> dict[str, OpenAPIMediaType]:
    many = Schema(type=OpenAPIType.ARRAY, items=_EVENT, max_items=cloudevents.MAX_EVENTS)
    return {
        cloudevents.STRUCTURED: OpenAPIMediaType(schema=_EVENT),
        cloudevents.BATCH: OpenAPIMediaType(schema=many),
        cloudevents.LINES: OpenAPIMediaType(schema=_STRING),
    }


def _response(status: int, text: str) -> OpenAPIResponse:
    if status != 202:
        return OpenAPIResponse(
            description=text, content={problem.CONTENT_TYPE: OpenAPIMediaType(schema=_PROBLEM)}
        )
    results = Schema(type=OpenAPIType.ARRAY, items=_RESULT)
    body = Schema(type=OpenAPIType.OBJECT, properties={"results": results})
    return OpenAPIResponse(description=text, content={"application/json": OpenAPIMediaType(schema=body)})
