"""For tests of signature requests: who asks, who signs, and with which card."""

import dataclasses
import json
import uuid
from collections.abc import Sequence
from typing import Any

from service.embedded.fictional import RECIPIENTS
from service.usecases.admission import Upload
from service.usecases.mailbox import Reader
from service.usecases.signatures import opening, sender, signer
from service.usecases.signatures.signer import CardSignature
from service.usecases.signatures.views import SignatureRequestView, ToSignView
from signing.webeid import Algorithm
from tests.card_support import Card, issue
from tests.pipeline_support import Pipeline
from tests.service_support import DOCUMENTS, RunningService
from tests.usecase_support import reader

PDF = (DOCUMENTS / "notice-nl-ghostscript.pdf").read_bytes()


def person(key: str = "an", **changes: Any) -> dict[str, Any]:
    """A signer's part for one of the fictional people."""
    known = RECIPIENTS[key]
    return {"type": "citizen", "id": known.number, "name": known.name, **changes}


SEAL = {"type": "organisation", "way": "seal"}


def asked(signers: Sequence[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """The JSON of a request."""
    usual = {"reference": "2026-OVK-1", "subject": "Overeenkomst", "language": "nl"}
    return {**usual, "signers": list(signers or [person()]), **changes}


def ask(
    pipeline: Pipeline,
    organisation: uuid.UUID,
    signers: Sequence[dict[str, Any]] | None = None,
    *,
    pdf: bytes = PDF,
    key: str | None = None,
    **changes: Any,
) -> str:
    """Ask for signatures; the request's id."""
    body = json.dumps(asked(signers, **changes)).encode()
    uploads = [Upload("document", "overeenkomst.pdf", pdf)]
    return opening.open_request(pipeline.context, organisation, body, uploads, key=key or uuid.uuid4().hex).request_id


def card_of(pipeline: Pipeline, key: str = "an", **how: Any) -> Card:
    """The card of one of the fictional people, by the pipeline's own infrastructure."""
    return issue(pipeline.pki, number=RECIPIENTS[key].number, **how)


def who(pipeline: Pipeline, key: str = "an") -> Reader:
    """One of the fictional people, logged in."""
    return reader(pipeline, key)


def begin(pipeline: Pipeline, request: str, card: Card, key: str = "an") -> signer.ToSign:
    """Show the card."""
    shown = card.signing_certificate()
    algorithms = [Algorithm(*each.values()) for each in shown["supportedSignatureAlgorithms"]]
    return signer.begin(pipeline.context, who(pipeline, key), request, shown["certificate"], algorithms)


def by_card(card: Card, to_sign: signer.ToSign) -> CardSignature:
    """What the card makes of it."""
    said = card.sign(to_sign.hash, to_sign.hash_function)
    return CardSignature(said["signature"], Algorithm(*said["signatureAlgorithm"].values()))


def sign(pipeline: Pipeline, request: str, key: str = "an", card: Card | None = None) -> ToSignView:
    """Sign with a card, from its certificate to its PIN."""
    card = card or card_of(pipeline, key)
    made = by_card(card, begin(pipeline, request, card, key))
    return signer.sign(pipeline.context, who(pipeline, key), request, made)


def seen(pipeline: Pipeline, organisation: uuid.UUID, request: str) -> SignatureRequestView:
    """As its sender sees it."""
    return sender.get(pipeline.context, organisation, request)


def document(pipeline: Pipeline, organisation: uuid.UUID, request: str) -> bytes:
    """As it is now."""
    return sender.document(pipeline.context, organisation, request).content


def events(pipeline: Pipeline, organisation: uuid.UUID, request: str) -> list[str]:
    """What happened, as evidence."""
    return [each.event for each in sender.evidence_list(pipeline.context, organisation, request)]


def without_cards(pipeline: Pipeline) -> Pipeline:
    """The same, where no issuers of cards are set."""
    other = dataclasses.replace(pipeline)
    other.context = dataclasses.replace(pipeline.context, signers=None)
    return other


def ask_over_http(service: RunningService, *signers: dict[str, Any], **changes: Any) -> str:
    """Ask for signatures over HTTP."""
    answer = service.http.post(
        "/v1/signature-requests",
        headers={"Authorization": f"Bearer {service.token()}", "Idempotency-Key": uuid.uuid4().hex},
        files=[
            ("request", (None, json.dumps(asked(signers or [person()], **changes)).encode(), "application/json")),
            ("document", ("overeenkomst.pdf", PDF, "application/pdf")),
        ],
    )
    assert answer.status_code == 202, answer.text
    request: str = answer.json()["id"]
    assert answer.headers["location"] == f"/v1/signature-requests/{request}"
    return request
