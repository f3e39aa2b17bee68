import hmac
import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey

from service.identity.errors import ScopeMissing, TokenExpired, TokenInvalid
from service.identity.scopes import Scope
from service.identity.tokens import (
    AccessToken,
    SigningKey,
    TokenIssuer,
    TokenVerifier,
    jwks,
    load_signing_key,
    new_signing_key_pem,
)

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ISSUER, AUDIENCE = "https://zending.example.test", "https://zending.example.test/v1"


def _pem(key: Any) -> bytes:
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem


EC_KEY = load_signing_key(new_signing_key_pem())
ED_KEY = load_signing_key(_pem(ed25519.Ed25519PrivateKey.generate()))


def _b64(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _issuer(key: SigningKey = EC_KEY) -> TokenIssuer:
    return TokenIssuer(issuer=ISSUER, audience=AUDIENCE, key=key)


def _verifier(*keys: SigningKey, remember: int = 4096) -> TokenVerifier:
    return TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=keys or (EC_KEY,), remember=remember)


def _token(issuer: TokenIssuer | None = None, now: datetime = NOW) -> str:
    return (issuer or _issuer()).issue(now=now, subject="s", client_id="c", scopes=[Scope.DELIVERIES_READ]).token


def _claims(**changes: object) -> dict[str, object]:
    issued = int(NOW.timestamp())
    good: dict[str, object] = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "s", "client_id": "c", "iat": issued, "exp": issued + 300, "jti": "j",
    }  # fmt: skip
    return {name: value for name, value in (good | changes).items() if value is not None}


def _sign(claims: dict[str, object], key: SigningKey = EC_KEY, **header: object) -> str:
    head = {"alg": key.algorithm, "kid": key.kid, "typ": "at+jwt"} | header
    return jwt.encode(head, claims, key.jwk, algorithms=[str(head["alg"])])


@pytest.mark.parametrize("key", [EC_KEY, ED_KEY], ids=["P-256", "Ed25519"])
def test_everything_that_was_issued_comes_back(key: SigningKey) -> None:
    issued = _issuer(key).issue(
        now=NOW,
        subject="person-1",
        client_id="portal",
        scopes=[Scope.MAILBOX_READ, Scope.MAILBOX_WRITE],
        organisation="org_1",
        roles=["clerk"],
        recipient="rcp_1",
        assurance_level="high",
        auth_time=NOW - timedelta(minutes=1),
        identity_provider="https://login.voorbeeld.test",
    )
    assert issued.expires_in == 300
    assert _verifier(key).verify(issued.token, NOW) == AccessToken(
        id=issued.id,
        subject="person-1",
        client_id="portal",
        organisation="org_1",
        scopes=frozenset({Scope.MAILBOX_READ, Scope.MAILBOX_WRITE}),
        roles=frozenset({"clerk"}),
        recipient="rcp_1",
        assurance_level="high",
        auth_time=NOW - timedelta(minutes=1),
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=300),
        identity_provider="https://login.voorbeeld.test",
    )


def test_a_token_is_never_shown_by_repr() -> None:
    issued = _issuer().issue(now=NOW, subject="s", client_id="c", scopes=[])
    assert issued.token not in repr(issued)
    assert "jwk" not in repr(EC_KEY)


@pytest.mark.parametrize("remembered", [False, True])
def test_a_token_ends_thirty_seconds_after_its_time(*, remembered: bool) -> None:
    verifier, token = _verifier(), _token()
    if remembered:
        verifier.verify(token, NOW)
    verifier.verify(token, NOW + timedelta(seconds=329))
    with pytest.raises(TokenExpired):
        verifier.verify(token, NOW + timedelta(seconds=330))


def test_a_token_of_the_near_future_passes_and_one_of_later_does_not() -> None:
    token = _token(now=NOW)
    _verifier().verify(token, NOW - timedelta(seconds=30))
    with pytest.raises(TokenInvalid):
        _verifier().verify(token, NOW - timedelta(seconds=31))


def test_a_changed_token_is_refused_wherever_it_was_changed() -> None:
    token = _token()
    for position in range(0, len(token) - 1, 7):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        with pytest.raises(TokenInvalid):
            _verifier().verify(changed, NOW)


def test_another_key_with_the_same_id_is_refused() -> None:
    forger = load_signing_key(new_signing_key_pem(), kid=EC_KEY.kid)
    with pytest.raises(TokenInvalid):
        _verifier().verify(_sign(_claims(), forger), NOW)


def test_an_unknown_or_missing_key_id_is_refused() -> None:
    for token in (_sign(_claims(), kid="other"), _sign(_claims(), kid="")):
        with pytest.raises(TokenInvalid):
            _verifier().verify(token, NOW)


def test_both_keys_are_good_while_they_are_exchanged() -> None:
    verifier = _verifier(ED_KEY, EC_KEY)
    verifier.verify(_token(_issuer(ED_KEY)), NOW)
    verifier.verify(_token(_issuer(EC_KEY)), NOW)


def test_no_algorithm_but_the_keys_own_is_accepted() -> None:
    none = f"{_b64({'alg': 'none', 'typ': 'at+jwt', 'kid': EC_KEY.kid})}.{_b64(_claims())}."
    head = f"{_b64({'alg': 'HS256', 'typ': 'at+jwt', 'kid': EC_KEY.kid})}.{_b64(_claims())}"
    mac = hmac.digest(EC_KEY.jwk.as_pem(private=False), head.encode(), "sha256")
    confused = f"{head}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    crossed = _sign(_claims(), ED_KEY, kid=EC_KEY.kid)
    for token in (none, confused, crossed):
        with pytest.raises(TokenInvalid):
            _verifier(EC_KEY, ED_KEY).verify(token, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.test"},
        {"aud": "https://other.test"},
        {"aud": [AUDIENCE]},
        {"sub": None},
        {"client_id": None},
        {"exp": None},
        {"iat": None},
        {"jti": None},
    ],
)
def test_a_token_for_another_purpose_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(TokenInvalid):
        _verifier().verify(_sign(_claims(**changes)), NOW)


def test_a_signed_jwt_that_is_no_access_token_is_refused() -> None:
    with pytest.raises(TokenInvalid):
        _verifier().verify(_sign(_claims(), typ="JWT"), NOW)


@given(st.one_of(st.text(max_size=200), st.text(alphabet="abcABC012._-=", max_size=200)))
def test_no_text_breaks_the_verifier(text: str) -> None:
    with pytest.raises(TokenInvalid):
        _verifier().verify(text, NOW)


@pytest.mark.parametrize("hostile", ["x" * 10_000, "é.é.é", "W1tb" * 1500 + ".e30.e30", "", ".."])
def test_hostile_tokens_are_refused_like_any_other(hostile: str) -> None:
    with pytest.raises(TokenInvalid):
        _verifier().verify(hostile, NOW)


def test_a_scope_of_another_version_is_left_out_and_the_rest_stays() -> None:
    access = _verifier().verify(_sign(_claims(scope="deliveries:read moon:visit")), NOW)
    assert access.scopes == {Scope.DELIVERIES_READ}


def test_a_missing_scope_is_forbidden_and_named() -> None:
    access = _verifier().verify(_token(), NOW)
    access.require(Scope.DELIVERIES_READ)
    with pytest.raises(ScopeMissing) as refusal:
        access.require(Scope.DELIVERIES_WRITE)
    assert refusal.value.context == {"scope": "deliveries:write"}


def test_remembering_is_bounded_and_changes_no_answer() -> None:
    verifier, issuer = _verifier(remember=2), _issuer()
    tokens = [_token(issuer) for _ in range(4)]
    first = [verifier.verify(token, NOW) for token in tokens]
    assert [verifier.verify(token, NOW) for token in tokens] == first
    assert len(verifier._verified) == 2


def test_the_published_keys_hold_no_private_part_and_verify_our_tokens() -> None:
    published = jwks([EC_KEY, ED_KEY])["keys"]
    assert isinstance(published, list)
    assert [key["kid"] for key in published] == [EC_KEY.kid, ED_KEY.kid]
    assert all("d" not in key and key["use"] == "sig" for key in published)
    assert jwt.decode(_token(), ECKey.import_key(published[0]), algorithms=["ES256"]).claims["sub"] == "s"


def test_a_key_has_the_same_id_every_time_it_is_loaded() -> None:
    pem = new_signing_key_pem()
    assert load_signing_key(pem).kid == load_signing_key(pem).kid
    assert load_signing_key(pem, kid="2026").kid == "2026"


@pytest.mark.parametrize("pem", [b"nonsense", _pem(ec.generate_private_key(ec.SECP384R1()))], ids=["no PEM", "P-384"])
def test_an_unsuitable_signing_key_is_refused_at_start(pem: bytes) -> None:
    with pytest.raises(ValueError, match="token signing key"):
        load_signing_key(pem)


def test_an_encrypted_signing_key_is_refused_at_start() -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    with pytest.raises(ValueError, match="unencrypted"):
        load_signing_key(pem)


def test_a_lifetime_must_be_positive() -> None:
    with pytest.raises(ValueError, match="lifetime"):
        TokenIssuer(issuer=ISSUER, audience=AUDIENCE, key=EC_KEY, lifetime=timedelta(0))


def test_the_key_in_use_is_chosen_by_id_alone() -> None:
    renamed = replace(EC_KEY, kid="new")
    with pytest.raises(TokenInvalid):
        _verifier(renamed).verify(_token(), NOW)
