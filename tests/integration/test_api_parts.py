"""The door over real parts in this process: what needs a database, a broker, a store."""

import hashlib
import socket
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlalchemy.orm import sessionmaker

from printing.providers.directory import DirectoryProvider
from service.api import readiness
from service.api.readiness import Probe, Readiness
from service.app import probes
from service.bootstrap import Application
from service.db.ids import ORGANISATION, public_id
from service.identity.scopes import Scope
from service.ledger import sequencer
from service.usecases import organisations
from service.usecases.log_head import StoredHead
from tests.api_support import bearer, door


@pytest.fixture
def client(application: Application) -> Iterator[TestClient[Any]]:
    with door(application) as found:
        yield found


def test_readiness_sees_every_part_that_is_there(client: TestClient[Any]) -> None:
    answer = client.get("/health/ready")
    assert answer.status_code == 200, answer.text
    parts = {part["name"]: part["state"] for part in answer.json()["parts"]}
    assert parts.pop("scanner") in {"up", "not_set"}
    assert parts == dict.fromkeys(
        (
            *("database", "store", "broker", "time-stamp authority", "identity provider", "mail server"),
            "print house",
        ),
        "up",
    )
    assert answer.json()["status"] == "ready"


def test_every_probe_says_so_when_its_part_is_away(application: Application, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        silent = taken.getsockname()[1]
        asked = {
            "redis": readiness.broker(f"redis://127.0.0.1:{silent}/0"),
            "amqp": readiness.broker(f"amqp://127.0.0.1:{silent}//"),
            "port": readiness.listener(f"http://127.0.0.1:{silent}/"),
            "file": readiness.listener(f"unix://{tmp_path}/none.sock"),
            "folder": readiness.print_house(DirectoryProvider(tmp_path / "none")),
        }
        away = Readiness({name: Probe(check, needed=False) for name, check in asked.items()}, seconds=10.0)
        states = {part.name: part.state for part in away.health().parts}
    assert states == dict.fromkeys(asked, "down")
    assert {name for name, probe in probes(application).items() if probe.needed} == {"database", "store", "scanner"}


def test_a_part_behind_a_socket_file_is_seen(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "part.sock"))
        listening.listen()
        assert readiness.listener(f"unix://{tmp_path}/part.sock")() is True


def test_an_empty_log_has_no_checkpoint_and_no_tiles(client: TestClient[Any]) -> None:
    nothing = client.get("/ledger/checkpoint")
    assert (nothing.status_code, nothing.json()["code"]) == (404, "checkpoint_none")
    none = client.get("/ledger/tile/0/000")
    assert (none.status_code, none.json()["code"]) == (404, "tile_unknown")


def test_what_is_wrong_with_an_id_is_not_told(
    application: Application, client: TestClient[Any], organisation: Callable[..., uuid.UUID]
) -> None:
    sender = organisation()
    with application.context.database.transaction() as session:
        organisations.ensure_client(session, sender, organisations.NewClient("program", "Program", "s" * 40, {*Scope}))
    auth = bearer(application, client_id="program", organisation=public_id(ORGANISATION, sender))
    for wrong in ("x", "dlv_", "evd_" + "0" * 32, "dlv_" + "0" * 32, "dlv_" + "G" * 32):
        answer = client.get(f"/v1/deliveries/{wrong}", headers=auth)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_token_of_a_program_that_is_gone_is_not_believed(application: Application, client: TestClient[Any]) -> None:
    for path in ("/v1/deliveries", "/v1/mailbox/messages"):
        answer = client.get(path, headers=bearer(application))
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


def test_a_full_tile_may_be_kept_for_ever_and_a_partial_one_for_a_while(
    application: Application, client: TestClient[Any]
) -> None:
    _publish(application, 257)
    full, partial = client.get("/ledger/tile/0/000"), client.get("/ledger/tile/0/001.p/1")
    assert (len(full.content), len(partial.content)) == (32 * 256, 32)
    assert full.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert partial.headers["Cache-Control"] == "public, max-age=60"
    assert full.headers["Content-Type"] == "application/octet-stream"
    note = client.get("/ledger/checkpoint")
    assert note.text.split("\n")[1] == "257"
    assert note.headers["Cache-Control"] == "public, max-age=1"


def _publish(application: Application, leaves: int) -> None:
    origin = application.log_signer.origin
    sessions = sessionmaker(application.context.database.engine)
    with sessions.begin() as session:
        sequencer.open_log(session, origin)
        digests = [hashlib.sha256(str(number).encode()).digest() for number in range(leaves)]
        sequencer.append(session, [(uuid.uuid4(), digest) for digest in digests])
    sequencer.tick(sessions, application.log_signer, StoredHead(application.store, origin), datetime.now(UTC))
