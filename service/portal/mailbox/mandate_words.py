"""What people read about mandates."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from service.portal.languages import N_, Words
from service.portal.states import Status

MANDATES: Final[Mapping[str, Status]] = MappingProxyType(
    {
        "given": Status(N_("Waits for its code"), N_("It starts once the code is entered."), "waiting"),
        "accepted": Status(N_("In force"), N_("It can be used now."), "done"),
        "revoked": Status(N_("Revoked"), N_("It was ended and can't be used any more."), "stopped"),
        "ended": Status(N_("Ended"), N_("Its last day is over."), "stopped"),
        "lapsed": Status(N_("Lapsed"), N_("The right code was not entered in time."), "stopped"),
    }
)
"""Where a mandate stands."""

MANDATE_ACTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "given": N_("Mandate given"),
        "accepted": N_("Mandate accepted with the code"),
        "revoked": N_("Mandate ended"),
        "opened": N_("Letter opened"),
        "document_read": N_("Document read"),
        "registered_mail_accepted": N_("Registered letter accepted"),
        "registered_mail_refused": N_("Registered letter refused"),
    }
)
"""What is done to a mandate, or under it."""


class MandateWording:
    """The tables in one language."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def standing(self, code: str) -> Status:
        """Where a mandate stands."""
        found = MANDATES[code]
        return Status(self._words.gettext(found.label), self._words.gettext(found.sentence), found.tone)

    def act(self, code: str) -> str:
        """What was done to a mandate, or under it."""
        return self._words.gettext(MANDATE_ACTS[code])
