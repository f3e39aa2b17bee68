"""The JSON of a signature request: every mistake is pointed out at once, and no value is repeated."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from service.domain.errors import Invalid
from service.usecases.signatures.requests import check, read
from signing.signers import SignatureLevel
from tests.domain_support import USUAL
from tests.service_support import delivery_for
from tests.signatures_support import SEAL, asked, person

NOW = datetime.now(UTC)


def wrong(**changes: Any) -> dict[str | None, str]:
    with pytest.raises(Invalid) as caught:
        check(read(json.dumps(asked() | changes).encode()), USUAL, now=NOW)
    assert "85073003328" not in str([(each.detail, each.pointer) for each in caught.value.errors])
    return {each.pointer: each.code for each in caught.value.errors}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"signers": []}, "/signers"),
        ({"signers": [person(id="12345678901")]}, "/signers/0/id"),
        ({"signers": [person(), person()]}, "/signers/1/id"),
        ({"signers": [{"type": "citizen", "name": "An"}]}, "/signers/0/id"),
        ({"signers": [person(name=" ")]}, "/signers/0/name"),
        ({"signers": [person(email="nobody")]}, "/signers/0/email"),
        ({"signers": [person(way="seal")]}, "/signers/0/way"),
        ({"signers": [{**SEAL, "level": "qualified"}]}, "/signers/0/level"),
        ({"signers": [{**SEAL, "name": "X"}]}, "/signers/0/id"),
        ({"signers": [{**SEAL, "email": "seal@voorbeeld.test"}]}, "/signers/0/id"),
        ({"subject": "a\nb"}, "/subject"),
        ({"days": 91}, "/days"),
        ({"deliver": delivery_for("cem", reference="")}, "/deliver/reference"),
        ({"deliver": delivery_for("cem", digests={"document": "0" * 64})}, "/deliver/digests"),
    ],
)
def test_every_mistake_is_pointed_out(change: dict[str, Any], pointer: str) -> None:
    assert pointer in wrong(**change)


def test_all_mistakes_are_told_together() -> None:
    found = wrong(subject="", reference="x" * 101, signers=[person(id="1"), person(name="")])
    assert set(found) == {"/subject", "/reference", "/signers/0/id", "/signers/1/name"}


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_request_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        read(raw)
    assert caught.value.code == "signature_request_malformed"


def test_people_sign_qualified_and_seals_advanced_where_nothing_else_is_said() -> None:
    found = read(json.dumps(asked([person(), SEAL, person(level="advanced")])).encode())
    assert [each.wanted for each in found.signers] == [
        SignatureLevel.QUALIFIED,
        SignatureLevel.ADVANCED,
        SignatureLevel.ADVANCED,
    ]
