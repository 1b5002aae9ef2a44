"""What is written about the running platform: JSON lines, or coloured text on a terminal.

Log lines carry references (``person:E00001``, case ids, request ids), never names, telephone numbers
or what somebody said: fields that could hold such text are dropped before a line is written.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog

PERSONAL = frozenset(
    {
        "address",
        "authorization",
        "birth_date",
        "body",
        "cookie",
        "data",
        "door_code",
        "key_holder",
        "medical_note",
        "name",
        "password",
        "phone",
        "raw",
        "secret",
        "text",
        "token",
    }
)
"""Fields that never reach a log line."""


def set_up_logs(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Send our log and that of the libraries to a stream (stderr) from a least level on.

    ``form`` is ``json``, ``text``, or ``auto``: text when the stream is a terminal.
    """
    stream = stream or sys.stderr
    as_text = form == "text" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(as_text=as_text, colours=stream.isatty()))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # it brings handlers of its own
        theirs = logging.getLogger(name)
        theirs.handlers, theirs.propagate = [], True
        theirs.setLevel(logging.NOTSET)
    for noisy in ("httpx", "httpcore", "apprise", "alembic", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def logger(room: str) -> structlog.stdlib.BoundLogger:
    """The log of a room of the platform; events are plain words, details are fields."""
    log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(room)
    return log


@contextmanager
def request_log(request_id: str, **fields: str) -> Iterator[None]:
    """Every line written inside carries the request's id and the given fields."""
    with structlog.contextvars.bound_contextvars(request_id=request_id, **fields):
        yield


def _shared() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _without_personal_text,
    ]


def _without_personal_text(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in PERSONAL & event.keys():
        event[name] = "(left out)"
    return event


def _formatter(*, as_text: bool, colours: bool) -> structlog.stdlib.ProcessorFormatter:
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)
        if as_text
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    final: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if not as_text:
        final.append(structlog.processors.format_exc_info)
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_shared(), processors=[*final, renderer])
