"""How states read: those of deliveries, and those of signature requests to who asked and to who signs."""

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


STATUS: Final[Mapping[str, Status]] = MappingProxyType(
    {
        "received": Status(N_("Received"), N_("We have the letter and are sealing it."), "going"),
        "sealed": Status(N_("Sealed"), N_("The letter carries the seal. We are choosing how it travels."), "going"),
        "rejected": Status(N_("Rejected"), N_("The letter could not be sealed and was not sent."), "stopped"),
        "cancelled": Status(N_("Cancelled"), N_("You took the letter back. It was not sent."), "stopped"),
        "available": Status(N_("In the mailbox"), N_("The recipient can open the letter in the mailbox."), "waiting"),
        "opened": Status(N_("Opened"), N_("The recipient has opened the letter."), "done"),
        "offered": Status(N_("Offered"), N_("The recipient was asked to accept the letter."), "waiting"),
        "refused": Status(N_("Refused"), N_("The recipient did not accept the letter."), "stopped"),
        "expired": Status(N_("Expired"), N_("The recipient did not answer in time."), "stopped"),
        "withdrawn": Status(N_("Withdrawn"), N_("The sender took the letter back. Nobody had it yet."), "stopped"),
        "to_print": Status(N_("Waiting to be printed"), N_("The letter goes along with the next print run."), "going"),
        "batched": Status(N_("In a print run"), N_("The letter is on its way to the print house."), "going"),
        "handed_over": Status(N_("At the print house"), N_("The print house has the letter."), "done"),
        "printed": Status(N_("Printed"), N_("The letter is printed and goes to the post."), "done"),
        "posted": Status(N_("Posted"), N_("The post has the letter."), "done"),
        "delivered": Status(N_("Delivered"), N_("The post has delivered the letter."), "done"),
        "returned": Status(N_("Returned"), N_("The letter came back."), "stopped"),
        "undeliverable": Status(N_("Not delivered"), N_("The letter could not be brought this way."), "stopped"),
    }
)
"""Every public status of a delivery."""

SIGNING: Final[Mapping[str, Status]] = MappingProxyType(
    {
        "asked": Status(N_("Waits for you"), N_("You are asked to sign."), "waiting"),
        "waiting": Status(N_("Not your turn yet"), N_("Others sign first."), "waiting"),
        "signed": Status(N_("Signed"), N_("You have signed."), "done"),
        "refused": Status(N_("Not signed"), N_("Somebody refused to sign."), "stopped"),
        "released": Status(N_("Ended"), N_("Your signature is not needed any more."), "stopped"),
        "open": Status(N_("Under way"), N_("Others are asked to sign."), "waiting"),
        "completed": Status(N_("Completed"), N_("Everybody has signed."), "done"),
        "expired": Status(N_("Expired"), N_("Not everybody signed in time."), "stopped"),
        "cancelled": Status(N_("Cancelled"), N_("The sender took the request back."), "stopped"),
        "failed": Status(N_("Failed"), N_("The document could not be sealed."), "stopped"),
    }
)
"""Every state of a signature request and of its signers, as one of them sees it."""

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

WEBHOOKS: Final[Mapping[str, Status]] = MappingProxyType(
    {
        "active": Status(N_("In use"), N_("Your system takes what it is sent."), "done"),
        "unanswered": Status(
            N_("No answer"),
            N_("Your system does not take what it is sent. We go on trying; nothing is lost."),
            "waiting",
        ),
        "by_sender": Status(N_("Switched off"), N_("Your organisation switched it off. Messages wait."), "stopped"),
        "gone": Status(
            N_("Switched off"), N_("Your system answered that it is not there any more. Messages wait."), "stopped"
        ),
        "failing": Status(N_("Switched off"), N_("Your system took nothing for five days. Messages wait."), "stopped"),
    }
)
"""How a webhook does, as its organisation sees it: by its state, and by why it is disabled."""

MESSAGES: Final[Mapping[str, Status]] = MappingProxyType(
    {
        "sent": Status(N_("Taken"), N_("Your system has it."), "done"),
        "waiting": Status(N_("Waits"), N_("It is sent, or tried again."), "waiting"),
        "failed": Status(
            N_("Given up"), N_("Your system did not take it. Your program can have it sent again."), "stopped"
        ),
    }
)
"""How a message to a webhook stands."""

ANSWERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "timeout": N_("no answer in time"),
        "unreachable": N_("could not be reached"),
        "broken": N_("the connection failed"),
    }
)
"""Why an attempt to send to a webhook got no answer."""
