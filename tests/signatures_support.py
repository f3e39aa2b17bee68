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
from service.usecases.signatures.preparing import CardSignature
from service.usecases.signatures.views import SignatureRequestView, ToSign, ToSignView
from signing.webeid import Algorithm
from tests.card_support import Card, issue
from tests.pipeline_support import Pipeline
from tests.service_support import DOCUMENTS, RunningService
from tests.usecase_support import reader

PDF = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()


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
    more: Sequence[bytes] = (),
    key: str | None = None,
    **changes: Any,
) -> str:
    """Ask for signatures, of one document or of ``more``; the request's id."""
    body = json.dumps(asked(signers, **changes)).encode()
    uploads = [Upload("document", "overeenkomst.pdf", pdf)]
    uploads += [Upload("document", f"bijlage-{number}.pdf", each) for number, each in enumerate(more, 2)]
    return opening.open_request(pipeline.context, organisation, body, uploads, key=key or uuid.uuid4().hex).request_id


def card_of(pipeline: Pipeline, key: str = "an", **how: Any) -> Card:
    """The card of one of the fictional people, by the pipeline's own infrastructure."""
    return issue(pipeline.pki, number=RECIPIENTS[key].number, **how)


def who(pipeline: Pipeline, key: str = "an") -> Reader:
    """One of the fictional people, logged in."""
    return reader(pipeline, key)


def begin(pipeline: Pipeline, request: str, card: Card, key: str = "an") -> ToSign:
    """Show the card."""
    shown = card.signing_certificate()
    algorithms = [Algorithm(*each.values()) for each in shown["supportedSignatureAlgorithms"]]
    return signer.begin(pipeline.context, who(pipeline, key), request, shown["certificate"], algorithms)


def by_card(card: Card, to_sign: ToSign) -> CardSignature:
    """What the card makes of a single document."""
    (made,) = all_by_card(card, to_sign)
    return made


def all_by_card(card: Card, to_sign: ToSign) -> list[CardSignature]:
    """What the card makes of all documents, one after the other."""
    said = [card.sign(each, to_sign.hash_function) for each in to_sign.hashes]
    return [CardSignature(each["signature"], Algorithm(*each["signatureAlgorithm"].values())) for each in said]


def sign(pipeline: Pipeline, request: str, key: str = "an", card: Card | None = None) -> ToSignView:
    """Sign with a card, from its certificate to its PIN."""
    card = card or card_of(pipeline, key)
    made = all_by_card(card, begin(pipeline, request, card, key))
    return signer.sign(pipeline.context, who(pipeline, key), request, *made)


def seen(pipeline: Pipeline, organisation: uuid.UUID, request: str) -> SignatureRequestView:
    """As its sender sees it."""
    return sender.get(pipeline.context, organisation, request)


def document(pipeline: Pipeline, organisation: uuid.UUID, request: str, number: int = 1) -> bytes:
    """As it is now."""
    return sender.document(pipeline.context, organisation, request, number).content


def events(pipeline: Pipeline, organisation: uuid.UUID, request: str) -> list[str]:
    """What happened, as evidence."""
    return [each.event for each in sender.evidence_list(pipeline.context, organisation, request)]


def without_cards(pipeline: Pipeline) -> Pipeline:
    """The same, where no issuers of cards are set."""
    other = dataclasses.replace(pipeline)
    other.context = dataclasses.replace(pipeline.context, signers=None)
    return other


def ask_over_http(service: RunningService, *signers: dict[str, Any], more: Sequence[bytes] = (), **changes: Any) -> str:
    """Ask for signatures over HTTP, of one document or of ``more``."""
    answer = service.http.post(
        "/v1/signature-requests",
        headers={"Authorization": f"Bearer {service.token()}", "Idempotency-Key": uuid.uuid4().hex},
        files=[
            ("request", (None, json.dumps(asked(signers or [person()], **changes)).encode(), "application/json")),
            ("document", ("overeenkomst.pdf", PDF, "application/pdf")),
            *(("document", (f"bijlage-{number}.pdf", each, "application/pdf")) for number, each in enumerate(more, 2)),
        ],
    )
    assert answer.status_code == 202, answer.text
    request: str = answer.json()["id"]
    assert answer.headers["location"] == f"/v1/signature-requests/{request}"
    return request
