"""The logos of organisations, as their letters show them."""

import threading
import uuid
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from printing.asked import Asked
from printing.errors import LetterRefused
from printing.letters import Extras, Letter, Sender, compose
from printing.logo import Logo, sha256_of, taken_in
from printing.samples import blank_document
from service.db.models import Organisation
from service.domain.errors import NotFound
from service.usecases.context import Context
from service.usecases.looking import look
from service.usecases.products import LETTER

_ADDRESSEE: Final = ("Jan Voorbeeld", "Voorbeeldstraat 1", "9999 Voorbeeldegem")
_MOST_KEPT: Final = 256


@dataclass(frozen=True)
class Tried:
    """A logo that was taken in, and the letter it was tried on."""

    png: bytes = field(repr=False)
    letter: Letter


def take_in(context: Context, organisation: Organisation, data: bytes, *, colour: bool = False) -> Tried:
    """A logo from a file, tried on an address page: one with which no letter could be printed is refused now.

    Raises:
        LogoRefused: as `printing.logo.taken_in`.
        LetterRefused: the page with it can't be printed, for instance since a machine would take it for a code.
        Retryable: the machine is too busy to look.
    """
    png = taken_in(data)
    profile = context.printers.of(LETTER).profile
    letter = compose(
        blank_document(),
        [],
        address_lines=_ADDRESSEE,
        sender=sender_of(organisation, Logo(png, colour=colour)),
        reference="2026-0001",
        language="nl",
        duplex=True,
        profile=profile,
        extras=Extras(f"{context.base_url}/verify"),
    )
    found = look(context, Asked("letter", profile, duplex=True, sheets=letter.sheets), letter.pdf)
    if found.problems:
        raise LetterRefused(*found.problems)
    return Tried(png, letter)


def keep(session: Session, organisation_id: uuid.UUID, png: bytes | None) -> None:
    """Let an organisation's letters show this logo from now on; None: none."""
    values = {"logo": png, "logo_sha256": None if png is None else sha256_of(png)}
    session.execute(update(Organisation).where(Organisation.id == organisation_id).values(values))


def named(session: Session, slug: str) -> Organisation:
    """An organisation by its short name.

    Raises:
        NotFound: there is none.
    """
    found = session.scalar(select(Organisation).where(Organisation.slug == slug))
    if found is None:
        raise NotFound(f"There is no organisation {slug}.")
    return found


def sender_of(organisation: Organisation, logo: Logo | None) -> Sender:
    """Who sends an organisation's letters, as their address pages say."""
    return Sender(organisation.name, tuple(organisation.return_address), (organisation.contact,), logo)


class Logos:
    """The logos that a process printed with lately, by their digests."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._kept: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    def of(self, context: Context, organisation: Organisation, *, colour: bool) -> Logo | None:
        """What an organisation's address page shows; None for one that has no logo."""
        digest = organisation.logo_sha256
        if digest is None:
            return None
        png = self._kept.get(digest)
        if png is None:
            with context.database.transaction() as session:
                png = session.scalar(
                    select(Organisation.logo).where(
                        Organisation.id == organisation.id, Organisation.logo_sha256 == digest
                    )
                )
            # It was exchanged in this moment: this letter goes without, as it may.
            if png is None:
                return None
            with self._lock:
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.clear()
                self._kept[digest] = png
        return Logo(png, colour=colour)
