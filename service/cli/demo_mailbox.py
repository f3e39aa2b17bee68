"""A person activates their mailbox: asks for a code, reads it in their e-mail, gives it back with their consent."""

import re
import time
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Final

from service.cli.demo_calls import CallRefused, Calls, ServiceAway
from service.embedded.fictional import Person

PLACE: Final = "/v1/mailbox/activation"
_CODE: Final = re.compile(r"(?<!\d)\d{6}(?!\d)")
_TOO_SOON: Final = 429
_PATIENCE: Final = 90.0
_PAUSE: Final = 0.2
# As long as a code is good.
_RECENT: Final = timedelta(minutes=14)


def activate(calls: Calls, person: Person, mail: Path, *, wanted: bool, registered: bool = False) -> bool:
    """Activate the person's mailbox, if it is wanted and not active yet; whether it is active.

    Args:
        calls: in the person's name.
        person: whose mailbox.
        mail: the mail sink's folder.
        wanted: without it this only looks.
        registered: agree to registered mail there as well, once.

    Raises:
        CallRefused, ServiceAway: the service said no, or nothing; or no mail came.
    """
    state = calls.ask("GET", PLACE).json()
    if state["active"] or not wanted:
        return bool(state["active"])
    address = f"{person.login}@voorbeeld.test"
    asked = _ask_for_code(calls, address, person.language)
    confirmation = {"code": _code(mail, address, asked), "consent_version": state["consent"]["version"]}
    active = bool(calls.ask("PUT", PLACE, json=confirmation).json()["active"])
    if active and registered:
        agreed = {"consent_version": state["registered_consent"]["version"]}
        calls.ask("PUT", f"{PLACE}/registered", json=agreed)
    return active


def newest_message(mail: Path, address: str, since: datetime) -> str | None:
    """The text of the newest message to an address that arrived after ``since``."""
    for file in sorted(mail.glob("*.eml"), reverse=True):
        arrived = datetime.strptime(file.name[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        if arrived < since.replace(microsecond=0):
            return None
        message = BytesParser(policy=policy.default).parsebytes(file.read_bytes())
        if message["Delivered-To"] == address:
            body = message.get_body(("plain",))
            return "" if body is None else str(body.get_content())
    return None


def _ask_for_code(calls: Calls, address: str, language: str) -> datetime:
    """Ask for a code; since when it may have come."""
    now = datetime.now(UTC)
    try:
        calls.ask("PUT", PLACE, json={"email": address, "language": language})
    except CallRefused as refusal:
        if refusal.status != _TOO_SOON:
            raise
        # An earlier start asked a moment ago and was interrupted: its code is still good.
        return now - _RECENT
    return now


def _code(mail: Path, address: str, since: datetime) -> str:
    last = time.monotonic() + _PATIENCE
    while time.monotonic() < last:
        text = newest_message(mail, address, since)
        found = _CODE.search(text) if text else None
        if found is not None:
            return found[0]
        time.sleep(_PAUSE)
    raise ServiceAway("The e-mail with the code for a mailbox did not come.")
