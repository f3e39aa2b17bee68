"""Whole ways of documents over HTTP, through the running service: from hand-in to a recipient, and to evidence."""

import hashlib
import http.client
import io
import json
from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pikepdf
import pytest

from service.cli.demo_calls import CallRefused, Paper
from signing.report import Level
from signing.trust import load_certificates
from signing.validate import validate
from tests.service_support import (
    DOCUMENTS,
    RunningService,
    batches_with,
    checked_by_qpdf,
    delivery_for,
    parts_of,
    signatures,
)

LETTER = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()


def refusal(act: Any) -> CallRefused:
    with pytest.raises(CallRefused) as caught:
        act()
    return caught.value


def assert_holds(service: RunningService, evidence: dict[str, Any]) -> None:
    checks = service.verify(evidence)
    assert [check for check in checks if check.ok is False] == []
    assert {"record", "inclusion", "checkpoint"} <= {check.name for check in checks if check.ok}


def test_a_letter_for_an_active_mailbox_is_read_there_and_each_step_is_evidenced(service: RunningService) -> None:
    handed = service.hand_in("an", subject="Uw aanslagbiljet staat klaar")
    assert handed["status"] == "received"
    delivery = service.until_status(handed["id"], "available")
    assert (delivery["channel"], delivery["registered"]) == ("digital", False)

    sealed = service.agency().sealed(handed["id"])
    assert hashlib.sha256(sealed).hexdigest() == delivery["documents"][0]["sha256"]
    assert delivery["documents"][0]["submitted_sha256"] == hashlib.sha256(LETTER).hexdigest()
    assert sealed.startswith(LETTER)
    assert "Signature is Valid." in signatures(sealed)
    checked_by_qpdf(sealed)

    reader = service.person("an")
    place = f"/v1/mailbox/messages/{handed['id']}"
    assert handed["id"] in {item["id"] for item in reader.ask("GET", "/v1/mailbox/messages").json()["items"]}
    assert refusal(lambda: reader.ask("GET", f"{place}/document")).code == "not_opened"
    opened = reader.ask("POST", f"{place}/open").json()
    assert opened["documents"][0]["filename"] == "brief.pdf"
    assert reader.ask("GET", f"{place}/document").content == sealed
    assert service.until_status(handed["id"], "opened")["effective_at"]

    events = ("SubmissionAcceptance", "ContentConsignment", "ConsignmentNotification", "ContentAccessTracking")
    for event, evidence in service.until_evidence(handed["id"], *events).items():
        assert evidence["record"]["event"] == event
        assert_holds(service, evidence)
    assert service.until_evidence(handed["id"], "ContentHandover")
    ids = {item["id"] for item in reader.ask("GET", f"{place}/evidence").json()["items"]}
    assert ids <= {item["id"] for item in service.agency().evidence(handed["id"])}


def test_the_seal_is_the_senders_own_and_leads_to_the_trusted_root(service: RunningService) -> None:
    roots = load_certificates(service.trust_anchor)
    for sender, name in (("tax", "Fictieve Belastingdienst"), ("voorbeeldegem", "Gemeente Voorbeeldegem")):
        handed = service.hand_in("lena", sender=sender)
        service.until_status(handed["id"], "available", sender=sender)
        sealed = service.agency(sender).sealed(handed["id"])
        assert name in signatures(sealed)
        report = validate(sealed, trust_roots=roots, at=datetime.now(UTC))
        assert report.valid
        assert [(found.level, found.trusted) for found in report.signatures] == [(Level.B_T, True)]


def test_a_notice_says_that_mail_came_and_nothing_of_what(service: RunningService) -> None:
    before = set(service.mail_folder.glob("*.eml"))
    handed = service.hand_in("cem", subject="Geheim onderwerp", reference=f"ref-{uuid4().hex[:8]}")
    service.until_evidence(handed["id"], "ConsignmentNotification")
    fresh = [
        BytesParser(policy=policy.default).parsebytes(file.read_bytes())
        for file in set(service.mail_folder.glob("*.eml")) - before
    ]
    mine = [message for message in fresh if message["Delivered-To"] == "cem@voorbeeld.test"]
    assert len(mine) == 1
    text = mine[0].as_string()
    assert "Geheim onderwerp" not in text
    assert handed["reference"] not in text
    assert handed["id"] not in text
    assert "http" not in text.lower()


def test_nobody_sees_a_message_that_is_somebody_elses(service: RunningService) -> None:
    handed = service.hand_in("an")
    service.until_status(handed["id"], "available")
    stranger = service.person("lena")
    place = f"/v1/mailbox/messages/{handed['id']}"
    for method, path in (("GET", place), ("POST", f"{place}/open"), ("GET", f"{place}/document")):
        assert refusal(lambda method=method, path=path: stranger.ask(method, path)).status == 404
    assert handed["id"] not in {item["id"] for item in stranger.ask("GET", "/v1/mailbox/messages").json()["items"]}


def test_a_letter_without_mailbox_is_printed_once_and_handed_over_with_evidence(service: RunningService) -> None:
    handed = service.hand_in("jan", attachments=[(DOCUMENTS / "letter-fr-chromium.pdf").read_bytes()])
    delivery = service.until_status(handed["id"], "handed_over")
    assert delivery["channel"] == "paper"
    [(manifest, pdf)] = batches_with(service, handed["id"])
    assert hashlib.sha256(pdf).hexdigest() == manifest["files"][0]["sha256"]
    assert len(pdf) == manifest["files"][0]["size"]
    [letter] = [each for each in manifest["letters"] if each["id"].startswith(handed["id"])]
    assert letter["address_lines"] == ["Jan Claes", "Molenweg 88", "8500 Kortrijk"]
    evidence = service.until_evidence(handed["id"], "SubmissionAcceptance", "RelayToNonERDS")
    for each in evidence.values():
        assert_holds(service, each)
    assert not list(service.print_folder.glob("*.TMP"))


def test_each_page_of_a_batch_belongs_to_one_letter_which_begins_on_a_fresh_sheet(service: RunningService) -> None:
    names = ("receipt-nl-reportlab.pdf", "letter-fr-chromium.pdf", "permit-nl-pdfa.pdf")
    handed = [service.hand_in("mia", (DOCUMENTS / name).read_bytes()) for name in names]
    for each in handed:
        service.until_status(each["id"], "handed_over")
    for manifest, pdf in [batch for each in handed for batch in batches_with(service, each["id"])]:
        with pikepdf.open(io.BytesIO(pdf)) as opened:
            pages = len(opened.pages)
        at = 1
        for letter in manifest["letters"]:
            assert letter["first_page"] == at
            assert not manifest["key"]["duplex"] or at % 2 == 1
            at += letter["pages"]
        assert at == pages + 1 == manifest["files"][0]["pages"] + 1
        ids = [letter["id"] for letter in manifest["letters"]]
        assert len(ids) == len(set(ids))


def test_registered_mail_goes_by_letter_to_whoever_agreed_to_ordinary_mail_only(service: RunningService) -> None:
    handed = service.hand_in("an", registered=True)
    delivery = service.until_status(handed["id"], "handed_over")
    assert delivery["channel"] == "paper"
    [(manifest, _)] = batches_with(service, handed["id"])
    assert manifest["key"]["registered"] is not None


def test_a_letter_abroad_carries_its_country(service: RunningService) -> None:
    handed = service.hand_in("abroad")
    service.until_status(handed["id"], "handed_over")
    [(manifest, _)] = batches_with(service, handed["id"])
    [letter] = [each for each in manifest["letters"] if each["id"].startswith(handed["id"])]
    assert letter["address_lines"][-1] == letter["address_lines"][-1].upper()
    assert len(letter["address_lines"]) == 4


def test_a_refused_document_leaves_nothing_and_frees_its_key(service: RunningService) -> None:
    reference, key = f"ref-{uuid4().hex[:8]}", uuid4().hex
    stored = _objects(service)
    for content, code in ((LETTER[: len(LETTER) // 2], "damaged"), (b"no pdf at all", "not_a_pdf")):
        refused = refusal(lambda content=content: service.hand_in("an", content, reference=reference, key=key))
        assert (refused.status, refused.code) == (422, code)
    assert service.agency().find(reference) is None
    assert _objects(service) - stored == set()
    handed = service.hand_in("an", reference=reference, key=key)
    assert service.agency().find(reference) == service.agency().delivery(handed["id"])


def _objects(service: RunningService) -> set[Path]:
    """What the vault holds of deliveries; nothing else may write to it while this test looks."""
    folder = Path(urlsplit(service.environment["STORAGE_URL"]).path)
    return {file for file in folder.rglob("*") if file.is_file() and "original" in str(file)}


def test_every_mistake_in_a_hand_in_is_pointed_out_at_once(service: RunningService) -> None:
    wrong = delivery_for("an") | {"subject": " "}
    wrong["recipient"] = wrong["recipient"] | {"id": "85073003329"}
    wrong["postal_address"] = wrong["postal_address"] | {"postcode": "90"}
    answer = service.http.post(
        "/v1/deliveries",
        files=parts_of(wrong, LETTER),
        headers={"Authorization": f"Bearer {service.token()}", "Idempotency-Key": uuid4().hex},
    )
    assert answer.status_code == 422
    pointers = {each["pointer"] for each in answer.json()["errors"]}
    assert {"/recipient/id", "/postal_address/postcode", "/subject"} <= pointers
    assert "85073003329" not in answer.text


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_sent(service: RunningService) -> None:
    place = urlsplit(service.base_url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)
    try:
        connection.putrequest("POST", "/v1/deliveries")
        headers = {
            "Authorization": f"Bearer {service.token()}",
            "Idempotency-Key": uuid4().hex,
            "Content-Type": "multipart/form-data; boundary=x",
            "Content-Length": str(200 * 1024 * 1024),
        }
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read())["code"] == "payload_too_large"
    finally:
        connection.close()


SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
ALL = sorted(DOCUMENTS.glob("*.pdf")) + sorted(SAMPLES.glob("*.pdf"))
REFUSED = {"libreoffice-writer-password.pdf": "encrypted", "libreoffice-form.pdf": "form_values_unseen"}
WITHOUT_FONTS = {
    "form-filled-fr.pdf", "signed-nl.pdf", "base64image.pdf", "imagemagick-images.pdf",
}  # fmt: skip
"""They say something in a font that is not in the file: nobody knows what a print house would print."""


@pytest.fixture(scope="module")
def handed_in(service: RunningService) -> dict[tuple[str, Path], str]:
    """Every sample handed in both ways, all before anything is waited for; their ids."""
    ids = {}
    for file in ALL:
        if file.name not in REFUSED:
            for recipient in ("lena", "mia"):
                ids[recipient, file] = service.hand_in(recipient, file.read_bytes(), name=file.name)["id"]
    return ids


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.name)
def test_real_documents_arrive_both_ways_sealed_and_unharmed(
    service: RunningService, handed_in: dict[tuple[str, Path], str], file: Path
) -> None:
    if file.name in REFUSED:
        assert refusal(lambda: service.hand_in("lena", file.read_bytes())).code == REFUSED[file.name]
        return
    digital, paper = handed_in["lena", file], handed_in["mia", file]
    service.until_status(digital, "available")
    sealed = service.agency().sealed(digital)
    said = signatures(sealed)
    assert said.count("Signature is Valid.") == said.count("Signature #") >= 1
    checked_by_qpdf(sealed)
    if file.name in WITHOUT_FONTS:
        told = service.until_status(paper, "undeliverable")["problems"]
        assert "FONT_NOT_EMBEDDED" in {each["code"] for each in told}
        service.until_evidence(paper, "RelayToNonERDSFailure")
        return
    service.until_status(paper, "handed_over")
    [(manifest, _)] = batches_with(service, paper)
    assert [each["id"] for each in manifest["letters"]].count(f"{paper}-1") == 1


def test_the_sender_may_hand_in_as_many_documents_as_the_limit_says(service: RunningService) -> None:
    handed = service.agency().hand_in(
        delivery_for("an"), Paper("a.pdf", LETTER), [Paper(f"{n}.pdf", LETTER) for n in range(9)], key=uuid4().hex
    )
    assert len(service.until_status(handed["id"], "available")["documents"]) == 10
    too_many = refusal(lambda: service.hand_in("an", attachments=[LETTER] * 10))
    assert too_many.code == "too_many_documents"
