"""The published schema: the same for everybody, sent again only to who does not have it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from service.domain.evidence_schema import schema
from tests.api_support import application, door

ADDRESS = "/v1/schemas/evidence"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient[Any]]:
    folder: Path = tmp_path_factory.mktemp("schemas")
    with application(folder) as wired, door(wired) as found:
        yield found


def test_anybody_can_read_the_schema_and_keep_it(client: TestClient[Any]) -> None:
    answer = client.get(ADDRESS)
    assert (answer.status_code, answer.json()) == (200, schema())
    assert answer.headers["Content-Type"] == "application/schema+json"
    assert answer.headers["Cache-Control"] == "public, max-age=3600"


@pytest.mark.parametrize("known", ["{tag}", "W/{tag}", '"other", {tag}', "*"])
def test_who_has_it_is_not_sent_it_again(client: TestClient[Any], known: str) -> None:
    tag = client.get(ADDRESS).headers["ETag"]
    answer = client.get(ADDRESS, headers={"If-None-Match": known.format(tag=tag)})
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)


def test_who_has_another_is_sent_this_one(client: TestClient[Any]) -> None:
    assert client.get(ADDRESS, headers={"If-None-Match": '"another"'}).status_code == 200
