"""From a profile and an open key to a sealer."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from pyhanko.sign.fields import MDPPerm

from service.seals.looks import appearance, tell
from service.seals.profile import SealProfile
from service.seals.sealers import Make
from signing.errors import SealCheckFailed
from signing.keys import SealKey
from signing.report import Verdict
from signing.revocation import RevocationSource
from signing.seal import Sealer
from signing.timestamps import TimeStampAuthority
from signing.validate import validate

_CERTIFYING: Final = {"no-changes": MDPPerm.NO_CHANGES, "forms": MDPPerm.FILL_FORMS, "comments": MDPPerm.ANNOTATE}


log = structlog.get_logger()

SAMPLE: Final = 200
"""One of this many seals is judged as whoever gets the document would, the first of each sealer always."""


def maker(
    tsa: TimeStampAuthority,
    revocation: RevocationSource,
    folder: Path,
    *,
    roots: Sequence[x509.Certificate] = (),
    check_address: str | None = None,
) -> Make:
    """What makes sealers that use these authorities.

    Args:
        tsa: makes time-stamps.
        revocation: knows whether certificates are still good.
        folder: where the files lie that profiles name.
        roots: whom the samples of what was sealed are judged by.
        check_address: where codes are checked unless a profile says otherwise, with ``{code}`` in it.
    """
    sample = _sample(roots)

    def make(key: SealKey, profile: SealProfile) -> Sealer:
        certify = _CERTIFYING[profile.certify] if profile.certify else None
        return Sealer(
            key,
            tsa,
            level=profile.level,
            revocation=revocation,
            certify=certify,
            appearance=appearance(profile.appearance, folder, check_address) if profile.appearance else None,
            shown=tell,
            sample=sample,
            sample_every=SAMPLE,
        )

    return make


def _sample(roots: Sequence[x509.Certificate]) -> Callable[[bytes], None]:
    def judge(sealed: bytes) -> None:
        """Raise when what was just sealed isn't good; a root that isn't believed here is only told."""
        last = validate(sealed, trust_roots=roots, at=datetime.now(UTC)).last
        if last is not None and last.verdict is Verdict.VALID:
            return
        if last is not None and last.intact and last.trusted is False and last.verdict is Verdict.INDETERMINATE:
            log.warning("seal_not_trusted_here", code=last.code)
            return
        raise SealCheckFailed(
            "A sealed document did not pass validation.", context={"code": (last and last.code) or ""}
        )

    return judge
