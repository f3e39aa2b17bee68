"""``/v1/mailbox``: the recipient's side, for people who come with an exchanged token.

Calls to messages may be made for another, by a mandate: by the header that ``calls.reader`` reads.
"""

from typing import Any

from litestar import Controller, Response, delete, get, post, put
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from service.api import files
from service.api.calls import ApiRequest, attachment, context_of, reader, scoped
from service.api.deliveries import Cursor, Limit
from service.api.shapes import (
    JSON,
    PDF,
    ActivationAnswer,
    ActivationRequest,
    ConsentTexts,
    EvidenceList,
    RegisteredConsent,
)
from service.domain.errors import FieldError, Invalid
from service.identity.scopes import Scope
from service.usecases import access, activation, mailbox, registered, registered_consent
from service.usecases.views import ActivationView, MessagePage, MessageView
from service.web import limits
from service.web.guards import Connection


class Messages(Controller):
    """The messages of the own mailbox; another's do not exist."""

    path = "/v1/mailbox/messages"
    tags = ("Mailbox",)

    @get(
        summary="List messages, newest first",
        operation_id="listMessages",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ, 404, 422),
    )
    def page(self, request: ApiRequest, *, cursor: Cursor = None, limit: Limit = 50) -> MessagePage:
        """Show one page of the mailbox."""
        return mailbox.messages(context_of(request), reader(request), cursor=cursor, limit=limit)

    @get(
        "/{delivery_id:str}",
        summary="Read what a message says from outside",
        operation_id="readMessage",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ, 404),
    )
    def read(self, request: ApiRequest, delivery_id: FromPath[str]) -> MessageView:
        """Show one message; its documents are listed once it is opened."""
        return mailbox.message(context_of(request), reader(request), delivery_id)

    @post(
        "/{delivery_id:str}/open",
        status_code=200,
        summary="Open a message",
        operation_id="openMessage",
        response_description="Opened; evidence says so. Opening again changes nothing.",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_WRITE, 404, 409),
    )
    def open(self, request: ApiRequest, delivery_id: FromPath[str]) -> MessageView:
        """Open a message for its recipient."""
        return mailbox.open_message(context_of(request), reader(request), delivery_id)

    @post(
        "/{delivery_id:str}/accept",
        status_code=200,
        summary="Accept registered mail that is offered",
        operation_id="acceptMessage",
        response_description="Accepted; evidence says so, and it can be opened. Accepting again changes nothing.",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_WRITE, 404, 409),
    )
    def accept(self, request: ApiRequest, delivery_id: FromPath[str]) -> MessageView:
        """Accept for its recipient."""
        return registered.accept(context_of(request), reader(request), delivery_id)

    @post(
        "/{delivery_id:str}/refuse",
        status_code=200,
        summary="Refuse registered mail that is offered",
        operation_id="refuseMessage",
        response_description="Refused; evidence says so. Refusing again changes nothing.",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_WRITE, 404, 409),
    )
    def refuse(self, request: ApiRequest, delivery_id: FromPath[str]) -> MessageView:
        """Refuse for its recipient."""
        return registered.refuse(context_of(request), reader(request), delivery_id)

    @get(
        "/{delivery_id:str}/document",
        summary="Download the main document of an opened message",
        operation_id="readMessageDocument",
        media_type=PDF,
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ, 404, 409, 410, also=files.PDF_ANSWER),
    )
    def document(self, request: ApiRequest, delivery_id: FromPath[str]) -> Response[bytes]:
        """Send the sealed main document."""
        return files.pdf(mailbox.document(context_of(request), reader(request), delivery_id, 0))

    @get(
        "/{delivery_id:str}/attachments/{number:int}",
        summary="Download an attachment of an opened message",
        operation_id="readMessageAttachment",
        media_type=PDF,
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ, 404, 409, 410, also=files.PDF_ANSWER),
    )
    def attachment(self, request: ApiRequest, delivery_id: FromPath[str], number: FromPath[int]) -> Response[bytes]:
        """Send a sealed attachment; the first one is number 1."""
        return files.pdf(mailbox.document(context_of(request), reader(request), delivery_id, attachment(number)))

    @get(
        "/{delivery_id:str}/evidence",
        summary="List a message's evidence",
        operation_id="listMessageEvidence",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ, 404),
    )
    def evidence_list(self, request: ApiRequest, delivery_id: FromPath[str]) -> EvidenceList:
        """Show which evidence there is."""
        return EvidenceList(mailbox.evidence_list(context_of(request), reader(request), delivery_id))

    @get(
        "/{delivery_id:str}/evidence/{evidence_id:str}",
        summary="Read one evidence of a message with its proof",
        operation_id="readMessageEvidence",
        media_type=JSON,
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ, 404, 406, 409, also=files.EVIDENCE_ANSWER),
    )
    def evidence(self, request: ApiRequest, delivery_id: FromPath[str], evidence_id: FromPath[str]) -> Response[Any]:
        """Send one evidence, with its inclusion proof once it is published.

        As `application/pdf`: a sealed page for people, in the message's language, with the JSON attached; made for
        published evidence.
        """
        asked = context_of(request), reader(request), delivery_id, evidence_id
        if files.wants_page(request):
            return files.pdf(mailbox.evidence_pdf(*asked))
        return files.evidence(mailbox.evidence_one(*asked))

    @get(
        "/{delivery_id:str}/bundle",
        summary="Download all that proves an opened message",
        operation_id="readMessageBundle",
        media_type=files.ZIP,
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ, 404, 409, also=files.BUNDLE_ANSWER),
    )
    def bundle(self, request: ApiRequest, delivery_id: FromPath[str]) -> Stream:
        """Send one ZIP that can be checked without this service; its README says how, in the message's language."""
        return files.bundle(mailbox.bundle(context_of(request), reader(request), delivery_id))


async def few_codes(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Not too many activation codes sent to, or tried for, one mailbox.

    Raises:
        TooManyRequests: too many.
    """
    who = access.reader_of(connection.scope["auth"])
    await limits.require(connection, limits.ACTIVATION, who.recipient_hash.hex())


class Activation(Controller):
    """Consent to receive mail digitally: given with proof, revocable at any time."""

    path = "/v1/mailbox/activation"
    tags = ("Mailbox",)

    @get(
        summary="Read whether the mailbox is activated",
        operation_id="readActivation",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_READ),
    )
    def state(self, request: ApiRequest) -> ActivationAnswer:
        """Show the activation."""
        return _activation(activation.state(context_of(request), reader(request)))

    @put(
        status_code=200,
        summary="Activate the mailbox, in two steps",
        operation_id="activateMailbox",
        response_description="How the activation stands after this step.",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_WRITE, 409, 413, 422, further=[few_codes]),
    )
    def activate(self, request: ApiRequest, data: JSONBody[ActivationRequest]) -> ActivationAnswer:
        """Send a code to an e-mail address, or take the code and the consent."""
        context, who = context_of(request), reader(request)
        if data.email is not None and data.language is not None and data.code is None and data.consent_version is None:
            activation.begin(context, who, data.email, data.language, invitation=data.invitation or "")
            return _activation(activation.state(context, who))
        second = data.email is None and data.invitation is None
        if data.code is not None and data.consent_version is not None and second:
            return _activation(activation.confirm(context, who, data.code, consent_version=data.consent_version))
        raise _neither_step()

    @delete(
        status_code=200,
        summary="Revoke the activation",
        operation_id="revokeActivation",
        response_description="Revoked: from now on mail comes on paper. What was received stays readable.",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_WRITE),
    )
    def revoke(self, request: ApiRequest) -> ActivationAnswer:
        """Stop receiving digitally."""
        return _activation(activation.revoke(context_of(request), reader(request)))

    @put(
        "/registered",
        status_code=200,
        summary="Agree to registered mail in the mailbox",
        operation_id="agreeToRegisteredMail",
        response_description="Registered mail comes into the mailbox from now on.",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_WRITE, 409, 413, 422),
    )
    def agree(self, request: ApiRequest, data: JSONBody[RegisteredConsent]) -> ActivationAnswer:
        """Take the consent to registered mail, which is apart from that to ordinary mail."""
        version = data.consent_version
        return _activation(registered_consent.agree(context_of(request), reader(request), consent_version=version))

    @delete(
        "/registered",
        status_code=200,
        summary="Stop registered mail in the mailbox",
        operation_id="revokeRegisteredMail",
        response_description="Revoked: from now on registered mail comes by registered letter.",
        sync_to_thread=True,
        **scoped(Scope.MAILBOX_WRITE),
    )
    def revoke_registered(self, request: ApiRequest) -> ActivationAnswer:
        """Take that consent back."""
        return _activation(registered_consent.revoke(context_of(request), reader(request)))


def _activation(view: ActivationView) -> ActivationAnswer:
    return ActivationAnswer(
        active=view.active,
        email=view.email,
        language=view.language,
        since=view.since,
        pending_email=view.pending_email,
        pending_language=view.pending_language,
        consent=ConsentTexts(activation.CONSENT_VERSION, activation.CONSENT_TEXT),
        registered_since=view.registered_since,
        registered_consent=ConsentTexts(registered_consent.VERSION, registered_consent.TEXT),
        unreachable_since=view.unreachable_since,
    )


def _neither_step() -> Invalid:
    detail = "Send email and language for a code, and then code and consent_version."
    return Invalid(detail, code="activation_step_unclear", errors=[FieldError("", "activation_step_unclear", detail)])
