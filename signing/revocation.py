"""Whether certificates were revoked: asked once per chain, kept until the answers age, judged before they are believed.

The answers are what a document carries at level B-LT (ETSI EN 319 142-1, 5.4.2), so that nobody must be asked later.
"""

# mypy: allow-untyped-calls
# pyHanko's certificate validator declares types but leaves some of its methods without.

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from types import TracebackType
from typing import Protocol, Self

from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder
from cryptography.x509.oid import AuthorityInformationAccessOID
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.authority import CertTrustAnchor
from pyhanko_certvalidator.errors import RevokedError
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.validate import async_validate_path

from signing.asking import Asking
from signing.errors import CertificateRevoked, CertificateUntrusted, RevocationUnavailable
from signing.trust import path_to_root

_TOLERANCE = timedelta(minutes=1)
"""Clocks of others may be ahead of ours by this much."""

_PAUSE = timedelta(minutes=1)
"""After an attempt without an answer the next one waits this long; so does one after an answer without an end."""


@dataclass(frozen=True, slots=True)
class ValidationData:
    """Everything that lets a certificate be judged later without asking anybody.

    Attributes:
        certificates: the whole path with its root, and certificates of who answered; DER. Validators look for the
            root here when they judge a list that it signed.
        ocsps: OCSP responses (RFC 6960), DER.
        crls: certificate revocation lists (RFC 5280), DER.
        until: the moment (aware) after which one of the answers no longer counts as the newest.
    """

    certificates: tuple[bytes, ...]
    ocsps: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    until: datetime

    def with_(self, other: "ValidationData") -> "ValidationData":
        """Both, each piece once."""
        return ValidationData(
            tuple(dict.fromkeys(self.certificates + other.certificates)),
            tuple(dict.fromkeys(self.ocsps + other.ocsps)),
            tuple(dict.fromkeys(self.crls + other.crls)),
            min(self.until, other.until),
        )


class RevocationSource(Protocol):
    """Someone who knows whether certificates are still good."""

    def data(
        self, certificate: x509.Certificate, others: Iterable[x509.Certificate], *, at: datetime
    ) -> ValidationData:
        """Proof that nothing on the path of ``certificate`` was revoked at ``at`` (aware).

        Args:
            certificate: whose path it is.
            others: issuers that may stand between it and a root.
            at: the moment, near now.

        Raises:
            CertificateRevoked: a certificate of the path was revoked.
            RevocationUnavailable: nobody says so in a way that can be believed; try again later.
            CertificateUntrusted: the certificate doesn't lead to a trusted root.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is known of one certificate: ``der`` says it, until it ages; ``revoked`` is the worst that can be said."""

    ocsp: bytes | None
    crl: bytes | None
    made: datetime
    until: datetime
    revoked: bool = False


class OnlineRevocation:
    """Asks the addresses that the certificates themselves name, by OCSP and for lists of revoked certificates.

    An answer is believed after pyHanko's certificate validator accepted it (signature, responder's right to answer,
    certificate asked for, dates), and is used until its ``nextUpdate``. From half of its life on a newer one is asked
    for; as long as none comes, the old one serves. Safe to share between threads.
    """

    def __init__(
        self,
        trust_roots: Sequence[x509.Certificate],
        *,
        asking: Asking | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Nobody is asked before the first certificate.

        Args:
            trust_roots: where paths must end.
            asking: how addresses are asked; None makes one with its own bounds.
            clock: our time, aware.
        """
        self._roots = tuple(trust_roots)
        self._asking = asking or Asking(party="The certificate's issuer", fault=RevocationUnavailable)
        self._clock = clock
        self._answers: dict[bytes, _Answer] = {}
        self._tried: dict[bytes, datetime] = {}
        self._lock = threading.Lock()

    def data(
        self, certificate: x509.Certificate, others: Iterable[x509.Certificate], *, at: datetime
    ) -> ValidationData:
        """Proof that the path was good at ``at``; see :meth:`RevocationSource.data`."""
        path = path_to_root(certificate, tuple(others), self._roots, at)
        if path is None:
            raise CertificateUntrusted("The certificate was not valid then or doesn't lead to a trusted root.")
        answers: list[_Answer] = []
        with self._lock:
            # From the root downwards: who answers for a certificate must itself be good.
            for position in reversed(range(len(path) - 1)):
                answers.append(self._answer(path[position:], answers))
        if any(answer.revoked for answer in answers):
            raise CertificateRevoked("The certificate, or one that it hangs on, was revoked.")
        return ValidationData(
            certificates=tuple(
                dict.fromkeys(
                    [
                        *(link.public_bytes(Encoding.DER) for link in path),
                        *(der for answer in answers if answer.ocsp for der in _responders(answer.ocsp)),
                    ]
                )
            ),
            ocsps=tuple(answer.ocsp for answer in answers if answer.ocsp),
            crls=tuple(dict.fromkeys(answer.crl for answer in answers if answer.crl)),
            until=min((answer.until for answer in answers), default=at + _PAUSE),
        )

    def _answer(self, path: tuple[x509.Certificate, ...], above: Sequence[_Answer]) -> _Answer:
        """What is known of the first certificate of ``path``; ``above`` is what is known of the others."""
        key = b"".join(each.fingerprint(hashes.SHA256()) for each in path)
        now = self._clock()
        known = self._answers.get(key)
        if known is not None and now < min(known.until, known.made + (known.until - known.made) / 2):
            return known
        usable = known is not None and now <= known.until
        if now < self._tried.get(key, now):
            if usable:
                assert known is not None
                return known
            raise RevocationUnavailable("Nobody said lately whether the certificate is still good.")
        try:
            fresh = self._ask(path, above, now)
        except RevocationUnavailable:
            self._tried[key] = now + _PAUSE
            if usable:
                assert known is not None
                return known
            raise
        self._answers[key] = fresh
        self._tried.pop(key, None)
        return fresh

    def _ask(self, path: tuple[x509.Certificate, ...], above: Sequence[_Answer], now: datetime) -> _Answer:
        link, issuer, *_ = path

        responses = [partial(self._ocsp, url, link, issuer) for url in _ocsp_addresses(link)]
        lists = [partial(self._list, url) for url in _list_addresses(link)]
        # An authority's own list is short and good for months, and roots seldom answer each question.
        ways = [*lists, *responses] if _is_authority(link) else [*responses, *lists]
        faults: list[str] = []
        for way in ways:
            try:
                return self._judged(path, above, now, **way())
            except RevocationUnavailable as error:
                faults.append(error.context.get("fault", "unusable"))
        raise RevocationUnavailable(
            "Nobody says in a way that can be believed whether the certificate is still good.",
            context={"fault": ",".join(faults) or "no_address"},
        )

    def _list(self, url: str) -> dict[str, bytes]:
        return {"crl": self._asking.get(url, accept="application/pkix-crl")}

    def _ocsp(self, url: str, link: x509.Certificate, issuer: x509.Certificate) -> dict[str, bytes]:
        # SHA-1 names the certificate here and protects nothing; it is the one hash that every responder knows.
        request = OCSPRequestBuilder().add_certificate(link, issuer, hashes.SHA1()).build()  # noqa: S303
        answer = self._asking.post(
            url,
            request.public_bytes(Encoding.DER),
            kind="application/ocsp-request",
            expected="application/ocsp-response",
        )
        return {"ocsp": answer}

    def _judged(
        self,
        path: tuple[x509.Certificate, ...],
        above: Sequence[_Answer],
        now: datetime,
        *,
        ocsp: bytes | None = None,
        crl: bytes | None = None,
    ) -> _Answer:
        """The answer, if the validator believes it.

        Raises:
            RevocationUnavailable: it does not.
        """
        try:
            made, until = _dates_of_response(ocsp) if ocsp else _dates_of_list(crl or b"")
        except Exception as error:
            raise RevocationUnavailable(
                "What the certificate's issuer sent is not well formed.", context={"fault": type(error).__name__}
            ) from error
        leaf, *between, root = (asn1_x509.Certificate.load(each.public_bytes(Encoding.DER)) for each in path)
        context = ValidationContext(
            trust_roots=[root],
            other_certs=between,
            moment=now.astimezone(UTC),
            ocsps=[der for der in (ocsp, *(answer.ocsp for answer in above)) if der],
            crls=[der for der in (crl, *(answer.crl for answer in above)) if der],
            revocation_mode="require",
            time_tolerance=_TOLERANCE,
        )
        revoked = False
        try:
            whole = ValidationPath(CertTrustAnchor(root), between[::-1], leaf)
            asyncio.run(async_validate_path(context, whole))
        except RevokedError:
            revoked = True
        except Exception as error:
            # Odd answers make the validator raise more than its own errors; none of it may pass for good.
            raise RevocationUnavailable(
                "What the certificate's issuer sent can't be believed.", context={"fault": type(error).__name__}
            ) from error
        return _Answer(ocsp, crl, made, now + _PAUSE if revoked else until or now + _PAUSE, revoked)

    def close(self) -> None:
        """Close the kept connections."""
        self._asking.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@lru_cache(maxsize=64)
def _responders(der: bytes) -> tuple[bytes, ...]:
    """The certificates that an OCSP response brings along."""
    basic = asn1_ocsp.OCSPResponse.load(der).basic_ocsp_response
    return tuple(certificate.dump() for certificate in basic["certs"])


def _dates_of_response(der: bytes) -> tuple[datetime, datetime | None]:
    response = asn1_ocsp.OCSPResponse.load(der, strict=True)
    single = response.response_data["responses"][0]
    return single["this_update"].native, single["next_update"].native


def _dates_of_list(der: bytes) -> tuple[datetime, datetime | None]:
    body = asn1_crl.CertificateList.load(der, strict=True)["tbs_cert_list"]
    return body["this_update"].native, body["next_update"].native


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _ocsp_addresses(certificate: x509.Certificate) -> list[str]:
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return []
    return _web(a.access_location for a in access if a.access_method == AuthorityInformationAccessOID.OCSP)


def _list_addresses(certificate: x509.Certificate) -> list[str]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return []
    return _web(name for point in points for name in point.full_name or ())


def _web(names: Iterable[x509.GeneralName]) -> list[str]:
    found = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    return [url for url in found if url.startswith(("http://", "https://"))]
