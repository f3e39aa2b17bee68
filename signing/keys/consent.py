"""Keys of people at a remote signing service, each use of which they consent to there (CSC API 1.0.4 and 2.0).

The person's browser goes to the service twice, by the authorization code of OAuth 2 with PKCE: first for a token that
shows their credentials (scope ``service``), then for one that signs exactly the digest they agreed to (scope
``credential``). Nothing of this is kept here: the caller keeps what :class:`Leaving` holds, and the tokens.
"""

import base64
import hashlib
import secrets
import ssl
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.algorithms import Mechanism
from signing.errors import KeyUnusable
from signing.keys.base import check_digest, mechanism_for
from signing.keys.csc import algorithm, believed, certificates, check_enabled, mode_of, oid, together_by
from signing.keys.csc_service import PARTY, Connections, CscAccess, CscService, decoded, strings, token_in

MOST_CREDENTIALS: Final = 4
"""Credentials of one person that are looked at."""
_SECOND: Final = 2
_BY_PERSON: Final = "oauth2code"
_LONGEST_ID: Final = 512
_LONGEST_CODE: Final = 4096


@dataclass(frozen=True, slots=True)
class Leaving:
    """Where a browser goes, and what must be kept until it is back: ``state`` is compared, ``verifier`` redeems."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """A person's key at the service, as the service says; whose it is must be judged by its certificate.

    Attributes:
        id: its name there.
        certificate: its certificate.
        mechanism: how it signs.
        named: what names the mechanism in a call.
        together: how many signatures one consent may cover.
    """

    id: str = field(repr=False)
    certificate: x509.Certificate = field(repr=False)
    mechanism: Mechanism
    named: Mapping[str, str]
    together: int = 1

    @property
    def der(self) -> bytes:
        """The certificate, encoded."""
        return self.certificate.public_bytes(Encoding.DER)


class ConsentService:
    """One service at which people sign. Safe to share between threads; each exchange is bounded in time and size."""

    def __init__(
        self,
        access: CscAccess,
        *,
        name: str,
        authorize_url: str | None = None,
        timeout: float = 8.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing is connected before the first call.

        Args:
            access: how the service is reached; ``client_id`` must be there.
            name: as people know it.
            authorize_url: where browsers go; None is ``oauth2/authorize`` below the service's address.
            timeout: seconds for each exchange.
            tls: context for https; None uses the system's.

        Raises:
            ValueError: an address that can't be asked.
        """
        base = access.url.rstrip("/")
        self.name = name
        self._access, self._timeout, self._tls = access, timeout, tls
        self._authorize_url = authorize_url or f"{base}/oauth2/authorize"
        self._tokens = Connections(access.token_url or f"{base}/oauth2/token", timeout=timeout, tls=tls)
        self._second = access.version == _SECOND
        CscService(access, timeout=timeout, tls=tls).close()  # refuses an address that can't be asked

    @property
    def origin(self) -> str:
        """Scheme, host and port of the address that browsers go to."""
        parts = urlsplit(self._authorize_url)
        return f"{parts.scheme}://{parts.netloc}"

    def identify(self, return_uri: str, language: str) -> Leaving:
        """Send a person to say who they are."""
        return self._leaving({"scope": "service"}, return_uri, language)

    def ask(
        self, credential: str, mechanism: Mechanism, digests: Sequence[bytes], return_uri: str, language: str
    ) -> Leaving:
        """Send a person to consent, once, to the signatures of these digests and no others."""
        for each in digests:
            check_digest(mechanism, each)
        named = {"hashAlgorithmOID" if self._second else "hashAlgo": oid(mechanism.digest)}
        value = ",".join(_url64(each) for each in digests)
        asked = {"scope": "credential", "credentialID": credential, "numSignatures": str(len(digests)), **named}
        return self._leaving({**asked, "hashes" if self._second else "hash": value}, return_uri, language)

    def _leaving(self, asked: Mapping[str, str], return_uri: str, language: str) -> Leaving:
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        query = {
            "response_type": "code",
            "client_id": self._access.client_id or "",
            "redirect_uri": return_uri,
            "state": state,
            "code_challenge": _url64(hashlib.sha256(verifier.encode("ascii")).digest()),
            "code_challenge_method": "S256",
            "lang": language,
            **asked,
        }
        joint = "&" if urlsplit(self._authorize_url).query else "?"
        return Leaving(f"{self._authorize_url}{joint}{urlencode(query)}", state, verifier)

    def redeem(self, code: str, verifier: str, return_uri: str) -> tuple[str, str]:
        """The access token that a code buys, and its kind; a code buys once.

        Raises:
            KeyUnavailable: no proper answer in time.
            KeyUnusable: the service gives none.
        """
        if not code or len(code) > _LONGEST_CODE:
            raise KeyUnusable(f"{PARTY} sent the person back without a code.")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": return_uri,
            "code_verifier": verifier,
            "client_id": self._access.client_id or "",
            "client_secret": self._access.secret(),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        with self._tokens.one() as connection:
            token = token_in(connection.post(urlencode(form).encode(), headers))
        return token.value, token.kind

    def credentials(self, token: str) -> list[Credential]:
        """A person's keys that they can sign with by consent.

        Raises:
            KeyUnavailable: no proper answer in time.
            KeyUnusable: there are none.
        """
        with closing(self._service(token)) as service:
            ids = strings(service.call("credentials/list", {"maxResults": MOST_CREDENTIALS}), "credentialIDs")
            found, why = [], KeyUnusable(f"{PARTY} has no key of this person.")
            for each in ids[:MOST_CREDENTIALS]:
                try:
                    info = service.call("credentials/info", {"credentialID": each, "certificates": "chain"})
                    found.append(_credential(each, info))
                except KeyUnusable as error:
                    why = error
        if not found:
            raise why
        return found

    def sign(
        self, token: str, activation: tuple[str, str], credential: str, named: Mapping[str, str],
        certificate: bytes, mechanism: Mechanism, digests: Sequence[bytes],
    ) -> list[bytes]:  # fmt: skip
        """The signatures that were consented to, in one call, each verified, as a CMS holds them.

        Args:
            token: of the person's log-in at the service.
            activation: what the consent bought, and its kind.
            credential: the key's name there.
            named: what names the mechanism.
            certificate: the key's, DER.
            mechanism: how it signs.
            digests: what is signed, in the order of the consent.

        Raises:
            KeyUnavailable: no proper answer in time.
            KeyUnusable: the service does not sign, or not this by this key.
        """
        for each in digests:
            check_digest(mechanism, each)
        value, kind = activation
        body: dict[str, Any] = {"credentialID": credential, **named}
        body["hashes" if self._second else "hash"] = [base64.b64encode(each).decode("ascii") for each in digests]
        body["hashAlgorithmOID" if self._second else "hashAlgo"] = oid(mechanism.digest)
        # In 2.0 the consent's token opens the door by itself; in 1.0.4, and where it is said, it goes beside.
        beside = not self._second or kind == "sad"
        if beside:
            body["SAD"] = value
        with closing(self._service(token if beside else value)) as service:
            made = strings(service.call("signatures/signHash", body), "signatures")
        if len(made) != len(digests):
            raise KeyUnusable(f"{PARTY} made another number of signatures than was agreed to.")
        own = x509.load_der_x509_certificate(certificate)
        return [
            believed(decoded(value, "a signature"), digest, own, mechanism)
            for value, digest in zip(made, digests, strict=True)
        ]

    def _service(self, token: str) -> CscService:
        access = CscAccess(self._access.url, self._access.version, None, lambda: token)
        return CscService(access, timeout=self._timeout, tls=self._tls)

    def close(self) -> None:
        """Close the kept connections; the next call opens them again."""
        self._tokens.close()


def _credential(name: str, info: dict[str, Any]) -> Credential:
    if not 0 < len(name) <= _LONGEST_ID:
        raise KeyUnusable(f"{PARTY} names a key in a way that can't be used.")
    check_enabled(info)
    if mode_of(info) != _BY_PERSON:
        raise KeyUnusable(f"{PARTY} would use this key without its person's consent.")
    own = certificates(info)[0]
    mechanism = mechanism_for(own.public_key(), None)
    return Credential(name, own, mechanism, algorithm(mechanism, info), together_by(info))


def _url64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
