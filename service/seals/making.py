"""From a profile and an open key to a sealer."""

from typing import Final

from pyhanko.sign.fields import MDPPerm

from service.seals.profile import SealProfile
from service.seals.sealers import Make
from signing.keys import SealKey
from signing.revocation import RevocationSource
from signing.seal import Sealer
from signing.timestamps import TimeStampAuthority

_CERTIFYING: Final = {"no-changes": MDPPerm.NO_CHANGES, "forms": MDPPerm.FILL_FORMS, "comments": MDPPerm.ANNOTATE}


def maker(tsa: TimeStampAuthority, revocation: RevocationSource) -> Make:
    """What makes sealers that use these authorities."""

    def make(key: SealKey, profile: SealProfile) -> Sealer:
        certify = _CERTIFYING[profile.certify] if profile.certify else None
        return Sealer(key, tsa, level=profile.level, revocation=revocation, certify=certify)

    return make
