"""What organisations want of their letters where a delivery doesn't say, as operators set it up with them."""

from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db.models import Organisation
from service.domain.errors import Invalid, NotFound
from service.usecases import audit
from service.usecases.context import Context
from service.usecases.personal import PLATFORM

DEFAULT: Final = "default"
UNDELIVERABLE: Final = ("return", "destroy", DEFAULT)
"""What the post does with a letter that can't be delivered; ``default`` is ``return``."""
RETURNED_MAIL: Final = ("ask", "end")
"""What follows a letter that came back: its sender is asked for another address, or that is the end."""
SHARE_ENVELOPES: Final = ("on", "off")
"""Whether letters to the same addressee may share an envelope."""


class PaperChoices(msgspec.Struct, frozen=True):
    """An organisation's choices: words of ``UNDELIVERABLE``, ``RETURNED_MAIL`` and ``SHARE_ENVELOPES``."""

    organisation: str
    name: str
    undeliverable: str
    returned_mail: str
    share_envelopes: str


def listing(context: Context) -> list[PaperChoices]:
    """Those of every organisation that sends, by name."""
    with context.database.transaction() as session:
        query = select(Organisation).where(Organisation.id != PLATFORM).order_by(Organisation.name)
        return [_choices(row) for row in session.scalars(query)]


def choose(
    session: Session,
    slug: str,
    *,
    undeliverable: str | None = None,
    returned_mail: str | None = None,
    share_envelopes: str | None = None,
    actor: str,
) -> PaperChoices:
    """Choose for an organisation, for what is handed in some seconds from now on; None leaves a choice as it is.

    Raises:
        NotFound: there is no such organisation.
        Invalid: ``choice_unknown``.
    """
    row = session.scalar(select(Organisation).where(Organisation.slug == slug, Organisation.id != PLATFORM))
    if row is None:
        raise NotFound("There is no such organisation.")
    for name, value, words in (
        ("undeliverable", undeliverable, UNDELIVERABLE),
        ("returned_mail", returned_mail, RETURNED_MAIL),
        ("share_envelopes", share_envelopes, SHARE_ENVELOPES),
    ):
        if value is None:
            continue
        if value not in words:
            raise Invalid(f"A choice for {name} is one of {', '.join(words)}.", code="choice_unknown")
        chosen = None if value == DEFAULT else value
        kept: str | bool | None = value == "on" if words is SHARE_ENVELOPES else chosen
        if kept == getattr(row, name):
            continue
        setattr(row, name, kept)
        audit.record(session, actor=actor, act=f"organisation.{name}", subject=slug, details={name: chosen})
    session.flush()
    return _choices(row)


def _choices(row: Organisation) -> PaperChoices:
    return PaperChoices(
        row.slug, row.name, row.undeliverable or DEFAULT, row.returned_mail, SHARE_ENVELOPES[not row.share_envelopes]
    )
