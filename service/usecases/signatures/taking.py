"""The files of a signature request before anybody is asked: held against the limits, inspected, given places."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from service.db.models import Organisation
from service.domain.errors import DocumentRefused, FieldError, Invalid, PayloadTooLarge
from service.domain.identifiers import RecipientId, RecipientKind
from service.domain.signing_folder import MOST_DOCUMENTS, Way
from service.notifications.base import checked_address
from service.usecases import admission
from service.usecases.admission import Inspected, Upload, safe_name
from service.usecases.context import Context
from service.usecases.signatures import looks, signable
from service.usecases.signatures.folders import Person
from service.usecases.signatures.requests import SignatureRequest, SignerPart, plain


@dataclass(frozen=True, slots=True)
class Taken:
    """A document that people can sign, with the places of their signatures in it."""

    filename: str = field(repr=False)
    content: bytes = field(repr=False)
    submitted_sha256: bytes
    pages: int


def check_files(context: Context, asked: SignatureRequest, uploads: Sequence[Upload]) -> None:
    """Hold the set of files against the limits.

    Raises:
        Invalid: none, too many, the same twice, or something else than documents.
        PayloadTooLarge: they are larger together than a delivery may be.
    """
    most, limits = min(MOST_DOCUMENTS, context.limits.documents), context.limits
    if any(each.role != "document" for each in uploads):
        detail = "All files of a signature request are signed: send each in a part named document."
        raise _invalid("attachment_not_expected", detail, "/attachment")
    if not uploads:
        raise _invalid("document_missing", "Send at least one part named document, with a PDF.", "/document")
    if len(uploads) > most:
        raise _invalid("too_many_documents", f"A signature request has at most {most} documents.", "/document")
    if asked.deliver is not None and len(uploads) + 1 > limits.documents:
        detail = f"A delivery has at most {limits.documents} documents, and the report is one of them."
        raise _invalid("too_many_documents", detail, "/deliver")
    seen: set[bytes] = set()
    for place, each in enumerate(uploads):
        if each.content in seen:
            raise _invalid("document_twice", "The same document can be signed only once.", _pointer(uploads, place))
        seen.add(each.content)
    if sum(len(each.content) for each in uploads) > limits.delivery_bytes:
        raise PayloadTooLarge(f"The documents are larger than {limits.delivery_bytes} bytes together.")


def take(
    context: Context,
    organisation: Organisation,
    asked: SignatureRequest,
    uploads: Sequence[Upload],
    request_id: uuid.UUID,
    *,
    now: datetime,
    go_on: Callable[[], object],
) -> list[Taken]:
    """Inspect the documents, keep places in them, and see that they can be signed and sealed; nothing is stored.

    ``go_on`` is called in between, for whoever holds something meanwhile.

    Raises:
        DocumentRefused: one can't be accepted; the code says why, the pointer which.
        Invalid: ``too_many_pages``, all together.
    """
    inspected: list[Inspected] = []
    for place in range(len(uploads)):
        if inspected:
            go_on()
        inspected.append(_inspected(context, uploads, place))
    if sum(each.inspection.pages for each in inspected) > context.limits.pages:
        detail = f"The documents of a signature request have at most {context.limits.pages} pages together."
        raise _invalid("too_many_pages", detail, "/document")
    people = {
        place: person(organisation, part).name
        for place, part in enumerate(asked.signers, 1)
        if part.way != Way.SEAL.value
    }
    taken = []
    for place, each in enumerate(inspected):
        go_on()
        pdf = looks.with_places(each.content, request_id, asked.language, people, at=now) if people else each.content
        signable.check(context, organisation, pdf, pointer=_pointer(uploads, place), at=now)
        taken.append(Taken(safe_name(each.filename), pdf, each.submitted_sha256, each.inspection.pages))
    return taken


def person(organisation: Organisation, part: SignerPart) -> Person:
    """Who a signer is, in normal form; the organisation by its seal has no number."""
    if part.id is None or part.name is None:
        return Person(organisation.name)
    email = None if part.email is None else checked_address(part.email)
    return Person(plain(part.name), RecipientId.parse(RecipientKind.CITIZEN, part.id).value, email)


def _inspected(context: Context, uploads: Sequence[Upload], place: int) -> Inspected:
    try:
        (found,) = admission.inspect(context, [uploads[place]])
    except DocumentRefused as error:
        error.errors = (FieldError(_pointer(uploads, place), error.code, error.detail),)
        raise
    return found


def _pointer(uploads: Sequence[Upload], place: int) -> str:
    return "/document" if len(uploads) == 1 else f"/document/{place}"


def _invalid(code: str, detail: str, pointer: str) -> Invalid:
    return Invalid(detail, code=code, errors=[FieldError(pointer, code, detail)])
