"""Connections that are too slow, too many or too long are cut off; everybody else is answered."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import uvicorn

from hexi.app.protocol import MOST_HEAD, BoundedProtocol, Bounds, is_elsewhere

HEAD, BODY = 0.4, 0.8
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def echo(scope, receive, send):
    """Answer once the whole body is there, or at once where nobody waits for it."""
    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(bounds: Bounds) -> Iterator[tuple[str, int]]:
    protocol = partial(BoundedProtocol, bounds)
    config = uvicorn.Config(
        echo, port=0, http=protocol, loop="uvloop", lifespan="off", log_config=None, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[:2]
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with serving(Bounds(None, HEAD, BODY)) as found:
        yield found


def lived(line: socket.socket, pieces: Iterator[bytes], pause: float = 0.1) -> float:
    """Seconds until the server cut the line, while pieces are sent; 3 when it never did."""
    line.settimeout(pause)
    began = time.monotonic()
    while time.monotonic() - began < 3:
        try:
            line.sendall(next(pieces, b""))
            if line.recv(4096) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


def drops(text: bytes, then: bytes = b"") -> Iterator[bytes]:
    yield text
    while True:
        yield then


@pytest.mark.parametrize(
    ("pieces", "least"),
    [
        (lambda: drops(b""), HEAD),
        (lambda: drops(b"GET / HT"), HEAD),
        (lambda: drops(b"GET / HTTP/1.1\r\n", b"x: y\r\n"), HEAD),
        (lambda: drops(GET, b"\r\n"), HEAD),
        (lambda: drops(GET + b"GET / HTTP/1.1\r\n", b"x: y\r\n"), HEAD),
        (lambda: drops(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999\r\n\r\n", b"a"), BODY),
        (lambda: drops(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 999\r\n\r\n", b"a"), HEAD),
    ],
    ids=[
        "silent",
        "half a line",
        "dripping",
        "blank lines",
        "second request",
        "dripping body",
        "after an answer",
    ],
)
def test_whoever_is_too_slow_is_cut_off(address, pieces, least):
    with socket.create_connection(address) as line:
        assert least - 0.05 <= lived(line, pieces()) < least + 1.2


def test_a_head_without_end_is_cut_off_by_its_size(address):
    with socket.create_connection(address) as line:
        line.sendall(b"GET / HTTP/1.1\r\n")
        assert lived(line, drops(b"", b"x: " + b"y" * (MOST_HEAD // 4) + b"\r\n"), 0.01) < HEAD


def test_a_large_body_and_a_long_answer_are_no_trouble(address):
    body = b"z" * 3_000_000
    with socket.create_connection(address) as line:
        for _ in range(3):
            head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
            line.sendall(head + body[: MOST_HEAD * 2])
            line.sendall(body[MOST_HEAD * 2 :])
            answer = line.recv(4096)
            while b"3000000" not in answer:
                answer += line.recv(4096)
            time.sleep(HEAD + 0.1)
            assert answer.startswith(b"HTTP/1.1 200")


def test_an_address_holds_so_many_connections_and_a_place_is_freed_by_leaving():
    bounds = Bounds(3, HEAD * 10, BODY, counts=lambda _: True)
    with serving(bounds) as address:
        lines = [socket.create_connection(address) for _ in range(3)]
        for line in lines:
            line.sendall(GET)
            assert line.recv(4096).startswith(b"HTTP/1.1 200")
        with socket.create_connection(address) as fourth:
            assert lived(fourth, drops(GET)) < 1
        lines.pop().close()
        time.sleep(0.2)
        with socket.create_connection(address) as again:
            again.sendall(GET)
            assert again.recv(4096).startswith(b"HTTP/1.1 200")
        for line in lines:
            line.close()
        time.sleep(0.2)
        assert not bounds.held


@pytest.mark.parametrize(
    ("address", "elsewhere"),
    [("127.0.0.1", False), ("::1", False), ("203.0.113.9", True), ("2001:db8::1", True), ("", False)],
)
def test_this_machine_is_not_counted(address, elsewhere):
    assert is_elsewhere(address) is elsewhere
