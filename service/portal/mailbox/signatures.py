"""The signer's pages: what waits, the documents, signing with a card by the page's script, refusing with a reason."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from service.domain.errors import Conflict, Invalid, NotFound, Retryable, ZendingError
from service.domain.errors import Final as Never
from service.domain.signing_folder import MOST_DOCUMENTS, Way
from service.portal import languages
from service.portal.forms import Form
from service.portal.guards import RECIPIENT, genuine
from service.portal.rendering import SEE_OTHER, Portal, file_response, see_other
from service.portal.wording import Wording
from service.usecases.mailbox import Reader
from service.usecases.signatures import signer
from service.usecases.signatures.preparing import CardSignature
from service.usecases.signatures.views import ToSignView
from service.web.problems import headers_of, kind_of
from signing.webeid import MOST_ALGORITHMS, Algorithm

AnyRequest = Request[Any, Any, Any]


class Offered(msgspec.Struct, frozen=True, rename="camel"):
    """An algorithm as the extension names it."""

    crypto_algorithm: str
    hash_function: str
    padding_scheme: str

    @property
    def algorithm(self) -> Algorithm:
        """As the library knows it."""
        return Algorithm(self.crypto_algorithm, self.hash_function, self.padding_scheme)


class Made(msgspec.Struct, frozen=True, rename="camel"):
    """What a card made of one document, as the extension says it."""

    signature: str
    signature_algorithm: Offered


@get("/signatures", guards=[RECIPIENT], sync_to_thread=True)
def overview(request: AnyRequest, portal: NamedDependency[Portal]) -> Response[str]:
    """What waits for a signature, and what was signed."""
    found = signer.waiting(portal.context, reader_of(request))
    return portal.page(
        request,
        "signatures/list.html",
        waiting=[each for each in found if each.turn],
        others=[each for each in found if not each.turn],
    )


@get("/signatures/{request_id:str}", guards=[RECIPIENT], sync_to_thread=True)
def to_sign(request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str]) -> Response[str]:
    """One document: what is asked, and the way to sign it."""
    found = signer.get(portal.context, reader_of(request), request_id)
    return sign_page(request, portal, found)


@get("/signatures/{request_id:str}/documents/{number:int}/read", guards=[RECIPIENT], sync_to_thread=True)
def read(
    request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str], number: FromPath[int]
) -> Response[str]:
    """A document within a page of ours, shown by the browser's own viewer."""
    found = signer.get(portal.context, reader_of(request), request_id)
    if not 1 <= number <= len(found.documents):
        raise NotFound
    return portal.page(request, "signatures/read.html", found=found, shown=found.documents[number - 1])


@get("/signatures/{request_id:str}/documents/{number:int}", guards=[RECIPIENT], sync_to_thread=True)
def document(
    request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str], number: FromPath[int]
) -> Response[bytes]:
    """A document as it is now, to be shown."""
    return file_response(signer.document(portal.context, reader_of(request), request_id, number), download=False)


@get("/signatures/{request_id:str}/documents/{number:int}/download", guards=[RECIPIENT], sync_to_thread=True)
def download(
    request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str], number: FromPath[int]
) -> Response[bytes]:
    """A document as it is now, to keep."""
    return file_response(signer.document(portal.context, reader_of(request), request_id, number), download=True)


@post("/signatures/{request_id:str}/certificate", guards=[RECIPIENT, genuine], status_code=200, sync_to_thread=True)
def certificate(
    request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form], request_id: FromPath[str]
) -> Response[Any]:
    """Take the card's certificate, and say what the card is to sign, document by document; for the page's script."""
    try:
        made = signer.begin(
            portal.context,
            reader_of(request),
            request_id,
            form.text("certificate"),
            [each.algorithm for each in _decoded(form.text("algorithms"), list[Offered])[:MOST_ALGORITHMS]],
        )
    except (Invalid, Conflict, Retryable, Never) as error:
        return _said(request, portal, error)
    return _answer({"hashes": made.hashes, "hashFunction": made.hash_function})


@post("/signatures/{request_id:str}/signature", guards=[RECIPIENT, genuine], status_code=200, sync_to_thread=True)
def signature(
    request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form], request_id: FromPath[str]
) -> Response[Any]:
    """Take the card's signatures, of all documents together; for the page's script."""
    try:
        made = _decoded(form.text("signatures"), list[Made])[:MOST_DOCUMENTS]
        each = [CardSignature(one.signature, one.signature_algorithm.algorithm) for one in made]
        signer.sign(portal.context, reader_of(request), request_id, *each)
    except (Invalid, Conflict, Retryable) as error:
        return _said(request, portal, error)
    return _answer({"next": f"/signatures/{request_id}"})


@get("/signatures/{request_id:str}/refuse", guards=[RECIPIENT], sync_to_thread=True)
def ask_refuse(request: AnyRequest, portal: NamedDependency[Portal], request_id: FromPath[str]) -> Response[Any]:
    """Ask why, and whether the person really refuses."""
    found = signer.get(portal.context, reader_of(request), request_id)
    if not found.turn:
        return Redirect(f"/signatures/{request_id}", status_code=SEE_OTHER)
    return portal.page(request, "signatures/refuse.html", found=found, reason="", problem="")


@post("/signatures/{request_id:str}/refuse", guards=[RECIPIENT, genuine], status_code=SEE_OTHER, sync_to_thread=True)
def refuse(
    request: AnyRequest, portal: NamedDependency[Portal], form: NamedDependency[Form], request_id: FromPath[str]
) -> Response[Any]:
    """Refuse to sign."""
    reader, reason = reader_of(request), form.text("reason")
    try:
        signer.refuse(portal.context, reader, request_id, reason)
    except Invalid as error:
        found = signer.get(portal.context, reader, request_id)
        return portal.page(
            request,
            "signatures/refuse.html",
            status=kind_of(error).status,
            found=found,
            reason=reason,
            problem=sentence(request, portal, error),
        )
    return see_other(request, f"/signatures/{request_id}")


def sign_page(
    request: AnyRequest, portal: Portal, found: ToSignView, *, problem: str = "", status: int = 200
) -> Response[str]:
    """The page of one document, with what went wrong at the signing service."""
    service = portal.context.consent
    return portal.page(
        request,
        "signatures/sign.html",
        status=status,
        leads_to="" if service is None or found.way != Way.CSC.value else service.origin,
        found=found,
        possible=portal.context.signers is not None and (found.way != Way.CSC.value or service is not None),
        service="" if service is None else service.name,
        problem=problem,
    )


HANDLERS: Final = [
    overview, to_sign, read, document, download, certificate, signature, ask_refuse, refuse,
]  # fmt: skip


def reader_of(request: AnyRequest) -> Reader:
    """As whom the person who asks reads a mailbox."""
    reader = request.user.reader
    assert isinstance(reader, Reader)  # the guard saw to it
    return reader


def _decoded(text: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise Invalid("The card's answer can't be read.", code="card_answer_malformed") from None


def _answer(value: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None) -> Response[Any]:
    return Response(
        value,
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def _said(request: AnyRequest, portal: Portal, error: ZendingError) -> Response[Any]:
    """What went wrong, in the signer's language, for the script to show."""
    return _answer(
        {"code": error.code, "problem": sentence(request, portal, error)},
        status=kind_of(error).status,
        headers=headers_of(error),
    )


def sentence(request: AnyRequest, portal: Portal, error: ZendingError) -> str:
    """What went wrong, in the reader's language."""
    return Wording(languages.words(portal.visitor(request).language)).problem(error.code, error.detail)
