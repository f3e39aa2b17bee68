"""The evidence record: what is said of one event, hashed and logged.

A record holds strings, integers, booleans, lists, dicts and None only, so that it has one canonical form (RFC 8785).
It identifies people; it is stored encrypted, and only a salted hash of it enters the ledger.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.domain.evidence import (
    OPTIONAL_REASONS,
    REASONS,
    RELAYS,
    AssuranceLevel,
    EvidenceEvent,
    External,
    Part,
    Party,
    RecordRefused,
    event_key,
    rfc3339,
)
from service.domain.states import Actor

RECORD_VERSION: Final = 2
"""What is written now; records of version 1 stay as they are, and lack who acted, the legal basis and the letter."""
PERSONS: Final = frozenset({Actor.RECIPIENT, Actor.SENDER})
"""Actors who are persons, or may be: a sender can be a program."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class ActingBasis(StrEnum):
    """By what somebody acts for a party that is not themselves."""

    LOG_IN = "log_in"
    """The identity provider says so: they logged in for that enterprise, administration or organisation."""
    MANDATE = "mandate"
    """A mandate that is kept here says so."""


@dataclass(frozen=True, slots=True)
class ActedFor:
    """In whose place somebody acted: the party on whose side the act is, recipient or sender.

    Attributes:
        basis: by what.
        person: the identity provider's own id of who acted, for whoever must ask it.
        mandate: public id of the mandate, for that basis and no other.
    """

    basis: ActingBasis
    person: str = field(repr=False)
    mandate: str | None = None


@dataclass(frozen=True, slots=True)
class Identification:
    """How a person was identified who made the event happen.

    Attributes:
        provider: issuer identifier of the identity provider; None when it isn't known any more.
        level: how surely it recognised the person.
        authenticated_at: when the person logged in there; None when it did not say.
        acted_for: None for who acted for themselves.
    """

    provider: str | None
    level: AssuranceLevel
    authenticated_at: datetime | None
    acted_for: ActedFor | None = None


@dataclass(frozen=True, slots=True)
class LegalBasis:
    """The entry of the legal-basis register under which a delivery was sent, and the SHA-256 of that version."""

    id: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Letter:
    """The paper of a leg, by digests in lower-case hex; None for what there is not, or what is not known.

    Attributes:
        print_sha256: of the copy made for print of the sealed documents.
        batch_sha256: of the file that was handed to the print provider.
        registered_number: the post's number of a registered letter.
        posting_proof_sha256: of the post's proof that it took the letter.
        receipt_sha256: of the scan of the receipt that the addressee signed.
    """

    print_sha256: str | None = None
    batch_sha256: str | None = None
    registered_number: str | None = None
    posting_proof_sha256: str | None = None
    receipt_sha256: str | None = None


def record(
    *,
    evidence_id: str,
    event: EvidenceEvent,
    event_time: datetime,
    issuer: str,
    sender: Party,
    recipients: Sequence[Party],
    message_id: str,
    submission_time: datetime,
    parts: Sequence[Part],
    policy_id: str,
    actor: Actor,
    identification: Identification | None = None,
    legal_basis: LegalBasis | None = None,
    leg: int | None = None,
    attempt: int = 1,
    reasons: Sequence[str] = (),
    external: External | None = None,
    letter: Letter | None = None,
) -> dict[str, object]:
    """The evidence record of one event (ETSI EN 319 522-2: the components this service records).

    Args:
        evidence_id: public id of the evidence.
        event: what happened.
        event_time: when it happened.
        issuer: who runs this service and vouches for the record.
        sender: the organisation.
        recipients: at least one.
        message_id: public id of the delivery.
        submission_time: when the hand-in was acknowledged.
        parts: at least one document.
        policy_id: version of the rules that were applied.
        actor: who made it happen.
        identification: of the person who did; required for a recipient's acts, and only for persons.
        legal_basis: None where no entry of the register was applied.
        leg: number of the leg; None for the delivery as a whole.
        attempt: as in `event_key`.
        reasons: words of `REASONS` (or return causes of the post); required on failures, in the order of weight.
        external: required for relays and for what comes back from them.
        letter: for relays on paper.

    Raises:
        RecordRefused: a required component is missing, a reason is not of the closed list, or a digest is no SHA-256.
    """
    _check(event, recipients, parts, reasons, external)
    _check_details(event, actor, identification, legal_basis, letter)
    acting = sender if actor is Actor.SENDER else recipients[0]
    return {
        "version": RECORD_VERSION,
        "evidence_id": evidence_id,
        "event_key": event_key(message_id, leg, event, attempt),
        "event": event.value,
        "event_uri": event.uri,
        "event_time": rfc3339(event_time),
        "issuer": issuer,
        "sender": _party(sender),
        "recipients": [_party(recipient) for recipient in recipients],
        "message_id": message_id,
        "leg": leg,
        "attempt": attempt,
        "submission_time": rfc3339(submission_time),
        "parts": [
            {"role": part.role, "sha256": part.sha256, "submitted_sha256": part.submitted_sha256} for part in parts
        ],
        "policy_id": policy_id,
        "external": None
        if external is None
        else {"name": external.name, "reference": external.reference, "report": external.report},
        "reasons": list(reasons),
        "actor": actor.value,
        "identification": None if identification is None else _identification(identification, acting),
        "legal_basis": None if legal_basis is None else asdict(legal_basis),
        "letter": None if letter is None else asdict(letter),
    }


def _identification(how: Identification, acting: Party) -> dict[str, object]:
    acted_for = how.acted_for
    return {
        "provider": how.provider,
        "level": how.level.value,
        "authenticated_at": None if how.authenticated_at is None else rfc3339(how.authenticated_at),
        "acted_for": None
        if acted_for is None
        else {
            "kind": acting.kind,
            "id": acting.id,
            "basis": acted_for.basis.value,
            "person": acted_for.person,
            "mandate": acted_for.mandate,
        },
    }


def _party(party: Party) -> dict[str, object]:
    return {"kind": party.kind, "id": party.id, "name": party.name, "assurance_level": party.assurance.value}


def _check(
    event: EvidenceEvent,
    recipients: Sequence[Party],
    parts: Sequence[Part],
    reasons: Sequence[str],
    external: External | None,
) -> None:
    if not recipients or not parts:
        raise RecordRefused("An evidence record names at least one recipient and one document.")
    if any(_SHA256.fullmatch(digest) is None for part in parts for digest in (part.sha256, part.submitted_sha256)):
        raise RecordRefused("A digest in an evidence record is a SHA-256 in lower-case hexadecimal.")
    if event in REASONS and not reasons:
        raise RecordRefused("Evidence of a failure says why.", context={"event": event.value})
    allowed = REASONS.get(event) or OPTIONAL_REASONS.get(event, frozenset())
    if not allowed.issuperset(reasons):
        raise RecordRefused("A reason is not on the closed list of its event.", context={"event": event.value})
    if (external is not None) != (event in RELAYS):
        raise RecordRefused("Relays, and only they, name the outside service.", context={"event": event.value})


def _check_details(
    event: EvidenceEvent,
    actor: Actor,
    identification: Identification | None,
    legal_basis: LegalBasis | None,
    letter: Letter | None,
) -> None:
    if identification is None and actor is Actor.RECIPIENT:
        raise RecordRefused("Evidence of a recipient's act says how they were identified.")
    if identification is not None and actor not in PERSONS:
        raise RecordRefused("Only persons are identified.", context={"actor": actor.value})
    acted_for = None if identification is None else identification.acted_for
    if acted_for is not None and (acted_for.mandate is not None) != (acted_for.basis is ActingBasis.MANDATE):
        raise RecordRefused("Who acts by a mandate names it, and nobody else does.")
    if letter is not None and event not in RELAYS:
        raise RecordRefused("Only what is relayed has a letter.", context={"event": event.value})
    digests = [] if legal_basis is None else [legal_basis.sha256]
    if letter is not None:
        digests += filter(
            None, (letter.print_sha256, letter.batch_sha256, letter.posting_proof_sha256, letter.receipt_sha256)
        )
    if any(_SHA256.fullmatch(digest) is None for digest in digests):
        raise RecordRefused("A digest in an evidence record is a SHA-256 in lower-case hexadecimal.")
