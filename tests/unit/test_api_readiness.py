import socket
import threading
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from service.api.readiness import Probe, Readiness, any_listener, listener
from service.api.shapes import Health


def up() -> bool:
    return True


def down() -> bool:
    raise ConnectionRefusedError("redis://:hunter2@127.0.0.1")


def ask(**probes: tuple[Callable[[], object], bool]) -> Health:
    readiness = Readiness({name: Probe(check, needed) for name, (check, needed) in probes.items()})
    return readiness.health()


@pytest.mark.parametrize(
    ("database", "broker", "status"),
    [(up, up, "ready"), (up, down, "degraded"), (down, up, "unavailable"), (down, down, "unavailable")],
)
def test_only_a_needed_part_makes_the_service_unavailable(
    database: Callable[[], bool], broker: Callable[[], bool], status: str
) -> None:
    assert ask(database=(database, True), broker=(broker, False)).status == status


def test_every_part_is_named() -> None:
    health = ask(database=(up, True), scanner=(lambda: None, True), store=(lambda: False, False))
    assert [(part.name, part.state, part.needed) for part in health.parts] == [
        ("database", "up", True),
        ("scanner", "not_set", True),
        ("store", "down", False),
    ]
    assert health.status == "degraded"


def test_a_part_that_hangs_is_down_and_is_not_asked_again_meanwhile() -> None:
    let_go, asked = threading.Event(), []

    def hang() -> bool:
        asked.append(1)
        return let_go.wait(30)

    readiness = Readiness({"store": Probe(hang, needed=True)}, seconds=0.01, keep=0)
    try:
        assert readiness.health().status == "unavailable"
        assert readiness.health().status == "unavailable"
        assert len(asked) == 1
    finally:
        let_go.set()


def test_asking_often_asks_the_parts_rarely() -> None:
    asked = []

    def count() -> bool:
        asked.append(1)
        return True

    readiness = Readiness({"store": Probe(count, needed=True)}, keep=3600)
    for _ in range(5):
        assert readiness.health().status == "ready"
    assert len(asked) == 1


def test_the_log_learns_of_changes_only_and_of_no_address() -> None:
    readiness = Readiness({"broker": Probe(down, needed=False)}, keep=0)
    with capture_logs() as lines:
        readiness.health()
        readiness.health()
    assert [(line["event"], line["part"], line["error"]) for line in lines] == [
        ("part_changed", "broker", "ConnectionRefusedError")
    ]


def test_an_address_that_is_not_set_is_not_down() -> None:
    assert listener(None)() is None


@pytest.mark.parametrize(("scheme", "port"), [("smtp", 25), ("smtp+starttls", 587), ("smtps", 465), ("http", 80)])
def test_an_address_without_a_port_is_asked_at_the_usual_one(
    scheme: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def connect(address: object, **_: object) -> socket.socket:
        asked.append(address)
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", connect)
    assert listener(f"{scheme}://somewhere.example")() is True
    assert asked == [("somewhere.example", port)]


def test_one_of_several_addresses_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as there, socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{there.getsockname()[1]}"
        gone = f"http://127.0.0.1:{other.getsockname()[1]}"
        other.close()
        assert any_listener([gone, url])() is True
        assert any_listener([url, gone])() is True
        with pytest.raises(OSError, match="refused"):
            any_listener([gone, gone])()
