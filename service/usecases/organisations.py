"""Organisations, their programs and their people, as whoever runs the service sets them up."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.db.ids import new_id
from service.db.models import Client, Organisation, Staff
from service.domain.errors import Conflict, Invalid, NotFound
from service.identity.clients import hash_secret
from service.identity.scopes import Scope

PROGRAM_SCOPES: Final = frozenset(
    {
        Scope.DELIVERIES_WRITE,
        Scope.DELIVERIES_READ,
        Scope.RECIPIENTS_LOOKUP,
        Scope.VALIDATIONS_WRITE,
        Scope.SIGNATURES_WRITE,
        Scope.WEBHOOKS_WRITE,
    }
)
"""What programs of senders may be given; the rest is for persons."""


@dataclass(frozen=True)
class NewOrganisation:
    """An organisation to be known.

    Attributes:
        slug: names it for ever.
        seal_profile: the key it seals with.
        document_types: the entries of the legal-basis register that its document types are sent under.
        share_envelopes: its letters to one addressee may share an envelope.
    """

    slug: str
    name: str
    kind: str
    number: str
    seal_profile: str
    return_address: Sequence[str]
    contact: str
    mark: str = "live"
    document_types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    share_envelopes: bool = False


@dataclass(frozen=True)
class NewClient:
    """A program of an organisation, with the secret it was told."""

    client_id: str
    name: str
    secret: str = field(repr=False)
    scopes: Collection[Scope] = ()


def ensure(session: Session, new: NewOrganisation) -> uuid.UUID:
    """Make an organisation known, or find the one that has this slug."""
    session.execute(
        insert(Organisation)
        .values(
            id=new_id(),
            slug=new.slug,
            name=new.name,
            kind=new.kind,
            number=new.number,
            mark=new.mark,
            seal_profile=new.seal_profile,
            return_address=list(new.return_address),
            contact=new.contact,
            document_types={name: dict(entries) for name, entries in new.document_types.items()},
            share_envelopes=new.share_envelopes,
        )
        .on_conflict_do_nothing(index_elements=["slug"])
    )
    found = session.scalar(select(Organisation.id).where(Organisation.slug == new.slug))
    assert found is not None
    return found


def assign(session: Session, organisation_id: uuid.UUID, document_type: str, mail: str, entry: str | None) -> None:
    """Send a document type under an entry of the legal-basis register from now on; None: as usual."""
    row = session.get_one(Organisation, organisation_id, with_for_update=True)
    types = {name: dict(entries) for name, entries in row.document_types.items()}
    named = types.setdefault(document_type, {})
    named.pop(mail, None)
    if entry is not None:
        named[mail] = entry
    row.document_types = {name: entries for name, entries in types.items() if entries}


def by_slug(session: Session, slug: str) -> uuid.UUID | None:
    """The organisation of this name."""
    return session.scalar(select(Organisation.id).where(Organisation.slug == slug))


def ensure_client(session: Session, organisation_id: uuid.UUID, new: NewClient) -> None:
    """Give a program its credentials and scopes; a known one gets this secret from now on.

    Raises:
        Conflict: ``client_taken``, the id is another organisation's.
    """
    values = {"secret_hash": hash_secret(new.secret), "scopes": sorted(scope.value for scope in new.scopes)}
    written = session.scalar(
        insert(Client)
        .values(client_id=new.client_id, organisation_id=organisation_id, name=new.name, active=True, **values)
        .on_conflict_do_update(
            index_elements=["client_id"], set_=values, where=Client.organisation_id == organisation_id
        )
        .returning(Client.client_id)
    )
    if written is None:
        raise Conflict("Another organisation has a client by this id.", code="client_taken")


def set_keys(session: Session, client_id: str, jwks: dict[str, Any] | None) -> None:
    """Know a program by these public keys from now on, as ``assertions.checked_jwks`` gives them; None: by none.

    Raises:
        NotFound: there is no such program.
    """
    changed = session.scalar(
        update(Client).where(Client.client_id == client_id).values(jwks=jwks).returning(Client.client_id)
    )
    if changed is None:
        raise NotFound("There is no program by this id.")


def change_scopes(
    session: Session, client_id: str, *, more: Collection[Scope] = (), fewer: Collection[Scope] = ()
) -> list[str]:
    """Let a program ask for further scopes, or for some no more; those it may ask for then.

    Tokens that it has keep theirs until they end.

    Raises:
        NotFound: there is no such program.
        Invalid: ``scope_not_of_senders``, the scope is not for programs of senders.
    """
    if not PROGRAM_SCOPES.issuperset(more):
        raise Invalid("This scope is not for programs of senders.", code="scope_not_of_senders")
    row = session.get(Client, client_id, with_for_update=True)
    if row is None:
        raise NotFound("There is no program by this id.")
    row.scopes = sorted(set(row.scopes) - {each.value for each in fewer} | {each.value for each in more})
    session.flush()
    return row.scopes


def ensure_staff(session: Session, organisation_id: uuid.UUID, *, issuer: str, subject: str, role: str) -> None:
    """Let a person act for an organisation."""
    session.execute(
        insert(Staff)
        .values(organisation_id=organisation_id, issuer=issuer, subject=subject, role=role, active=True)
        .on_conflict_do_update(index_elements=["issuer", "subject", "organisation_id", "role"], set_={"active": True})
    )
