"""Signed statements of programs (private_key_jwt): what is believed, and every way in which one must not be."""

import base64
import hashlib
import hmac
import json
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from service.domain.errors import Invalid
from service.identity.assertions import JWT_BEARER, Statement, believe, checked_jwks, read_assertion
from service.identity.errors import ClientRefused

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CLIENT = "program-1"
ISSUER = "https://zending.test"
AUDIENCES = frozenset({ISSUER, f"{ISSUER}/oauth/token"})
EC, OTHER = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
RSA, ED = RSAKey.generate_key(2048), OKPKey.generate_key("Ed25519")
Key = ECKey | RSAKey | OKPKey


def weak() -> RSAKey:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RSAKey.generate_key(1024)


def jwks(*keys: Key, **changes: Any) -> dict[str, Any]:
    public = [{**key.as_dict(private=False), "kid": f"k{place}", **changes} for place, key in enumerate(keys)]
    return checked_jwks(json.dumps({"keys": public}).encode())


def claims(**changes: Any) -> dict[str, Any]:
    moment = int(NOW.timestamp())
    whole = {"iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "iat": moment, "exp": moment + 300, "jti": "one", **changes}
    return {name: value for name, value in whole.items() if value is not None}


def sign(key: Key = EC, algorithm: str = "ES256", *, header: dict[str, Any] | None = None, **changes: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # EdDSA's name is old, and programs use it
        return jwt.encode({"alg": algorithm, **(header or {})}, claims(**changes), key, algorithms=[algorithm])


def judge(token: str, known: dict[str, Any] | None, *, now: datetime = NOW, **form: str) -> Statement:
    asked = {"client_assertion_type": JWT_BEARER, "client_assertion": token, **form}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return believe(read_assertion(asked), known, AUDIENCES, now)


def raw(header: dict[str, Any], body: dict[str, Any], sign_with: Callable[[bytes], bytes] = lambda _: b"") -> str:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    text = f"{part(json.dumps(header).encode())}.{part(json.dumps(body).encode())}"
    return f"{text}.{part(sign_with(text.encode()))}"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(EC, "ES256"), (RSA, "RS256"), (RSA, "PS256"), (ED, "EdDSA"), (ED, "Ed25519")],
    ids=["ES256", "RS256", "PS256", "EdDSA", "Ed25519"],
)
def test_each_algorithm_that_is_offered_is_believed_for_its_own_key_only(key: Key, algorithm: str) -> None:
    assert judge(sign(key, algorithm), jwks(key)).expires_at == NOW + timedelta(seconds=330)
    with pytest.raises(ClientRefused):
        judge(sign(key, algorithm), jwks(OTHER))


@pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/oauth/token", [ISSUER, "https://other.test"]], ids=str)
def test_it_is_meant_for_the_issuer_or_the_token_endpoint(audience: object) -> None:
    judge(sign(aud=audience), jwks(EC))


def test_a_key_is_chosen_by_its_name_and_without_one_by_its_fit() -> None:
    known = jwks(OTHER, EC)
    judge(sign(header={"kid": "k1"}), known)
    judge(sign(), known)
    for name in ("k0", "unknown", "../k1"):
        with pytest.raises(ClientRefused):
            judge(sign(header={"kid": name}), known)


SECOND = int(NOW.timestamp())
BROKEN: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "https://other.test"},
    "audience of a prefix": {"aud": f"{ISSUER}.evil.test"},
    "no audience": {"aud": None},
    "expired": {"exp": SECOND - 31},
    "no end": {"exp": None},
    "an end as text": {"exp": str(SECOND + 60)},
    "an end that is no number": {"exp": True},
    "a life of an hour": {"exp": SECOND + 3600},
    "made in the future": {"iat": SECOND + 60},
    "made at no time": {"iat": "yesterday"},
    "not valid yet": {"nbf": SECOND + 60},
    "another issuer": {"iss": "program-2"},
    "no issuer": {"iss": None},
    "no jti": {"jti": None},
    "an empty jti": {"jti": ""},
    "an endless jti": {"jti": "x" * 256},
    "a jti that is no text": {"jti": 7},
}


@pytest.mark.parametrize("changes", BROKEN.values(), ids=BROKEN)
def test_a_statement_that_says_something_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ClientRefused):
        judge(sign(**changes), jwks(EC))


def test_clocks_may_differ_by_half_a_minute() -> None:
    judge(sign(exp=SECOND - 29), jwks(EC))
    judge(sign(iat=SECOND + 29), jwks(EC))


def test_another_clients_key_signs_for_nobody_else() -> None:
    with pytest.raises(ClientRefused):
        judge(sign(OTHER), jwks(EC))


def test_nobody_signs_with_nothing_or_with_what_everybody_knows() -> None:
    public = json.dumps(jwks(EC)["keys"][0]).encode()
    pem = EC.as_pem(private=False)
    for header in ({"alg": "none"}, {"alg": "None"}, {"alg": "nOnE", "kid": "k0"}, {}):
        with pytest.raises(ClientRefused):
            judge(raw(header, claims()), jwks(EC))
    for secret in (public, pem, b""):
        token = raw({"alg": "HS256"}, claims(), lambda text, secret=secret: hmac.digest(secret, text, "sha256"))  # type: ignore[misc]
        with pytest.raises(ClientRefused):
            judge(token, jwks(EC))


@pytest.mark.parametrize(
    "header",
    [
        {"jwk": OTHER.as_dict(private=False)},
        {"jku": "https://evil.test/keys"},
    ],
    ids=["jwk", "jku"],
)
def test_a_key_that_comes_with_the_statement_is_nobodys(header: dict[str, Any]) -> None:
    forged = sign(OTHER, header=header)
    with pytest.raises(ClientRefused):
        judge(forged, jwks(EC))


def test_what_was_changed_after_signing_is_refused() -> None:
    head, _, tail = sign().split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims(jti="two")).encode()).rstrip(b"=").decode()
    with pytest.raises(ClientRefused):
        judge(f"{head}.{body}.{tail}", jwks(EC))


@pytest.mark.parametrize("kind", ["at+jwt", "application/at+jwt", "logout+jwt", "dpop+jwt"])
def test_a_token_made_for_something_else_proves_nothing(kind: str) -> None:
    with pytest.raises(ClientRefused):
        judge(sign(header={"typ": kind}), jwks(EC))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "client-authentication+jwt", "application/client-authentication+jwt"])
def test_a_statement_may_say_what_it_is(kind: str) -> None:
    judge(sign(header={"typ": kind}), jwks(EC))


def test_who_is_unknown_or_has_no_keys_is_refused_like_everybody() -> None:
    told = set()
    for known in (None, {}, jwks(OTHER)):
        with pytest.raises(ClientRefused) as caught:
            judge(sign(), known)
        told.add((caught.value.code, caught.value.detail))
    assert len(told) == 1


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "é.b.c", "." * 9000, f"{'x' * 9000}.b.c"], ids=range(6))
def test_what_is_no_statement_is_refused(token: str) -> None:
    with pytest.raises(ClientRefused):
        judge(token, jwks(EC))


def test_the_form_must_not_contradict_it() -> None:
    judge(sign(), jwks(EC), client_id=CLIENT)
    with pytest.raises(ClientRefused):
        judge(sign(), jwks(EC), client_id="program-2")
    with pytest.raises(ClientRefused):
        judge(sign(), jwks(EC), client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer")


def test_a_jti_is_one_clients_own() -> None:
    mine = judge(sign(), jwks(EC)).id_hash
    assert mine == judge(sign(aud=f"{ISSUER}/oauth/token"), jwks(EC)).id_hash
    assert mine != judge(sign(jti="two"), jwks(EC)).id_hash
    assert mine != judge(sign(iss="program-2", sub="program-2"), jwks(EC)).id_hash
    assert len(mine) == hashlib.sha256().digest_size


REFUSED_SETS: dict[str, Any] = {
    "no JSON": b"{",
    "no set": [],
    "empty": {"keys": []},
    "too many": {"keys": [EC.as_dict(private=False)] * 11},
    "private": {"keys": [EC.as_dict(private=True)]},
    "secret": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]},
    "another curve": {"keys": [ECKey.generate_key("P-384").as_dict(private=False)]},
    "for agreeing on keys": {"keys": [OKPKey.generate_key("X25519").as_dict(private=False)]},
    "for encryption": {"keys": [{**EC.as_dict(private=False), "use": "enc"}]},
    "for HMAC": {"keys": [{**EC.as_dict(private=False), "alg": "HS256"}]},
    "short": {"keys": [weak().as_dict(private=False)]},
    "off the curve": {"keys": [{**EC.as_dict(private=False), "y": EC.as_dict(private=False)["x"]}]},
    "one name for two": {
        "keys": [{**EC.as_dict(private=False), "kid": "k"}, {**OTHER.as_dict(private=False), "kid": "k"}]
    },
}


@pytest.mark.parametrize("given", REFUSED_SETS.values(), ids=REFUSED_SETS)
def test_only_public_keys_that_are_strong_enough_are_registered(given: Any) -> None:
    with pytest.raises(Invalid) as caught:
        checked_jwks(given if isinstance(given, bytes) else json.dumps(given).encode())
    assert caught.value.code == "jwks_invalid"


def test_a_key_without_a_name_gets_its_thumbprint() -> None:
    unnamed = {name: value for name, value in EC.as_dict(private=False).items() if name != "kid"}
    (kept,) = checked_jwks(json.dumps({"keys": [unnamed]}).encode())["keys"]
    assert kept["kid"] == EC.thumbprint()
    assert "d" not in kept
