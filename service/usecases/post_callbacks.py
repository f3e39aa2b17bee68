"""Calls of print houses that post letter by letter: believed by their signature, then taken in as any file."""

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from service.domain.errors import Unauthenticated
from service.printers.opening import LEAST_SECRET
from service.usecases import post_reports, printers
from service.usecases.context import Context
from service.usecases.post_reports import Taken

HEADER: Final = "Zending-Signature"
WINDOW: Final = timedelta(minutes=5)
"""How far a call's time may be from ours: one that was listened to can't be sent again later."""
_FORM: Final = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


def signature(secret: bytes, body: bytes, at: datetime) -> str:
    """The header of a call: the time in seconds, and HMAC-SHA-256 over it, a full stop and the body."""
    seconds = str(int(at.timestamp()))
    return f"t={seconds},v1={_mac(secret, seconds, body)}"


def take(context: Context, printer: str, header: str, body: bytes) -> Taken:
    """Take in what a print house calls with.

    Raises:
        Unauthenticated: no such print house, one that does not call, a wrong signature, or one of another time: always
            the same answer.
    """
    now = context.clock()
    secret = printers.callback_secret(context, printer)
    found = _FORM.fullmatch(header.strip())
    # A secret of nobody's takes as long as a wrong one.
    told = _mac(secret or b"\0" * LEAST_SECRET, found[1] if found else "0", body)
    fits = found is not None and hmac.compare_digest(told, found[2])
    if secret is None or found is None or not fits or abs(now - _moment(found[1])) > WINDOW:
        raise Unauthenticated("The call is not signed as it must be.", code="signature_wrong")
    digest = hashlib.sha256(body).hexdigest()
    return post_reports.take(context, printer, f"callback-{digest[:16]}", body, now)


def _mac(secret: bytes, seconds: str, body: bytes) -> str:
    return hmac.new(secret, seconds.encode("ascii") + b"." + body, hashlib.sha256).hexdigest()


def _moment(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC) if len(seconds) <= 11 else datetime.max.replace(tzinfo=UTC)  # noqa: PLR2004
