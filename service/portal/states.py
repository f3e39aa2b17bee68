"""How a state reads; and how those of a signature request and its signers read to whoever asked for the signatures."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from service.portal.languages import N_


@dataclass(frozen=True, slots=True)
class Status:
    """How a state reads: a word, a sentence, and a tone (``going``, ``done``, ``waiting``, ``stopped``)."""

    label: str
    sentence: str
    tone: str


ASKED: Final[Mapping[str, Status]] = MappingProxyType(
    {
        "open": Status(N_("Waits for signatures"), N_("Not everybody has signed yet."), "waiting"),
        "signed": Status(N_("Being finished"), N_("Everybody has signed. We are sealing the result."), "going"),
        "completed": Status(N_("Completed"), N_("Everybody has signed, and the result is sealed."), "done"),
        "refused": Status(N_("Refused"), N_("Somebody refused to sign, so the request has ended."), "stopped"),
        "expired": Status(N_("Expired"), N_("Not everybody signed in time."), "stopped"),
        "cancelled": Status(N_("Cancelled"), N_("Your organisation took the request back."), "stopped"),
        "failed": Status(N_("Failed"), N_("The document could not be sealed."), "stopped"),
    }
)
"""Every state of a signature request, as its sender sees it."""

SIGNERS: Final[Mapping[str, Status]] = MappingProxyType(
    {
        "waiting": Status(N_("Not asked yet"), N_("Others sign first."), "going"),
        "asked": Status(N_("Asked"), N_("May sign now."), "waiting"),
        "signed": Status(N_("Signed"), N_("Has signed."), "done"),
        "refused": Status(N_("Refused"), N_("Does not sign."), "stopped"),
        "released": Status(N_("Not needed any more"), N_("The request ended before this signature."), "going"),
    }
)
"""Every state of a signer, as the sender of the request sees it."""
