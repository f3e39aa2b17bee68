"""Signing at a remote service by the signer's own consent: there for who they are, and again for what is signed.

What is kept meanwhile belongs to the browser's session, ends, and is taken once; the prepared signature stands with the
signer as for a card, and what comes back is judged like a card's.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from service.domain.errors import Conflict, Invalid, Retryable
from service.domain.signing_folder import Way
from service.usecases.context import Context
from service.usecases.mailbox import Reader
from service.usecases.signatures import signer
from service.usecases.signatures.preparing import stale
from signing.errors import KeyUnusable, Unavailable
from signing.keys.consent import ConsentService, Leaving

_PASSING: Final = frozenset({"server_error", "temporarily_unavailable"})
"""What OAuth 2 (RFC 6749, 4.1.2.1) calls an error that may be over soon."""

_OF_KEYS: Final = {
    "signer_differs": "consent_signer_differs",
    "level_not_reached": "consent_level_not_reached",
    "consent_too_many": "consent_too_many",
}
"""What is said of a card in other words than of a key elsewhere."""


@dataclass(frozen=True)
class Agreed:
    """What somebody is asked to consent to, and what their log-in at the service bought."""

    token: str = field(repr=False)
    credential: str = field(repr=False)
    named: dict[str, str]
    mechanism: str
    digests: list[bytes] = field(repr=False)


@dataclass(frozen=True)
class Away:
    """Kept while somebody is at the service.

    Attributes:
        request_id: what they sign.
        state: what must come back with them.
        verifier: redeems the code they bring.
        agreed: what they are to consent to; None while they only say who they are.
        signatures: what was made already and lacks nothing but a time-stamp or the like.
    """

    request_id: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)
    agreed: Agreed | None = None
    signatures: list[bytes] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Step:
    """What comes next: away to ``url`` while ``away`` is kept, or, without them, it is signed."""

    url: str | None = field(default=None, repr=False)
    away: Away | None = None


class NotYet(Retryable):
    """Signed there, but not finished here: ``away`` holds the signatures, to be given again."""

    def __init__(self, error: Retryable, away: Away) -> None:
        super().__init__(error.detail, code=error.code)
        self.away = away


def begin(
    context: Context, reader: Reader, request_id: str, kept: Away | None, *, return_uri: str, language: str
) -> Step:
    """Send a signer away to say who they are; where they signed already, finish that instead.

    Raises:
        NotFound, TransitionRefused, Invalid, Retryable: as ``signer.begin``.
        Conflict: ``consent_off``, no service is set, or another way was asked of them.
    """
    service = _service(context)
    signer.may(context, reader, request_id, Way.CSC)
    if kept is not None and kept.signatures is not None and kept.request_id == request_id:
        return _finish(context, reader, kept, kept.signatures)
    leaving = service.identify(return_uri, language)
    return Step(leaving.url, Away(request_id, leaving.state, leaving.verifier))


def back(
    context: Context, reader: Reader, away: Away, brought: Mapping[str, str], *, return_uri: str, language: str
) -> Step:
    """Take a signer back from the service.

    Args:
        context: the wired parts.
        reader: who is logged in.
        away: what was kept, taken once.
        brought: the parameters they came with.
        return_uri: where they came to.
        language: theirs.

    Raises:
        NotFound, TransitionRefused, Invalid, Retryable: as ``signer.begin`` and ``signer.sign``.
        NotYet: the signatures are made; they are to be given again.
        Conflict: ``consent_stopped``, they did not agree; ``consent_failed``, the service did not do its part;
            ``consent_strange``, they were sent by somebody else; ``signing_stale``.
    """
    service = _service(context)
    if not hmac.compare_digest(brought.get("state", "").encode("utf-8", "surrogatepass"), away.state.encode()):
        raise Conflict("This answer was not asked for from here. Begin again.", code="consent_strange")
    signer.may(context, reader, away.request_id, Way.CSC)
    if error := brought.get("error"):
        raise _said(error)
    try:
        if away.agreed is None:
            return _identified(context, reader, away, service, brought.get("code", ""), return_uri, language)
        signatures = _consented(context, reader, away, away.agreed, service, brought.get("code", ""), return_uri)
    except Unavailable:
        raise _passing() from None
    except KeyUnusable:
        raise _failed() from None
    return _finish(context, reader, away, signatures)


def _identified(
    context: Context, reader: Reader, away: Away, service: ConsentService, code: str, return_uri: str, language: str
) -> Step:
    """With the person's credentials known: prepare for the first one that may sign, and ask for its use."""
    token, _ = service.redeem(code, away.verifier, return_uri)
    why: Invalid | None = None
    for each in service.credentials(token):
        try:
            made = signer.prepare_for(context, reader, away.request_id, Way.CSC, each.der, each.mechanism)
        except Invalid as error:
            why = why or error
            continue
        if len(made) > each.together:
            why = why or Invalid("The key signs fewer documents at once.", code="consent_too_many")
            continue
        digests = [one.to_sign for one in made]
        leaving = service.ask(each.id, each.mechanism, digests, return_uri, language)
        agreed = Agreed(token, each.id, dict(each.named), each.mechanism.value, digests)
        return Step(leaving.url, _kept(away, leaving, agreed))
    assert why is not None  # the service gave one at least
    raise _refused(why)


def _consented(
    context: Context, reader: Reader, away: Away, agreed: Agreed, service: ConsentService, code: str, return_uri: str
) -> list[bytes]:
    """The signatures, of what they agreed to, which must be what is still prepared."""
    made = signer.prepared_for(context, reader, away.request_id)
    digests, mechanism = [each.to_sign for each in made], made[0].mechanism
    if digests != agreed.digests or mechanism.value != agreed.mechanism:
        raise stale()
    activation = service.redeem(code, away.verifier, return_uri)
    return service.sign(
        agreed.token, activation, agreed.credential, agreed.named, made[0].certificate, mechanism, digests
    )


def _finish(context: Context, reader: Reader, away: Away, signatures: list[bytes]) -> Step:
    try:
        signer.sign(context, reader, away.request_id, *signatures)
    except Retryable as error:
        raise NotYet(error, replace(away, signatures=signatures)) from None
    except Invalid as error:
        raise _refused(error) from None
    return Step()


def _refused(error: Invalid) -> Invalid:
    """What is wrong with a key or its certificate, in words that speak of no card."""
    code = _OF_KEYS.get(error.code, "consent_key_refused")
    return Invalid("The key at the signing service can't sign this.", code=code)


def _kept(away: Away, leaving: Leaving, agreed: Agreed) -> Away:
    return Away(away.request_id, leaving.state, leaving.verifier, agreed)


def _service(context: Context) -> ConsentService:
    if context.consent is None or context.signers is None:
        raise Conflict("Signing at a remote service is not set up here.", code="consent_off")
    return context.consent


def _said(error: str) -> Exception:
    if error == "access_denied":
        return Conflict("You did not agree at the signing service. Nothing was signed.", code="consent_stopped")
    if error in _PASSING:
        return _passing()
    return _failed()


def _failed() -> Conflict:
    return Conflict("The signing service did not do its part. Nothing was signed.", code="consent_failed")


def _passing() -> Retryable:
    return Retryable("The signing service does not answer. Try again in a few minutes.", code="consent_unavailable")
