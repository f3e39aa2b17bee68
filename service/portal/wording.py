"""What the codes of the service are called on pages: states, events, reasons, problems, in plain words.

Programs read the codes; people read these. A test holds the tables against the lists that the service really uses.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from service.domain.errors import FieldError, ZendingError
from service.domain.webhooks import PREFIX, TEST
from service.portal import paper_words
from service.portal.languages import N_, Words
from service.portal.letter_words import LETTER_PROBLEMS, place
from service.portal.states import ANSWERS, ASKED, MESSAGES, SIGNERS, SIGNING, STATUS, WEBHOOKS, Status
from service.usecases.webhook_log import AttemptView
from service.usecases.webhooks import WebhookView

EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "handed_in": N_("Handed in"),
        "SubmissionAcceptance": N_("Sealed and accepted for delivery"),
        "SubmissionRejection": N_("Rejected: it could not be sealed"),
        "cancelled": N_("Cancelled by the sender"),
        "routed": N_("The way of the letter was chosen"),
        "ContentConsignment": N_("Put into the mailbox"),
        "ContentConsignmentFailure": N_("Could not be put into the mailbox"),
        "ConsignmentNotification": N_("Recipient told by e-mail that a letter arrived"),
        "ConsignmentNotificationFailure": N_("The e-mail to the recipient could not be delivered"),
        "offer_placed": N_("Laid ready in the mailbox, to be accepted first"),
        "PeriodExtension": N_("More time, because the service could not be used"),
        "NotificationForAcceptance": N_("Recipient asked by e-mail to accept the letter"),
        "NotificationForAcceptanceFailure": N_("The e-mail that asks to accept could not be delivered"),
        "notice_bounced": N_("An e-mail to the recipient came back; nothing changes by it"),
        "ConsignmentAcceptance": N_("Accepted by the recipient"),
        "ConsignmentRejection": N_("Refused by the recipient"),
        "AcceptanceRejectionExpiry": N_("The time to accept has passed"),
        "ContentAccessTracking": N_("Opened by the recipient"),
        "read_by_mandatary": N_("Read by somebody who acts for the recipient"),
        "ContentHandover": N_("Documents handed to the recipient"),
        "ContentHandoverFailure": N_("The documents could not be handed to the recipient"),
        "ConsignmentWithdrawal": N_("Taken back by the sender"),
        "withdrawn": N_("Taken out of the mailbox"),
        "letter_composed": N_("Made ready for printing"),
        "batched": N_("Put into a print run"),
        "RelayToNonERDS": N_("Handed over to the print house"),
        "RelayToNonERDSFailure": N_("Could not be handed over to the print house"),
        "ReceivedFromNonERDS": N_("Report of the print house or the post"),
        "printed": N_("Printed"),
        "posted": N_("Posted"),
        "delivered": N_("Delivered by the post"),
        "returned": N_("Came back"),
        "undeliverable": N_("Could not be delivered"),
        **paper_words.EVENTS,
        "SignatureRequested": N_("Signatures asked for"),
        "Signed": N_("Signed"),
        "SignatureRefused": N_("Refused to sign"),
        "SignatureRequestExpired": N_("The time to sign has passed"),
        "SignatureRequestCancelled": N_("Request cancelled by the sender"),
        "SignatureRequestCompleted": N_("Result and report sealed"),
        "SignatureRequestFailed": N_("The result could not be sealed"),
    }
)
"""Every event of timelines and of evidence."""

ACTORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "service": N_("by the service"),
        "sender": N_("by the sender"),
        "recipient": N_("by the recipient"),
        "operator": N_("by the operator"),
        "post": N_("by the post"),
        "clock": N_("by the clock"),
    }
)

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "malware": N_("Something harmful was found in the document."),
        "seal_failed": N_("The document could not be sealed."),
        "document_unreadable": N_("The document could not be read."),
        "document_erased": N_("The document has been erased."),
        "interrupted": N_("The connection was interrupted."),
        "no_address": N_("There is no e-mail address."),
        "bounced": N_("The e-mail came back."),
        "address_refused": N_("The address was not accepted."),
        "gave_up": N_("It was tried many times without success."),
        "no_mailbox": N_("The recipient has no active mailbox."),
        "refused_by_mailbox": N_("The mailbox did not take the letter."),
        "address_missing": N_("There is no postal address."),
        "letter_refused": N_("The letter can't be printed as it is."),
        "refused_by_provider": N_("The print house did not take the letter."),
        "refused_by_recipient": N_("The recipient refused the letter."),
        "refused_by_mandatary": N_("Somebody who acts for the recipient refused the letter."),
        "mandate_without_effect": N_("Somebody who may only read for the recipient read it."),
        "wrong_recipient": N_("It was meant for somebody else."),
        "wrong_document": N_("It had the wrong document."),
        "sent_twice": N_("It was sent twice."),
        "superseded": N_("Another letter takes its place."),
        "no_longer_needed": N_("It is no longer needed."),
        "service_unavailable": N_("The service could not be used for a time."),
        "M01": N_("The address was not found."),
        "M02": N_("The recipient has died."),
        "M03": N_("The recipient is unknown at the address."),
        "M04": N_("The recipient has moved."),
        "M05": N_("The recipient refused the letter."),
        "M06": N_("The address is wrong."),
        "M07": N_("The address does not exist."),
        "M08": N_("The address is not complete."),
        "F01": N_("The letter was stolen."),
        "F02": N_("The letter was lost."),
        "F03": N_("The letter was damaged."),
    }
)
"""Every reason that states and evidence can name."""

PROBLEMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # What a document is refused for.
        "not_a_pdf": N_("This file is not a PDF document."),
        "polyglot": N_("This file is a PDF and another kind of file at the same time. Export it as PDF again."),
        "too_large": N_("This file is too large."),
        "encrypted": N_("This PDF has a password or is encrypted. Save it without protection."),
        "damaged": N_("This PDF is damaged. Export it again."),
        "damaged_signed": N_("This PDF is damaged and signed. Ask the person who signed it for a good copy."),
        "no_pages": N_("This PDF has no pages."),
        "too_many_pages": N_("This PDF has too many pages."),
        "launch_action": N_("This PDF tries to start a program on the reader's computer."),
        "external_stream": N_("Part of this PDF is in another file. Save it as one whole file."),
        "javascript": N_("This PDF contains a script. Save it without scripts."),
        "xfa_form": N_("This PDF is a kind of form that most people can't open. Print it to PDF and use that."),
        "form_values_unseen": N_(
            "What was filled into this form would not be shown. Print the form to a new PDF and use that."
        ),
        "rich_media": N_("This PDF contains sound, film or 3D, which can't be printed."),
        "embedded_executable": N_("A program is attached inside this PDF. Remove it."),
        "attachment_unreadable": N_("A file attached inside this PDF can't be checked. Remove it."),
        "too_many_attachments": N_("Too many files are attached inside this PDF."),
        "too_large_unpacked": N_("This PDF contains far more data than a letter needs."),
        "too_complex": N_("This PDF is put together in a way that takes too long to read. Export it again."),
        "pdf_encrypted": N_("This PDF is protected by a password. Choose one without protection."),
        "pdf_certified_no_changes": N_("This PDF forbids any change, so nobody can sign it."),
        "pdf_field_unusable": N_("This PDF lacks the field in which your organisation's seal must stand."),
        "pdf_unreadable": N_("This PDF is put together in a way that nobody could sign it. Export it again."),
        "attachment_not_expected": N_("Everything is signed here: there are no attachments."),
        "document_twice": N_("You chose the same document twice."),
        "certified_no_changes": N_("This PDF forbids any change, so it can't be sealed."),
        "malware": N_("Something harmful was found in this file. Do not open it, and tell your IT service."),
        "inspection_crashed": N_("This PDF could not be checked. Export it again."),
        "inspection_timeout": N_("Checking this PDF takes too long. Export it again."),
        "inspection_memory": N_("Checking this PDF takes too much memory. Export it again."),
        # What is worth knowing about a document that was taken.
        "repaired": N_("The file was damaged and has been repaired. Look whether it shows what you expect."),
        "outside_action": N_("The document has a link or button that opens another file or sends data elsewhere."),
        "no_text": N_("A page is a picture without text: people who can't see it, can't read it."),
        "not_tagged": N_("The document has no structure that screen readers need."),
        "no_language": N_("The document does not say which language it is in."),
        "registered_on_paper": N_("Registered mail went on paper then."),
        # What is wrong with a field.
        "insz_invalid": N_("This is not a national register number. Check the 11 digits."),
        "kbo_invalid": N_("This is not an enterprise number. Check the 10 digits."),
        "administration_number_invalid": N_("Fill in an OVO code (OVO and 6 digits) or an enterprise number."),
        "number_missing": N_("Fill in the recipient's number."),
        "number_not_expected": N_("Leave the number empty: this recipient is reached by post only."),
        "address_missing": N_("Fill in the postal address: the letter may have to go on paper."),
        "empty": N_("Fill this in."),
        "too_long": N_("This text is too long."),
        "control_character": N_("This text contains a line break or an invisible character. Type it again."),
        "malformed": N_("This is not one of the possible values."),
        "document_missing": N_("Choose the PDF of the letter."),
        "document_repeated": N_("Choose one PDF as the letter; the others are attachments."),
        "too_many_documents": N_("There are too many attachments."),
        "payload_too_large": N_("The files are too large together."),
        "email_invalid": N_("This is not an e-mail address. It looks like name@example.be."),
        "idempotency_key_mismatch": N_("This form was already sent with other content. Check it and send it again."),
        # What can stand in the way of an act.
        "transition_refused": N_("This is not possible any more."),
        "document_not_sealed": N_("The document is not sealed yet. Try again in a moment."),
        "document_rejected": N_("This letter was never sealed, so there is no sealed document."),
        "not_opened": N_("Open the message first."),
        "not_accepted": N_("This registered mail was not accepted, so it stays closed."),
        "no_offer": N_("This mail needs no answer: you can open it."),
        "already_accepted": N_("This registered mail was accepted before, so it can't be refused any more."),
        "already_refused": N_("This registered mail was refused before, so it can't be accepted any more."),
        "offer_expired": N_("The time to answer was over before your answer came."),
        "offer_withdrawn": N_("The sender took this registered mail back before your answer came."),
        "not_activated": N_("Switch your mailbox on first."),
        "registered_mode_not_allowed": N_("This kind of document can't be sent in this way. Choose another one."),
        "acceptance_days_not_allowed": N_("This number of days is not possible. Look at the least and the most."),
        "fallback_not_allowed": N_("Only registered mail can go on by registered letter."),
        "prospect_unseen": N_("Read what will happen to this registered mail, then send it."),
        "activation_code_wrong": N_(
            "This code is not right, or it is too old. Look at the newest e-mail, or ask for a new code."
        ),
        "invitation_wrong": N_(
            "This is not the code of a letter to you, or it was used, or its time is over. You can leave it out."
        ),
        "invitation_over": N_(
            "This code was used, or its time is over. A letter that is printed again keeps it. You can leave it out."
        ),
        "activation_code_too_soon": N_("We sent a code less than a minute ago. Look in your e-mail, or wait a minute."),
        **LETTER_PROBLEMS,
        "mail_unavailable": N_("We can't send e-mail at the moment. Try again in a few minutes."),
        "email_refused": N_("This e-mail address takes no mail. Check it, or give another."),
        "language_unknown": N_("Choose a language."),
        "consent_outdated": N_("The text has changed. Read it again and agree if you still want to."),
        "not_your_turn": N_("You have signed or refused this already."),
        "request_ended": N_("This request has ended."),
        "signing_stale": N_("This took too long, or somebody else signed meanwhile. Sign once more."),
        "signature_refused": N_("The signature is not right. Sign once more, with the same card."),
        "signer_differs": N_("This is somebody else's card. Use your own."),
        "level_not_reached": N_("This card can't make the qualified signature that is asked for."),
        "certificate_untrusted": N_("This card was issued by somebody whose cards are not accepted here."),
        "certificate_not_valid_now": N_("The certificate of this card is not valid any more. Ask for a new card."),
        "certificate_revoked": N_("The certificate of this card was revoked. Ask for a new card."),
        "certificate_not_for_signing": N_("This certificate is not one for signing."),
        "certificate_is_an_authority": N_("This certificate is not one for signing."),
        "certificate_malformed": N_("The card's answer can't be read. Try again."),
        "certificate_without_number": N_("This card doesn't say whose number it is for."),
        "card_answer_malformed": N_("The card's answer can't be read. Try again."),
        "key_too_weak": N_("The key of this card is too weak to be accepted."),
        "algorithms_not_accepted": N_("This card offers nothing that is accepted here."),
        "card_signing_off": N_("Signing with a card is not possible here yet. Ask the sender for another way."),
        "consent_off": N_("Signing at this service is not possible here yet. Ask the sender for another way."),
        "consent_stopped": N_("You stopped. Nothing was signed."),
        "consent_failed": N_("The signing service did not do its part, and nothing was signed. Try again."),
        "consent_strange": N_("You came back from the signing service by a way we don't know. Sign once more."),
        "consent_signer_differs": N_(
            "You logged in at the signing service as somebody else. Sign with your own account."
        ),
        "consent_level_not_reached": N_(
            "Your key at the signing service can't make the qualified signature asked for."
        ),
        "consent_key_refused": N_("The certificate that the signing service has for you is not accepted here."),
        "consent_too_many": N_(
            "Your key at the signing service signs fewer documents at once. Ask the sender for one request each."
        ),
        "consent_unavailable": N_("The signing service does not answer. Nothing is lost: try again in a few minutes."),
        "way_not_asked": N_("You are asked to sign in another way."),
        "signer_number_missing": N_("Fill in the national register number."),
        "signer_name_missing": N_("Fill in the name."),
        "signer_repeated": N_("This person is among the signers already. Everybody signs once."),
        "last_day_not_possible": N_("Choose a day from tomorrow on, at most 90 days from now."),
        "signing_document_missing": N_("Choose the PDF that is to be signed."),
        "signing_too_many_documents": N_("You chose too many PDFs. Make another request for the rest."),
        "way_not_set_up": N_("Signing in this way is not possible here yet. Choose another."),
        "reason_missing": N_("Say why you don't sign."),
        "reason_too_long": N_("This text is too long."),
        "timestamp_unavailable": N_("The time-stamp can't be had at the moment. Try again in a few minutes."),
        "revocation_unavailable": N_(
            "Nobody can say at the moment whether your certificate for signing is valid. Try again later."
        ),
        # What can be wrong with a mandate.
        "mandate_to_oneself": N_("This is your own number. Nobody needs a mandate from themselves."),
        "last_day_over": N_("This day is over. Choose today or a later day."),
        "last_day_far": N_("This day is too far away. Leave it empty if the mandate goes on until you end it."),
        "mandate_senders": N_("Choose at least one sender, and not more than 50."),
        "sender_unknown": N_("Choose senders from the list."),
        "mandates_too_many": N_("You gave as many mandates as there can be. Revoke one first."),
        "mandate_code_wrong": N_("This code is not right, or its time is over. Ask for a new one if it keeps failing."),
        "mandate_over": N_("This mandate is over. You can't act for this person or firm any more."),
        "mandate_without_effect": N_("This mandate is for reading only."),
        "not_by_mandate": N_("This can't be done for somebody else."),
        "mandator_differs": N_("You can give a mandate in your own name only."),
        "form_stale": N_("This form is too old. Open the page again and fill it in once more."),
        "log_in_refused": N_("You did not log in, or not all the way. You can try again."),
        "id_token_invalid": N_("The log-in could not be confirmed. You can try again."),
        "identity_provider_unavailable": N_("Logging in does not work for a moment. Try again in a few minutes."),
    }
)
"""Everything that can be wrong with what people fill in or choose, or is worth knowing about it."""

_OF_FIELD: Final = N_("%(field)s: %(problem)s")

ERROR_PAGES: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        400: (N_("This did not work"), N_("We could not read what your browser sent. Go back and try again.")),
        401: (N_("You are not logged in"), N_("Log in to see this page.")),
        403: (N_("This page is not for you"), N_("You are logged in, but you do not have access to this page.")),
        404: (
            N_("We can't find this page"),
            N_("The address may be mistyped, or the page is gone. If it is a letter, it may be somebody else's."),
        ),
        409: (N_("This is not possible now"), N_("Something has changed in the meantime. Go back and look again.")),
        408: (N_("This took too long"), N_("Your connection was too slow or broke off. Try again.")),
        410: (N_("This has been erased"), N_("The time for which it had to be kept is over.")),
        413: (N_("This is too large"), N_("The files are larger than we can take. Make them smaller or send fewer.")),
        429: (N_("Too many tries"), N_("Wait a while and try again.")),
        500: (
            N_("Something went wrong on our side"),
            N_("It is not your fault. Try again later. What was sent before is safe."),
        ),
        503: (
            N_("The service is not available for a moment"),
            N_("Try again in a few minutes. What was sent before is safe."),
        ),
    }
)
"""Title and text of error pages by HTTP status; a status that is not here is shown as the nearest of its hundred."""


class Wording:
    """The tables in one language."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def status(self, code: str) -> Status:
        """How a state reads."""
        return self._status(STATUS, code)

    def signing(self, code: str) -> Status:
        """How a state of a signature request, or of a signer, reads."""
        return self._status(SIGNING, code)

    def asked(self, code: str) -> Status:
        """How a state of a signature request reads for its sender."""
        return self._status(ASKED, code)

    def signer(self, code: str) -> Status:
        """How a state of a signer reads for the sender of the request."""
        return self._status(SIGNERS, code)

    def event(self, code: str) -> str:
        """What happened."""
        return self._say(EVENTS.get(code, code))

    def actor(self, code: str) -> str:
        """Who made it happen."""
        return self._say(ACTORS.get(code, code))

    def reason(self, code: str) -> str:
        """Why."""
        return self._say(REASONS.get(code, code))

    def problem(self, code: str, detail: str = "") -> str:
        """What is wrong; the service's own English sentence where no table knows the code."""
        return self._say(PROBLEMS.get(code, detail or code))

    def place(self, box: Sequence[float]) -> str:
        """Where something lies on its page."""
        return place(box, self._words)

    def field_error(self, error: FieldError) -> str:
        """What is wrong with a field."""
        return self.problem(error.code, error.detail)

    def problem_of(self, field: str, text: str, **of: object) -> str:
        """What is wrong, with the name of the field (and what stands in it) before it: for lists far from the field."""
        return self._say(_OF_FIELD) % {"field": self._say(field) % of, "problem": text}

    def error_page(self, status: int, error: Exception) -> tuple[str, str]:
        """Title and text of an error page; the error's own sentence where a table knows it."""
        title, text = ERROR_PAGES.get(status) or ERROR_PAGES[500 if status >= 500 else 400]  # noqa: PLR2004
        if isinstance(error, ZendingError) and error.code in PROBLEMS:
            text = PROBLEMS[error.code]
        return self._say(title), self._say(text)

    def webhook(self, found: WebhookView) -> Status:
        """How a webhook does."""
        unanswered = found.reason is None and found.failing_since is not None
        return self._status(WEBHOOKS, found.reason or ("unanswered" if unanswered else found.state))

    def message(self, code: str) -> Status:
        """How a message to a webhook stands."""
        return self._status(MESSAGES, code)

    def answer(self, attempt: AttemptView) -> str:
        """What a system answered, or why it did not."""
        return str(attempt.status) if attempt.error is None else self._say(ANSWERS.get(attempt.error, attempt.error))

    def told(self, kind: str) -> str:
        """What a message to a webhook is about."""
        return self._say(N_("Test message")) if kind == TEST else self.event(kind.removeprefix(PREFIX))

    def _status(self, table: Mapping[str, Status], code: str) -> Status:
        found = table.get(code) or Status(code, "", "going")
        return Status(self._say(found.label), self._say(found.sentence), found.tone)

    def _say(self, message: str) -> str:
        return self._words.gettext(message) if message else ""
