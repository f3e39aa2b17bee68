"""Posts to addresses that others chose: certificates that count, and nothing that outlasts its bound."""

import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from service.outgoing import Poster
from tests.signing_support import tls_context
from tests.webhook_support import HOST, receiving


def test_a_receiver_is_sent_something_only_if_its_certificate_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving(tls_context(tmp_path)) as receiver, receiving() as plain:
        with Poster([HOST]).line() as line:
            assert line.post(receiver.url, b"{}", {"webhook-id": "1"}).error == "broken"
            assert line.post(plain.url.replace("http:", "https:"), b"{}", {}).error == "broken"
            assert line.post(f"https://{HOST}:1/", b"{}", {}).error == "unreachable"
        assert (receiver.got, plain.got) == ([], [])
        authority = ssl.create_default_context(cafile=str(tmp_path / "tls.pem"))
        monkeypatch.setattr("service.outgoing._tls", lambda: authority)
        with Poster([HOST]).line() as line:
            assert line.post(receiver.url, b"{}", {"webhook-id": "1"}).status == 204
            # The same address under a name that the certificate does not have.
            other = Poster([HOST, "localhost"])
            with other.line() as wrong:
                assert wrong.post(receiver.url.replace(HOST, "localhost"), b"{}", {}).error == "broken"
        assert [each.id for each in receiver.got] == ["1"]


def test_a_name_that_is_looked_up_for_ever_takes_no_longer_than_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, asked = threading.Event(), list[str]()

    def endless(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        ended.wait(60)
        raise socket.gaierror

    monkeypatch.setattr("service.outgoing.socket.getaddrinfo", endless)
    monkeypatch.setattr("service.outgoing._LOOKUPS", threading.BoundedSemaphore(1))
    poster = Poster(seconds=0.2)
    began = time.monotonic()
    with poster.line() as line:
        assert line.post("https://endless.example/", b"{}", {}).error == "timeout"
        # All that may be looked up at a time is taken now: the next one waits, and no longer than it may.
        assert line.post("https://another.example/", b"{}", {}).error == "timeout"
    assert poster.refuses("https://another.example/")
    assert time.monotonic() - began < 20
    assert asked == ["endless.example"]
    ended.set()
