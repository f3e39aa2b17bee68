"""From a profile and an open key to a sealer."""

from functools import partial
from pathlib import Path
from typing import IO, Final

import structlog
from pyhanko.sign.fields import MDPPerm

from printing.apart import apart
from service.seals.errors import ProfileRefused
from service.seals.profile import SealProfile
from service.seals.sealers import Make
from signing.appearance import Appearance, Shown
from signing.appearance.room import look
from signing.keys import SealKey
from signing.revocation import RevocationSource
from signing.seal import Sealer
from signing.timestamps import TimeStampAuthority

log = structlog.get_logger()

_CERTIFYING: Final = {"no-changes": MDPPerm.NO_CHANGES, "forms": MDPPerm.FILL_FORMS, "comments": MDPPerm.ANNOTATE}
_FONT: Final = Path(__file__).resolve().parents[2] / "printing" / "fonts" / "LiberationSans-Regular.ttf"


def maker(folder: Path, tsa: TimeStampAuthority, revocation: RevocationSource) -> Make:
    """What makes sealers that use these authorities.

    Args:
        folder: where the files lie that profiles name.
        tsa: makes time-stamps.
        revocation: knows whether certificates are still good.
    """

    def make(key: SealKey, profile: SealProfile) -> Sealer:
        return Sealer(
            key,
            tsa,
            level=profile.level,
            revocation=revocation,
            certify=_CERTIFYING[profile.certify] if profile.certify else None,
            appearance=_appearance(folder, profile),
            shown=_tell,
        )

    return make


def _appearance(folder: Path, profile: SealProfile) -> Appearance | None:
    table = profile.look
    if table is None:
        return None
    try:
        return table.appearance(
            font=_FONT.read_bytes(), read=lambda name: (folder / name).read_bytes(), look_at=look_apart
        )
    except OSError as error:
        raise ProfileRefused(
            "The logo that the seal profile names can't be read.", context={"fault": type(error).__name__}
        ) from error


def look_apart(stream: IO[bytes], page: int, scale: float) -> bytes:
    """What is on a page, looked at in a fork with bounds of its own: pdfium may crash or hang over a document.

    Raises:
        ValueError: nobody could say.
    """
    seen = apart(partial(look, stream, page, scale))
    if seen is None:
        raise ValueError("the page could not be looked at")
    return seen


def _tell(shown: Shown) -> None:
    if shown.reason is not None:
        log.info("seal_not_shown", reason=shown.reason.value)
