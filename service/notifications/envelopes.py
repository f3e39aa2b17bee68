"""Envelope senders that name their notice (VERP): what comes back says by its address which notice it is about.

The name is a token: what the notice is about, encrypted and authenticated (AES-SIV, RFC 5297) under a key of ours. It
tells nobody anything, nobody else can make one, and nothing has to be kept for it: a restored database knows them too.
The same notice always has the same.
"""

import base64
import hmac
import re
import uuid
from collections.abc import Iterable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from service.domain.errors import Invalid
from service.notifications.base import About, NoticeKind, checked_address

_PURPOSE: Final = b"envelope sender of a notice|1"
_NAMED: Final = 2 + 16
_TOKEN: Final = (_NAMED + 16) * 8 // 5 + 1
_PADDING: Final = "=" * (-_TOKEN % 8)
_MAX_LOCAL: Final = 64 - _TOKEN - 1
_MAX_NUMBER: Final = 255


class Envelopes:
    """Writes envelope senders and reads them back.

    Args:
        address: where bounces go. ``name@domain`` makes ``name+token@domain``, ``@domain`` makes ``token@domain``.
        keys: secrets, the first of which is written with; all are read with.

    Raises:
        ValueError: with a sentence that says what to change.
    """

    def __init__(self, address: str, keys: Sequence[bytes]) -> None:
        local, _, domain = address.strip().rpartition("@")
        try:
            checked = checked_address(f"{local or 'any'}@{domain}")
        except Invalid:
            raise ValueError("the address of bounces must be name@domain, or @domain") from None
        if len(local) > _MAX_LOCAL:
            raise ValueError(f"the address of bounces may have {_MAX_LOCAL} characters before the @, or none")
        self._prefix = f"{local}+" if local else ""
        self._domain = checked.rpartition("@")[2]
        # The key has other uses: what is made of it here is good for nothing else.
        self._ciphers = [AESSIV(hmac.digest(key, _PURPOSE, "sha512")) for key in keys]
        before = re.escape(self._prefix) if local else r"(?<![\w+.-])"
        after = f"@{re.escape(self._domain)}" + r"(?![\w.-])"
        self._pattern = re.compile(f"{before}([a-z2-7]{{{_TOKEN}}}){after}", re.IGNORECASE | re.ASCII)

    def sender(self, about: About) -> str:
        """The address that a notice leaves with."""
        if not 0 <= about.number <= _MAX_NUMBER:
            raise ValueError("a notice's number has one byte")
        named = bytes((about.kind, about.number)) + about.subject.bytes
        token = base64.b32encode(self._ciphers[0].encrypt(named, [_PURPOSE])).decode("ascii").rstrip("=").lower()
        return f"{self._prefix}{token}@{self._domain}"

    def find(self, texts: Iterable[str]) -> About | None:
        """The one notice that is named in any of these texts; None where there is none of ours, or more than one."""
        tokens = {token.lower() for text in texts for token in self._pattern.findall(text)}
        found = {about for token in tokens if (about := self._read(token)) is not None}
        return found.pop() if len(found) == 1 else None

    def _read(self, token: str) -> About | None:
        sealed = base64.b32decode((token + _PADDING).upper())
        for cipher in self._ciphers:
            try:
                named = cipher.decrypt(sealed, [_PURPOSE])
                return About(NoticeKind(named[0]), uuid.UUID(bytes=named[2:]), named[1])
            except (InvalidTag, ValueError):
                continue
        return None
