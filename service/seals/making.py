"""From a profile and an open key to a sealer."""

from pathlib import Path
from typing import Final

from pyhanko.sign.fields import MDPPerm

from service.seals.looks import appearance, tell
from service.seals.profile import SealProfile
from service.seals.sealers import Make
from signing.keys import SealKey
from signing.revocation import RevocationSource
from signing.seal import Sealer
from signing.timestamps import TimeStampAuthority

_CERTIFYING: Final = {"no-changes": MDPPerm.NO_CHANGES, "forms": MDPPerm.FILL_FORMS, "comments": MDPPerm.ANNOTATE}


def maker(tsa: TimeStampAuthority, revocation: RevocationSource, folder: Path) -> Make:
    """What makes sealers that use these authorities; files that profiles name are in ``folder``."""

    def make(key: SealKey, profile: SealProfile) -> Sealer:
        certify = _CERTIFYING[profile.certify] if profile.certify else None
        return Sealer(
            key,
            tsa,
            level=profile.level,
            revocation=revocation,
            certify=certify,
            appearance=appearance(profile.appearance, folder) if profile.appearance else None,
            shown=tell,
        )

    return make
