"""What both doors show of signature requests."""

from datetime import datetime

import msgspec

from service.db.ids import DELIVERY, SIGNATURE_REQUEST, public_id
from service.db.signatures import SignerRow
from service.usecases.context import Context
from service.usecases.signatures.folders import Done, Signing, done


class SignerView(msgspec.Struct, frozen=True):
    """A signer as the sender sees them: ``reason`` is what they gave for refusing."""

    type: str
    name: str | None
    way: str
    level: str
    state: str
    asked_at: datetime | None
    opened_at: datetime | None
    acted_at: datetime | None
    certificate_sha256: str | None
    level_reached: str | None
    reason: str | None


class RequestLinks(msgspec.Struct, frozen=True):
    """Where more is to be read; ``page`` may be passed on to those who sign: they log in there."""

    document: str
    report: str | None
    evidence: str
    page: str


class SignedDocumentView(msgspec.Struct, frozen=True):
    """A document of a request as its sender sees it; ``sha256`` is of what it is now, signatures and all."""

    number: int
    filename: str
    pages: int
    size: int
    sha256: str
    submitted_sha256: str
    link: str


class SignatureRequestView(msgspec.Struct, frozen=True):
    """A signature request.

    ``filename``, ``pages``, ``size`` and the digests are of the first document; all of them are in ``documents``.
    """

    id: str
    reference: str
    subject: str
    state: str
    reason: str | None
    order: str
    language: str
    filename: str
    pages: int
    size: int
    sha256: str
    submitted_sha256: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    signers: list[SignerView]
    delivery_id: str | None
    links: RequestLinks
    documents: list[SignedDocumentView]


class SignatureRequestPage(msgspec.Struct, frozen=True):
    """One page of signature requests."""

    items: list[SignatureRequestView]
    next_cursor: str | None


class ToSignDocument(msgspec.Struct, frozen=True):
    """A document as a signer sees it."""

    number: int
    filename: str
    pages: int
    size: int


class ToSignView(msgspec.Struct, frozen=True):
    """A request as one of its signers sees it; ``turn`` while they may sign or refuse."""

    id: str
    sender: str
    subject: str
    documents: list[ToSignDocument]
    way: str
    level: str
    state: str
    request_state: str
    turn: bool
    asked_at: datetime | None
    acted_at: datetime | None
    expires_at: datetime
    others: int
    others_signed: int


class ToSign(msgspec.Struct, frozen=True):
    """What a card is asked to sign, one after the other, in the words of Web eID: base 64, and the hash's name."""

    hashes: list[str]
    hash_function: str


def request_view(context: Context, signing: Signing) -> SignatureRequestView:
    """A request as its sender sees it."""
    row = signing.row
    public = public_id(SIGNATURE_REQUEST, row.id)
    own = f"/v1/signature-requests/{public}"
    return SignatureRequestView(
        id=public,
        reference=row.reference,
        subject=signing.personal.subject,
        state=row.state,
        reason=row.reason,
        order=row.sequence,
        language=row.language,
        filename=signing.personal.filename,
        pages=row.pages,
        size=row.size,
        sha256=row.sha256.hex(),
        submitted_sha256=row.submitted_sha256.hex(),
        created_at=row.created_at,
        updated_at=row.updated_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        signers=[
            _signer(context, each, person.name) for each, person in zip(signing.signers, signing.people, strict=True)
        ],
        delivery_id=None if row.delivery_id is None else public_id(DELIVERY, row.delivery_id),
        links=RequestLinks(
            document=f"{own}/document",
            report=f"{own}/report" if row.report_path else None,
            evidence=f"{own}/evidence",
            page=f"/signatures/{public}",
        ),
        documents=[
            SignedDocumentView(
                number=each.number,
                filename=each.filename,
                pages=each.row.pages,
                size=each.row.size,
                sha256=each.row.sha256.hex(),
                submitted_sha256=each.row.submitted_sha256.hex(),
                link=f"{own}/documents/{each.number}",
            )
            for each in signing.documents
        ],
    )


def _signer(context: Context, row: SignerRow, name: str) -> SignerView:
    did = done(context, row) or Done()
    return SignerView(
        type="organisation" if row.recipient_hash is None else "citizen",
        name=name,
        way=row.way,
        level=row.level,
        state=row.state,
        asked_at=row.asked_at,
        opened_at=row.opened_at,
        acted_at=row.acted_at,
        certificate_sha256=did.certificate_sha256,
        level_reached=did.level,
        reason=did.reason,
    )


def to_sign_view(signing: Signing, position: int) -> ToSignView:
    """A request as the signer at ``position`` sees it."""
    row, own = signing.row, signing.signers[position - 1]
    others = [each for each in signing.signers if each.position != position]
    return ToSignView(
        id=public_id(SIGNATURE_REQUEST, row.id),
        sender=signing.organisation.name,
        subject=signing.personal.subject,
        documents=[
            ToSignDocument(each.number, each.filename, each.row.pages, each.row.size) for each in signing.documents
        ],
        way=own.way,
        level=own.level,
        state=own.state,
        request_state=row.state,
        turn=own.state == "asked" and row.state == "open",
        asked_at=own.asked_at,
        acted_at=own.acted_at,
        expires_at=row.expires_at,
        others=len(others),
        others_signed=sum(each.state == "signed" for each in others),
    )
