"""What the codes of parked and failing jobs mean in plain words, and what to do about each."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Cause:
    """A code in words: what it means, and what to do."""

    meaning: str
    do: str


_WAITS = "Nothing here: mend what is away, and the work goes on by itself."
_DOCUMENT = "Look at it with the sender. If it can't be mended, end it: one proposes, another confirms."

CAUSES: Final = MappingProxyType(
    {
        "workers_lost": Cause(
            "Every worker that took this vanished before it came to an end: it was killed, or ran out of memory.",
            "Look in the workers' logs and the kernel's for what killed them. Retry once; if it happens again, end it.",
        ),
        "vault_key_ring_unreachable": Cause("The key ring does not answer.", _WAITS),
        "vault_key_ring_unusable": Cause(
            "The key ring's files are not as they must be.", "Restore them from the backup of the keys, then retry."
        ),
        "vault_key_unknown": Cause(
            "The key that this document was encrypted with is not in the key ring.",
            "Restore the key ring from the backup of the keys, then retry. Never end it before that was tried.",
        ),
        "key_lost": Cause(
            "The key that this document was encrypted with was made here, and its file is gone.",
            "Bring it back from the backup of the keys (docs/runbooks/lost-key.md), then retry.",
        ),
        "restored_behind": Cause(
            "The database was restored; nothing goes out until a person has looked at what is missing.",
            "Read 'zending recovery report' and follow docs/runbooks/restore.md.",
        ),
        "timestamp_refused": Cause("The time-stamp authority refuses to work for us.", _WAITS),
        "timestamp_invalid": Cause("The time-stamp authority's answers can't be believed.", _WAITS),
        "signing_failed": Cause(
            "The seal could not be made.", "Retry once; if it fails again, look in the workers' log."
        ),
        "key_unusable": Cause(
            "The organisation's seal key or certificate is missing, expired, too weak, or they don't fit together.",
            "'zending keys seals check' says what is wrong. Put it right; the work goes on by itself.",
        ),
        "seal_profile_refused": Cause(
            "The organisation's seal profile, or a secret that it names, is missing or wrong.",
            "'zending keys seals check' says what is wrong. Put it right; the work goes on by itself.",
        ),
        "seal_key_in_file": Cause(
            "The organisation's seal key lies in a file, which production does not seal with.",
            "Write a profile with a key in a device or a service (docs/signing.md). The work goes on by itself.",
        ),
        "certificate_ending": Cause(
            "The certificate to seal with has ended, or ends too soon.",
            "Put the renewed certificate in place (docs/runbooks/key-rotation.md). The work goes on by itself.",
        ),
        "certificate_revoked": Cause(
            "A certificate that the seal needs was revoked by who issued it.",
            "Ask the issuer why; put another key in place (docs/runbooks/key-rotation.md). The work goes on by itself.",
        ),
        "key_unavailable": Cause(
            "The device or the service that keeps the organisation's seal key can't be used at the moment.", _WAITS
        ),
        "timestamp_unavailable": Cause("The time-stamp authority does not answer, or answers wrongly.", _WAITS),
        "mailbox_unavailable": Cause("The mailbox service does not take deliveries at the moment.", _WAITS),
        "mail_server_unavailable": Cause("The mail server does not take notices at the moment.", _WAITS),
        "vault_store_unreachable": Cause("The document store can't be reached or does not answer.", _WAITS),
        "print_provider_unavailable": Cause("The print house does not take files at the moment.", _WAITS),
        "vault_integrity": Cause(
            "A stored document is not what was stored: its bytes were changed or lost.",
            "Restore this object from the backup or a replica, then retry. Never end it before that was tried.",
        ),
        "vault_object_missing": Cause(
            "A stored document is not in the store.",
            "Restore this object from the backup or a replica, then retry. Never end it before that was tried.",
        ),
        "vault_key_destroyed": Cause("The key of this document was destroyed: it can't be read any more.", _DOCUMENT),
        "seal_check_failed": Cause(
            "The sealed document did not pass its own check, so it was not used.",
            "Retry once. If it fails again, send the document's id to the developers; it can be ended.",
        ),
        "OperationalError": Cause("The database was away or too busy.", _WAITS),
        "MemoryError": Cause("A worker ran out of memory over this.", "Give workers more memory, then retry."),
    }
)
"""The codes that operators meet most; `of` has words for every other one."""


def of(code: str | None) -> Cause:
    """A code in words; one that is not in the table is still told apart by its form."""
    if code is not None and code in CAUSES:
        return CAUSES[code]
    if code is not None and code[:1].isupper():
        return Cause(
            f"The program met something it does not know ({code}).",
            "Retry once. If it fails again, this is a fault of the program: send the job's id to the developers.",
        )
    return Cause(f"The step was refused ({code or 'no code'}).", f"Retry once what was mended. {_DOCUMENT}")
