"""Fills a new installation with the fictional world: organisations, their clients and seals, their people."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from printing import samples
from service.db.session import Database
from service.embedded.fictional import AGENCY_SCOPES, ORGANISATIONS, PEOPLE, PLATFORM, Organisation
from service.embedded.kept import write_durably
from service.embedded.pki import ensure_seal
from service.embedded.privileges import private_folder
from service.identity.clients import new_secret
from service.usecases import logos, organisations
from service.usecases.personal import PLATFORM as PLATFORM_ID

_VISIBLE: Final = """\
[key]
provider = "pem"
key = "{name}.key.pem"
certificate = "{name}.cert.pem"
chain = "{name}.chain.pem"

[appearance]
organisation = "{organisation}"
language = "nl"
"""
_ROLES: Final = {"send": "clerk", "operate": "operator"}


@dataclass(frozen=True, slots=True)
class SeededClient:
    """A program of a fictional organisation, with its credentials."""

    client_id: str
    secret: str = field(repr=False)
    organisation: Organisation
    organisation_id: uuid.UUID


def seed(
    home: Path, environment: Mapping[str, str], *, wanted: Collection[Organisation] = ORGANISATIONS
) -> dict[str, SeededClient]:
    """Make organisations, clients, seals and staff that are missing. Safe to repeat; secrets stay what they were.

    Args:
        home: keeps the clients' secrets, in files that only we may read, and the test infrastructure in ``pki/``.
        environment: the service's: database, keys folder and issuer are taken from it.
        wanted: the organisations to make.

    Returns:
        The client of each organisation, by the organisation's slug.
    """
    seals = Path(environment["ZENDING_KEYS_FOLDER"]) / "seals"
    for organisation in wanted:
        place_seal(home / "pki", seals, organisation)
    clients = {}
    database = Database(environment["DATABASE_URL"], pool_size=1)
    try:
        with database.transaction() as session:
            ids = {PLATFORM: PLATFORM_ID}
            for each in wanted:
                client = SeededClient(
                    each.client_id, _kept_secret(home, each.client_id), each, organisations.ensure(session, _new(each))
                )
                known = organisations.NewClient(client.client_id, f"{each.name}: demo", client.secret, AGENCY_SCOPES)
                organisations.ensure_client(session, client.organisation_id, known)
                clients[each.slug], ids[each.slug] = client, client.organisation_id
                logos.keep(session, client.organisation_id, samples.logo(each.name[0]))
            for person in PEOPLE:
                if person.organisation in ids:
                    organisations.ensure_staff(
                        session,
                        ids[person.organisation],
                        issuer=environment["ZENDING_OIDC_ISSUER"],
                        subject=person.login,
                        role=_ROLES[person.does],
                    )
    finally:
        database.dispose()
    return clients


def place_seal(pki: Path, seals: Path, organisation: Organisation) -> None:
    """Put the organisation's key and certificates where sealing looks for them; what is there stays."""
    private_folder(seals)
    if (seals / f"{organisation.slug}.cert.pem").exists():
        return
    made = ensure_seal(pki, organisation.name, organisation.slug)
    if organisation.shows_seals:
        name = organisation.slug
        write_durably(seals / f"{name}.toml", _VISIBLE.format(name=name, organisation=organisation.name))
    # The certificate last: where it is, the rest is too.
    for kind, source in (("key", made.key), ("chain", made.chain), ("cert", made.certificate)):
        write_durably(seals / f"{organisation.slug}.{kind}.pem", source.read_text("ascii"))


def _new(organisation: Organisation) -> organisations.NewOrganisation:
    return organisations.NewOrganisation(
        slug=organisation.slug,
        name=organisation.name,
        kind="administration",
        number=organisation.number,
        seal_profile=organisation.slug,
        return_address=organisation.return_address,
        contact=organisation.contact,
        document_types=organisation.document_types,
        share_envelopes=organisation.shares_envelopes,
    )


def _kept_secret(home: Path, client_id: str) -> str:
    file = home / "secrets" / f"client-{client_id}.secret"
    if not file.exists():
        private_folder(file.parent)
        write_durably(file, new_secret())
    return file.read_text("utf-8").strip()
