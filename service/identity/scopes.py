"""What an access token may allow, and which part of it a client gets."""

from collections.abc import Collection
from enum import StrEnum

from service.identity.errors import ScopeRefused


class Scope(StrEnum):
    """One permission. The value is what stands in tokens and requests (RFC 6749, section 3.3)."""

    DELIVERIES_WRITE = "deliveries:write"
    """Hand in, cancel and preview deliveries and submissions of the own organisation."""
    DELIVERIES_READ = "deliveries:read"
    """Read deliveries, documents, timelines and evidence of the own organisation."""
    RECIPIENTS_LOOKUP = "recipients:lookup"
    """Ask which recipients can be reached digitally, for a stated purpose."""
    SEALS_WRITE = "seals:write"
    """Have a PDF sealed and given back at once."""
    VALIDATIONS_WRITE = "validations:write"
    """Have the signatures of a PDF checked; nothing of it is kept."""
    SIGNATURES_WRITE = "signatures:write"
    """Open signing folders and follow them."""
    WEBHOOKS_WRITE = "webhooks:write"
    """Subscribe to events, replay them, end subscriptions."""
    STATISTICS_READ = "statistics:read"
    """Read counts, shares and costs of the own organisation."""
    PRINT_OPERATE = "print:operate"
    """Work with print batches, acknowledgements and returned mail."""
    OPERATIONS_READ = "operations:read"
    """Read how the service is: status, pauses, parked jobs, the audit trail. For the platform's own people only."""
    OPERATIONS_WRITE = "operations:write"
    """Pause and resume work, retry parked jobs, propose and confirm their end."""
    MAILBOX_READ = "mailbox:read"
    """List the messages of the own mailbox."""
    MAILBOX_WRITE = "mailbox:write"
    """Open, accept, refuse and answer messages; activate and revoke the own mailbox."""


_KNOWN = {scope.value: scope for scope in Scope}


def known_scopes(text: str) -> frozenset[Scope]:
    """Read a space-separated list and leave out what this version does not know (a token may be newer or older)."""
    return frozenset(_KNOWN[word] for word in text.split() if word in _KNOWN)


def grant_scopes(requested: str | None, allowed: Collection[Scope]) -> frozenset[Scope]:
    """Decide which scopes a token gets (RFC 6749, section 3.3).

    Args:
        requested: the request's ``scope``; None or blank asks for all that is allowed.
        allowed: what the client, or the person, was given.

    Raises:
        ScopeRefused: a requested scope is unknown or was not given, or nothing at all is allowed.
    """
    wanted = frozenset((requested or "").split())
    if not wanted:
        wanted = frozenset(scope.value for scope in allowed)
    if not wanted or not wanted <= {scope.value for scope in allowed}:
        raise ScopeRefused("A scope was asked for that this client was not given.")
    return frozenset(_KNOWN[word] for word in wanted)


def scope_text(scopes: Collection[Scope]) -> str:
    """Write scopes as tokens and answers carry them: sorted, one space between."""
    return " ".join(sorted(scope.value for scope in scopes))
