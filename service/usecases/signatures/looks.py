"""What can be seen of people's signatures: a place kept for each in the document before the first one signs."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from typing import Final, cast

import structlog

from service.db.ids import SIGNATURE_REQUEST, public_id
from service.engine.patience import OutOfPatience, patience
from service.seals import looks
from signing.appearance.words import Language
from signing.errors import Unsealable
from signing.prepared import Writer
from signing.reserving import reserve
from signing.revision import SignatureWriter

log = structlog.get_logger()

_MEMORY: Final = 1 << 30
_OF_CARDS: Final = " (Signature)"
"""What Belgian identity cards add to the name in the certificate for signing."""


def field(request: uuid.UUID, position: int) -> str:
    """The name of the field kept for a signer: no document has it before it is asked for."""
    return f"{public_id(SIGNATURE_REQUEST, request)}-{position}"


def with_places(pdf: bytes, request: uuid.UUID, language: Language, names: Mapping[int, str], *, at: datetime) -> bytes:
    """The document with a place kept for each signer, where there is room for what they will show.

    Args:
        pdf: the document; one that can't be given places comes back as it was, and is signed with nothing to be seen.
        request: whose document it is.
        language: of the words.
        names: of the people who will sign, by their positions.
        at: our time (aware).
    """
    stream = BytesIO(pdf)
    appearance = looks.of_people(language, looks.beyond_latin(names.values()))
    try:
        with patience(memory=_MEMORY):
            found = reserve(stream, appearance, {field(request, each): name for each, name in names.items()}, at=at)
    except (Unsealable, OutOfPatience) as error:
        code = error.code if isinstance(error, Unsealable) else "too_complex"
        log.info("signature_places_not_kept", reason=code)
        return pdf
    for shown in found.values():
        looks.tell(shown, event="signature_place_not_kept")
    return stream.getvalue()


def shown_name(certificate_name: str) -> str:
    """Who signs, as their certificate says and not as the sender wrote."""
    return certificate_name.removesuffix(_OF_CARDS)


def writer(language: str, name: str) -> Writer:
    """Makes the writer that draws a person's signature, in the language of a request's row."""
    appearance = looks.of_people(cast("Language", language), looks.beyond_latin([name]))
    return lambda mechanism, reserved: SignatureWriter(
        mechanism, reserved=reserved, field_prefix="Signature", appearance=appearance
    )
