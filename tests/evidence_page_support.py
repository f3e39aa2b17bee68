"""Evidence files made without a database, and what stands on a page that was made of them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import msgspec
import pikepdf
import pypdfium2

from service.domain.evidence import REASONS, RELAYS, AssuranceLevel, EvidenceEvent, External, Part, Party
from service.domain.evidence_record import Identification, LegalBasis, Letter, record
from service.domain.states import Actor
from service.ledger import entry, evidence_proof, merkle
from service.ledger.checkpoint import Checkpoint
from service.ledger.evidence_proof import PublishedProof
from service.ledger.proof import TlogProof
from service.usecases.evidence_page.contents import contents
from service.usecases.evidence_page.rendering import render
from service.usecases.evidence_page.told import Evidence
from service.usecases.evidence_page.wording import wording
from tests.ledger_support import leaves, signer
from tests.signing_support import InProcessAuthority

WHEN = datetime(2026, 11, 23, 13, 5, 12, 123456, tzinfo=UTC)
EVIDENCE_ID = "evd_0199f0c24d6a7c3e8b1f5a2d9e4c7b60"
DELIVERY_ID = "dlv_0199f0c24d6a7c3e8b1f5a2d9e4c7b60"
SEALED, SUBMITTED = "ab" * 32, "cd" * 32
LOG_IN = Identification("https://aanmelden.example", AssuranceLevel.SUBSTANTIAL, WHEN - timedelta(minutes=4))
LETTER = Letter("1a" * 32, "2b" * 32, "RX123456785BE", "3c" * 32, "4d" * 32)
_ACTORS = {
    EvidenceEvent.CONSIGNMENT_ACCEPTANCE: Actor.RECIPIENT,
    EvidenceEvent.CONSIGNMENT_REJECTION: Actor.RECIPIENT,
    EvidenceEvent.CONTENT_ACCESS_TRACKING: Actor.RECIPIENT,
    EvidenceEvent.CONTENT_HANDOVER: Actor.RECIPIENT,
    EvidenceEvent.CONSIGNMENT_WITHDRAWAL: Actor.SENDER,
    EvidenceEvent.ACCEPTANCE_REJECTION_EXPIRY: Actor.CLOCK,
    EvidenceEvent.RECEIVED_FROM_NON_ERDS: Actor.POST,
}


def evidence(
    event: EvidenceEvent = EvidenceEvent.CONTENT_ACCESS_TRACKING,
    *,
    recipient: Party | None = None,
    at: datetime = WHEN,
    parts: Sequence[Part] = (Part("main", SEALED, SUBMITTED),),
    stamped: bool = True,
    identification: Identification = LOG_IN,
) -> dict[str, object]:
    """An evidence file of a log in memory, as the API sends it; failures have every reason that they can have."""
    report = "posted" if event is EvidenceEvent.RECEIVED_FROM_NON_ERDS else None
    actor = _ACTORS.get(event, Actor.SERVICE)
    statement = record(
        evidence_id=EVIDENCE_ID,
        event=event,
        event_time=at,
        issuer="Zending (fictief)",
        sender=Party("organisation", "OVO999901", AssuranceLevel.SUBSTANTIAL, "Fictieve Belastingdienst"),
        recipients=[recipient or citizen()],
        message_id=DELIVERY_ID,
        submission_time=at - timedelta(hours=3),
        parts=parts,
        policy_id="zending-routing-1",
        leg=1,
        reasons=sorted(REASONS.get(event, ())),
        external=External("Fictieve Drukkerij", "prt_0199f0c2", report) if event in RELAYS else None,
        actor=actor,
        identification=identification if actor is Actor.RECIPIENT else None,
        legal_basis=LegalBasis("example-consent", "1", "5e" * 32),
        letter=LETTER if event in RELAYS else None,
    )
    salt = entry.new_salt()
    leaf = entry.leaf_hash(str(statement["event_key"]), salt, statement)
    return evidence_proof.document(statement, salt, leaf, _proof(leaf, stamped=stamped))


def citizen(name: str = "An Peeters", assurance: AssuranceLevel = AssuranceLevel.SUBSTANTIAL) -> Party:
    return Party("citizen", "85073003328", assurance, name)


def _proof(leaf: bytes, *, stamped: bool) -> PublishedProof:
    row = leaves(10)
    row[4] = leaf
    log = signer()
    tree = merkle.GrowingTree(0, {})
    tiles = tree.extend(row)
    head = Checkpoint(log.origin, len(row), tree.root())
    note = log.sign(head, at=WHEN)
    path = merkle.inclusion_proof(4, len(row), tiles)
    token = InProcessAuthority().token(head.digest) if stamped else None
    return PublishedProof(4, leaf, str(TlogProof(4, tuple(path), note)), note, token)


def page_of(document: dict[str, object], language: str = "nl") -> bytes:
    """The page of an evidence file, not sealed."""
    page = contents(msgspec.convert(document, Evidence), wording(language), drawn_up=WHEN)
    return render(page, msgspec.json.encode(document), at=WHEN)


def text_of(pdf: bytes) -> str:
    """What stands on all pages, with runs of white space as one blank and places to break left out."""
    with pypdfium2.PdfDocument(pdf) as opened:
        pages = [page.get_textpage().get_text_bounded() for page in opened]
    return " ".join(" ".join(pages).replace("\u200b", "").replace("\ufffe", "-").split())


def attached(pdf: bytes) -> dict[str, Any]:
    """The evidence file that a page carries."""
    with pikepdf.open(BytesIO(pdf)) as opened:
        assert list(opened.attachments) == ["evidence.json"]
        found: dict[str, Any] = json.loads(opened.attachments["evidence.json"].get_file().read_bytes())
    return found
