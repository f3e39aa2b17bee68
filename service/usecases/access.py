"""Who may act: tokens for agencies' programs, tokens for people, and what a person may do here."""

import contextlib
import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db import assertions
from service.db.ids import ORGANISATION, parse_id, public_id
from service.db.models import Client, Organisation, Staff
from service.domain.errors import Forbidden
from service.domain.evidence_record import ActedFor, ActingBasis, Identification
from service.domain.identifiers import NumberInvalid, RecipientId, RecipientKind
from service.identity.assertions import AssertionCredentials, believe
from service.identity.base import Person
from service.identity.clients import ClientCredentials, SecretCredentials, check_secret
from service.identity.errors import ClientRefused
from service.identity.grants import ClientCredentialsRequest, ExchangeRequest
from service.identity.scopes import Scope, grant_scopes, known_scopes
from service.identity.tokens import AccessToken, IssuedToken, TokenIssuer
from service.usecases import audit, reindex
from service.usecases.context import Context
from service.usecases.mailbox import Reader, level
from service.usecases.personal import PLATFORM, find_hashes

CLERK_SCOPES = frozenset(
    {Scope.DELIVERIES_WRITE, Scope.DELIVERIES_READ, Scope.RECIPIENTS_LOOKUP, Scope.SIGNATURES_WRITE}
)
OPERATOR_SCOPES = frozenset({Scope.PRINT_OPERATE})
PLATFORM_SCOPES = frozenset({Scope.OPERATIONS_READ, Scope.OPERATIONS_WRITE})
READER_SCOPES = frozenset({Scope.MAILBOX_READ, Scope.MAILBOX_WRITE})
EXCHANGE_CLIENT = "token-exchange"
TOKEN_PATH = "/oauth/token"  # noqa: S105  an address


@dataclass(frozen=True, slots=True)
class Granted:
    """A token and the scopes it carries."""

    token: IssuedToken
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class StaffRole:
    """What a person does for an organisation: ``clerk`` or ``operator``."""

    organisation_id: uuid.UUID
    organisation_name: str
    role: str

    @property
    def runs_the_platform(self) -> bool:
        """Whether they look after the service itself: operators of the platform, and of no sender."""
        return self.role == "operator" and self.organisation_id == PLATFORM


@dataclass(frozen=True, slots=True)
class Profile:
    """What a person may do: read an own mailbox, act for organisations, or neither."""

    reader: Reader | None
    staff: tuple[StaffRole, ...]


def client_token(
    context: Context, tokens: TokenIssuer, credentials: ClientCredentials, request: ClientCredentialsRequest
) -> Granted:
    """A token for an agency's program (RFC 6749, section 4.4).

    Raises:
        ClientRefused: unknown, switched off, the wrong secret, or a statement that must not be believed or was used
            before: always the same answer.
        ScopeRefused: a scope that the client was not given.
    """
    with context.database.transaction() as session:
        row = session.get(Client, credentials.client_id)
        active = row if row is not None and row.active else None
        if isinstance(credentials, SecretCredentials):
            proven = check_secret(credentials.secret, None if active is None else active.secret_hash)
        else:
            proven = _believed(session, tokens, credentials, active, context.clock())
        if row is None or active is None or not proven:
            raise ClientRefused("The client is not known by these credentials.")
    scopes = grant_scopes(request.scope, known_scopes(" ".join(row.scopes)))
    token = tokens.issue(
        now=context.clock(),
        subject=row.client_id,
        client_id=row.client_id,
        scopes=scopes,
        organisation=public_id(ORGANISATION, row.organisation_id),
    )
    return Granted(token, scopes)


def _believed(
    session: Session, tokens: TokenIssuer, credentials: AssertionCredentials, client: Client | None, now: datetime
) -> bool:
    """Whether a client's statement is to be believed; it is used up by this."""
    audiences = frozenset({tokens.issuer, f"{tokens.issuer}{TOKEN_PATH}"})
    statement = believe(credentials, None if client is None else client.jwks, audiences, now)
    return assertions.use(session, statement.id_hash, expires_at=statement.expires_at, now=now)


def forget_statements(session: Session, *, now: datetime) -> int:
    """Remove what is remembered of clients' statements that nobody would believe any more; returns how many."""
    return assertions.forget(session, now=now)


def exchange(context: Context, tokens: TokenIssuer, person: Person, request: ExchangeRequest) -> Granted:
    """A token for a person whose ID token was believed (RFC 8693).

    The token acts for the organisation whose clerk or operator the person is, when it is one; and in the person's own
    mailbox, when they have a number.
    """
    known = profile(context, person)
    allowed: set[Scope] = set()
    organisations = {each.organisation_id for each in known.staff}
    if known.reader is not None:
        allowed |= READER_SCOPES
    if len(organisations) == 1:
        for each in known.staff:
            allowed |= CLERK_SCOPES if each.role == "clerk" else OPERATOR_SCOPES
            if each.runs_the_platform:
                allowed |= PLATFORM_SCOPES
    scopes = grant_scopes(request.scope, allowed)
    own = organisations.pop() if len(organisations) == 1 else None
    token = tokens.issue(
        now=context.clock(),
        subject=person.subject,
        client_id=EXCHANGE_CLIENT,
        scopes=scopes,
        organisation=None if own is None else public_id(ORGANISATION, own),
        roles=frozenset() if own is None else frozenset(each.role for each in known.staff),
        recipient=None if known.reader is None else recipient_reference(known.reader),
        assurance_level=person.assurance_level,
        auth_time=person.auth_time,
        identity_provider=person.issuer,
    )
    return Granted(token, scopes)


def profile(context: Context, person: Person) -> Profile:
    """What a person may do here."""
    with context.database.transaction() as session:
        return Profile(_reader(context, person), _staff(session, person))


def recipient_reference(reader: Reader) -> str:
    """The reader as a token carries them: kind and keyed hashes, never a number."""
    return f"{reader.kind.value}:{'.'.join(each.hex() for each in reader.hashes)}"


def reader_of(token: AccessToken) -> Reader:
    """The reader that a token speaks for.

    Raises:
        Forbidden: it is not a recipient's token.
    """
    kind, _, digest = (token.recipient or "").partition(":")
    if not digest:
        raise Forbidden("This token belongs to nobody's mailbox.", code="not_a_recipient")
    written, *others = (bytes.fromhex(each) for each in digest.split("."))
    return Reader(
        written,
        RecipientKind(kind),
        token.assurance_level,
        tuple(others),
        provider=token.identity_provider,
        person=token.subject,
        authenticated_at=token.auth_time,
    )


def organisation_of(token: AccessToken) -> uuid.UUID:
    """The organisation that a token acts for.

    Raises:
        Forbidden: it acts for none.
    """
    if token.organisation is None:
        raise Forbidden("This token acts for no organisation.", code="no_organisation")
    return parse_id(ORGANISATION, token.organisation)


def identification_of(token: AccessToken) -> Identification | None:
    """How the person was identified who acts for an organisation with a token; None for a program."""
    if token.client_id != EXCHANGE_CLIENT:
        return None
    return _for_organisation(token.identity_provider, token.subject, token.assurance_level, token.auth_time)


def identification(person: Person) -> Identification:
    """The same of somebody who is logged in on pages."""
    return _for_organisation(person.issuer, person.subject, person.assurance_level, person.auth_time)


def _for_organisation(provider: str | None, subject: str, assurance: str | None, at: datetime | None) -> Identification:
    return Identification(provider, level(assurance), at, ActedFor(ActingBasis.LOG_IN, subject))


def operator_of(token: AccessToken) -> None:
    """Pass the platform's own people and programs.

    Raises:
        Forbidden: the token acts for somebody else, whatever its scopes say.
    """
    if organisation_of(token) != PLATFORM:
        raise Forbidden("This is for those who look after the service.", code="not_an_operator")


def actor_of(context: Context, token: AccessToken) -> str:
    """Who acts with a token, as the audit trail names them: a person, or a program by its id."""
    if token.client_id == EXCHANGE_CLIENT:
        return audit.staff_actor(context.index.writing, token.subject)
    return f"client:{token.client_id}"


def recipient_of(person: Person) -> RecipientId | None:
    """The number by which mail is addressed to whoever logged in; None where the log-in says none."""
    for kind, text in (
        (RecipientKind.CITIZEN, person.national_number),
        (RecipientKind.ENTERPRISE, person.enterprise_number),
        (RecipientKind.ADMINISTRATION, person.administration_code),
    ):
        if text:
            with contextlib.suppress(NumberInvalid):
                return RecipientId.parse(kind, text)
    return None


def _reader(context: Context, person: Person) -> Reader | None:
    number = recipient_of(person)
    if number is None:
        return None
    reindex.follow(context, number)
    written, *others = find_hashes(context, number)
    return Reader(
        written,
        number.kind,
        person.assurance_level,
        tuple(others),
        provider=person.issuer,
        person=person.subject,
        authenticated_at=person.auth_time,
    )


def _staff(session: Session, person: Person) -> tuple[StaffRole, ...]:
    query = (
        select(Staff.organisation_id, Organisation.name, Staff.role)
        .join(Organisation, Organisation.id == Staff.organisation_id)
        .where(Staff.issuer == person.issuer, Staff.subject == person.subject, Staff.active)
        .order_by(Organisation.name, Staff.role)
    )
    return tuple(StaffRole(*row) for row in session.execute(query))
