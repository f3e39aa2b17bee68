"""The connection over which measuring programs hand in: whole answers only, and made anew when it broke."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from bench.line import Line

WHOLE = (b"HTTP/1.1 202 Accepted\r\nContent-", b'Length: 7\r\n\r\n{"a"', b": 1")
OVER = (b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\nConnection: close\r\n\r\n{}",)
BROKEN = (b"HTTP/1.1 202 Accepted\r\nContent-Length: 700\r\n\r\n{",)
ENDLESS = (b"HTTP/1.1 202 Accepted\r\n\r\n{}",)


@contextmanager
def server(*connections: Sequence[Sequence[bytes]]) -> Iterator[tuple[str, list[bytes]]]:
    """Serve these connections one after the other, each with its answers in pieces; keep what was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answers in connections:
                line, _ = listening.accept()
                with line:
                    for pieces in answers:
                        asked.append(line.recv(65536))
                        for piece in pieces:
                            line.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        thread.join(60)


def test_answers_come_whole_over_one_connection() -> None:
    with server([WHOLE, WHOLE]) as (url, asked):
        line = Line(url, "/v1/deliveries", {"Authorization": "Bearer x"})
        assert [line.post({"Idempotency-Key": key}, b"body") for key in "ab"] == [(202, b'{"a": 1')] * 2
        line.close()
    assert asked[1].startswith(b"POST /v1/deliveries HTTP/1.1\r\nHost: 127.0.0.1:")
    assert asked[1].endswith(b"Authorization: Bearer x\r\nIdempotency-Key: b\r\nContent-Length: 4\r\n\r\nbody")


def test_a_connection_that_the_service_closes_is_made_anew() -> None:
    with server([OVER], [WHOLE]) as (url, _):
        line = Line(url, "/", {})
        assert line.post({}, b"") == (503, b"{}")
        assert line.post({}, b"") == (202, b'{"a": 1')
        line.close()


@pytest.mark.parametrize("pieces", [BROKEN, ENDLESS, ()])
def test_half_an_answer_is_none(pieces: Sequence[bytes]) -> None:
    with server([pieces], [WHOLE]) as (url, _):
        line = Line(url, "/", {})
        with pytest.raises(ConnectionError):
            line.post({}, b"")
        assert line.post({}, b"") == (202, b'{"a": 1')
        line.close()
