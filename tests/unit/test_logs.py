"""Logs: one JSON object a line where a machine reads, and never what belongs to a person."""

import io
import json
import logging

import pytest

from hexi.adapters.logs import PERSONAL, logger, request_log, set_up_logs

NUMBER = "13800000001"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def lines():
    stream = io.StringIO()
    set_up_logs("info", "auto", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.basicConfig(handlers=[], force=True)


def test_a_line_has_its_event_level_room_time_and_fields(lines):
    logger("hexi.test").info("case opened", case="261122-AAAA-BBBB")
    (line,) = lines()
    assert (line["event"], line["level"], line["logger"]) == ("case opened", "info", "hexi.test")
    assert line["case"] == "261122-AAAA-BBBB"
    assert line["timestamp"].endswith("Z")


def test_libraries_write_into_the_same_log(lines):
    logging.getLogger("uvicorn.error").warning("port %s", 8700)
    logging.getLogger("httpx").info("POST https://secret.example/token")
    assert [line["event"] for line in lines()] == ["port 8700"]


def test_lines_of_a_request_carry_its_id_and_others_do_not(lines):
    with request_log("r-1", user="user:boss"):
        logger("web").info("inside")
    logger("web").info("outside")
    inside, outside = lines()
    assert (inside["request_id"], inside["user"]) == ("r-1", "user:boss")
    assert "request_id" not in outside


@pytest.mark.parametrize("field", sorted(PERSONAL))
def test_personal_text_never_reaches_a_line(lines, field):
    logger("web").warning("look", **{field: "王秀英 13800000001"})
    assert "王秀英" not in str(lines())


def stumble(hidden):
    raise ValueError(len(hidden))


def test_an_exception_is_one_line_without_the_values_of_variables(lines):
    try:
        stumble(NUMBER)
    except ValueError:
        logger("web").exception("failed")
    (line,) = lines()
    assert "ValueError: 11" in line["exception"]
    assert NUMBER not in line["exception"]


def test_a_lower_level_is_not_written(lines):
    logger("web").debug("detail")
    assert lines() == []


def test_a_terminal_gets_words():
    stream = Terminal()
    set_up_logs("info", "auto", stream)
    logger("web").info("ready", port=1)
    logging.basicConfig(handlers=[], force=True)
    assert "ready" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
