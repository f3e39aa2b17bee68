"""Addresses in the environment take the place of the embedded servers, and nothing else changes."""

import hashlib
from pathlib import Path
from typing import Any

from service.embedded.stack import Stack
from service.usecases.housekeeping import subject_of
from tests.e2e_demo_support import ARRIVING, Demo
from tests.pipeline_support import TestDatabase
from tests.s3_support import s3_server


def test_database_broker_and_store_of_somebody_else_serve_as_well(
    stack: Stack, database: TestDatabase, tmp_path: Path
) -> None:
    store = tmp_path / "a store"
    store.mkdir()
    given: dict[str, Any] = {
        "DATABASE_URL": database.app_url,
        "DATABASE_OWNER_URL": database.owner_url,
        "REDIS_URL": stack.environment["REDIS_URL"].removesuffix("/0") + "/1",
        "STORAGE_URL": store.as_uri(),
    }
    demo = Demo(tmp_path / "home", "--exit", **given)
    assert demo.end() == 0, demo.said
    assert "Every document came to its end" in demo.said
    home = {entry.name for entry in demo.home.iterdir()}
    assert home.isdisjoint({"postgres", "valkey", "store"})
    assert [entry for entry in store.rglob("*") if entry.is_file()]
    with database.database.transaction() as session:
        evidence = session.connection().exec_driver_sql("SELECT count(*) FROM ledger_leaf").scalar_one()
    assert evidence >= 2 * len(ARRIVING)


def test_an_s3_server_serves_as_the_store_of_every_process(tmp_path: Path) -> None:
    with s3_server() as server:
        given: dict[str, Any] = {"STORAGE_URL": server.address(), **server.credentials}
        demo = Demo(tmp_path / "home", "--exit", **given)
        assert demo.end() == 0, demo.said
        assert "Every document came to its end" in demo.said
        assert "store" not in {entry.name for entry in demo.home.iterdir()}
        found = {key.removeprefix("vault/"): content for key, content in server.objects().items()}
    # The ledger's head is there too, under a name of its own.
    kept = {path: content for path, content in found.items() if subject_of(path)}
    assert kept.keys() < found.keys()
    roles = {path.split("/")[1].partition("-")[0] for path in kept}
    # What the print house tells comes in its own time.
    assert {"original", "sealed", "print", "batch"} == roles - {"inbound", "scan"}
    for path, content in kept.items():
        assert hashlib.sha256(content).hexdigest() == path.rsplit("/", 1)[-1]
        assert b"%PDF" not in content
