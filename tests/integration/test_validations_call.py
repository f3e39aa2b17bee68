"""``POST /v1/validations``: any PDF, judged behind walls; no document makes it an error, and nothing is kept."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from litestar.testing import TestClient
from lxml import etree
from structlog.testing import capture_logs

from service.bootstrap import Application
from service.identity.scopes import Scope
from service.inspection.limits import InspectionLimits
from service.inspection.validating import Believed
from service.inspection.validator import Validator
from service.settings import SettingsRefused
from service.validators import validator as validator_of
from signing.seal import Sealer
from tests import inspection_support as made
from tests.api_support import application, bearer, door
from tests.signing_support import InProcessAuthority, plain_pdf, seal_key
from tests.trusted_list_support import list_xml, operator, signed_list

SEALED = Sealer(seal_key(), InProcessAuthority()).seal(plain_pdf(), at=datetime.now(UTC))
MOST = 2 * 1024 * 1024


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("home"), max_delivery_bytes=MOST) as one:
        yield one


@pytest.fixture(scope="module")
def client(wired: Application) -> Iterator[TestClient[Any]]:
    with door(wired) as one:
        yield one


def asked(wired: Application, client: TestClient[Any], body: bytes, path: str = "", **headers: str) -> Any:
    named = {"Content-Type": "application/pdf", **bearer(wired, Scope.VALIDATIONS_WRITE)}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/v1/validations{path}", content=body, headers=named)


def test_a_seal_of_ours_is_valid_and_everything_is_said_of_it(wired: Application, client: TestClient[Any]) -> None:
    answer = asked(wired, client, SEALED)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["verdict"], said["code"], said["strict"]) == ("valid", None, True)
    assert set(said["sentences"]) == {"nl", "fr", "de", "en"}
    (signature,) = said["signatures"]
    assert signature["level"] == "B-T"
    assert signature["coverage"] == "whole_file"
    assert signature["time"].endswith("Z")
    assert (signature["qualification"], signature["qualification_reason"]) == ("unknown", "no_lists")


def test_revocation_may_be_required(wired: Application, client: TestClient[Any]) -> None:
    said = asked(wired, client, SEALED, "?require_revocation=true").json()
    assert (said["verdict"], said["code"]) == ("indeterminate", "revocation_unknown")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (plain_pdf(), "no_signature"),
        (b"", "pdf_unreadable"),
        (b"no pdf", "pdf_unreadable"),
        (os.urandom(4096), "pdf_unreadable"),
        (SEALED[:-200], "pdf_unreadable"),
        (SEALED + b"more", "changed_afterwards"),
        (made.looping_pages(), None),
        (b"%PDF-1.7\n" + b"<<" * 900_000, None),
    ],
    ids=["unsigned", "empty", "text", "noise", "cut", "more", "loop", "open ends"],
)
def test_no_document_is_an_error(wired: Application, client: TestClient[Any], body: bytes, code: str | None) -> None:
    answer = asked(wired, client, body)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["verdict"] in {"indeterminate", "modified"}
    assert said["code"] is not None
    assert code is None or said["code"] == code


def test_the_standards_form_is_given_to_who_asks_for_it(wired: Application, client: TestClient[Any]) -> None:
    answer = asked(wired, client, SEALED, Accept="application/xml")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/xml")
    assert etree.fromstring(answer.content).tag.endswith("ValidationReport")
    refused = asked(wired, client, plain_pdf(), Accept="application/xml")
    assert (refused.status_code, refused.json()["code"]) == (422, "nothing_to_report")
    assert asked(wired, client, SEALED, Accept="text/html").status_code == 406


def test_who_may_call_and_with_what(wired: Application, client: TestClient[Any]) -> None:
    assert asked(wired, client, SEALED, Content_Type="text/plain").status_code == 415
    too_large = asked(wired, client, bytes(MOST + 1))
    assert (too_large.status_code, too_large.json()["code"]) == (413, "payload_too_large")
    other = bearer(wired, Scope.DELIVERIES_WRITE)
    assert asked(wired, client, SEALED, **other).status_code == 403
    assert client.post("/v1/validations", content=SEALED).status_code == 401


def test_a_body_without_a_length_is_stopped_where_it_is_too_long(wired: Application, client: TestClient[Any]) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(MOST // 65536 + 2):
            yield bytes(65536)

    headers = {"Content-Type": "application/pdf", **bearer(wired, Scope.VALIDATIONS_WRITE)}
    assert client.post("/v1/validations", content=pieces(), headers=headers).status_code == 413


def test_nothing_of_a_document_or_its_signer_is_logged(
    wired: Application, client: TestClient[Any], capfd: pytest.CaptureFixture[str]
) -> None:
    with capture_logs() as logged:
        asked(wired, client, SEALED)
        asked(wired, client, SEALED + b"more")
    written = "".join(capfd.readouterr()) + repr(logged)
    assert "Voorbeeld" not in written
    assert "Seal1" not in written


def test_a_reader_that_comes_to_nothing_is_an_indeterminate_answer(
    wired: Application, client: TestClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    probing = "tests.validation_probes_support"
    with Validator(InspectionLimits(processor=1), Believed(), program=probing) as probes:
        object.__setattr__(wired, "validator", lambda: probes)
        for probe, code in (("crash", "check_crashed"), ("spin", "check_timeout"), ("a lie", "check_crashed")):
            answer = asked(wired, client, f"probe:{probe}".encode())
            assert (answer.status_code, answer.json()["verdict"], answer.json()["code"]) == (200, "indeterminate", code)


def test_a_list_that_cannot_be_believed_keeps_the_service_from_starting(tmp_path: Path) -> None:
    good, stranger = tmp_path / "operator.pem", tmp_path / "stranger.pem"
    good.write_bytes(operator().certificate.public_bytes(Encoding.PEM))
    stranger.write_bytes(operator("stranger").certificate.public_bytes(Encoding.PEM))
    file = tmp_path / "list.xml"
    file.write_bytes(signed_list(list_xml()))
    (tmp_path / "home").mkdir()
    lists = {"trusted_lists": str(file)}
    with application(tmp_path / "home", **lists, trusted_list_operators=str(good)):
        pass
    with (
        pytest.raises(SettingsRefused, match="signer"),
        application(tmp_path / "home", **lists, trusted_list_operators=str(stranger)),
    ):
        pass
    with (
        pytest.raises(SettingsRefused, match="read"),
        application(tmp_path / "home", validation_roots=str(tmp_path / "none.pem")),
    ):
        pass


def test_the_service_knows_its_own_seals(wired: Application, tmp_path: Path) -> None:
    import contextlib

    (tmp_path / "office.cert.pem").write_bytes(seal_key().certificate.public_bytes(Encoding.PEM))
    with contextlib.ExitStack() as closing:
        one = validator_of(wired.settings, tmp_path, InspectionLimits(), closing)()
        again = Sealer(seal_key("rsa-3072"), InProcessAuthority()).seal(SEALED, at=datetime.now(UTC))
        assert one.validate(SEALED, at=datetime.now(UTC)).valid
        report = one.validate(again, at=datetime.now(UTC))
        assert [entry.verdict for entry in report.signatures] == ["modified", "valid"]
