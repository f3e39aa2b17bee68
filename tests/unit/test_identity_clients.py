import base64
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.identity.clients import (
    SecretCredentials,
    check_secret,
    client_credentials,
    hash_secret,
    new_secret,
)
from service.identity.errors import ClientRefused, TokenRequestInvalid


def _basic(text: str | bytes, scheme: str = "Basic") -> str:
    raw = text.encode() if isinstance(text, str) else text
    return f"{scheme} {base64.b64encode(raw).decode()}"


def test_a_new_secret_has_256_bits_and_needs_no_encoding() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert len(base64.urlsafe_b64decode(first.removeprefix("zs_") + "=")) == 32
    assert client_credentials(_basic(f"c:{first}"), {}) == SecretCredentials("c", first)


def test_what_is_stored_does_not_hold_the_secret() -> None:
    secret = new_secret()
    assert secret not in hash_secret(secret)
    assert hash_secret(secret).startswith("sha256$")


def test_only_the_secret_itself_is_accepted() -> None:
    secret = new_secret()
    stored = hash_secret(secret)
    assert check_secret(secret, stored)
    assert not check_secret(secret + "x", stored)
    assert not check_secret("", stored)
    assert not check_secret(secret, None)
    assert not check_secret(stored, stored)
    assert not check_secret("\ud800", stored)


def test_no_secret_opens_a_client_that_does_not_exist() -> None:
    assert not check_secret("anything", None)


@given(st.text(min_size=1), st.text(min_size=1))
def test_form_urlencoded_ids_and_secrets_come_back_as_they_were(client_id: str, secret: str) -> None:
    try:
        header = _basic(f"{quote_plus(client_id)}:{quote_plus(secret)}")
    except UnicodeEncodeError:
        return
    if len(header) > 2048 or len(client_id) > 255 or not client_id.isprintable():
        return
    assert client_credentials(header, {}) == SecretCredentials(client_id, secret)


def test_the_scheme_is_read_in_any_case() -> None:
    assert client_credentials(_basic("c:s", "bAsIc"), {}).client_id == "c"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Bearer abc",
        "Basic " + "A" * 4000,
        _basic("no colon"),
        _basic(":secret"),
        _basic("client:"),
        _basic(b"\xff\xfe:x"),
        _basic("%ff:x"),
        _basic("a%0Ab:x"),
        _basic("x" * 300 + ":s"),
    ],
)
def test_malformed_credentials_are_refused_without_being_quoted(header: str) -> None:
    with pytest.raises(ClientRefused) as refusal:
        client_credentials(header, {})
    assert "secret:" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_missing_credentials_are_refused() -> None:
    with pytest.raises(ClientRefused):
        client_credentials(None, {"client_id": "c"})


@pytest.mark.parametrize("name", ["client_secret", "client_assertion"])
def test_credentials_in_the_body_are_refused(name: str) -> None:
    with pytest.raises(ClientRefused):
        client_credentials(None, {"client_id": "c", name: "s"})
    with pytest.raises(TokenRequestInvalid):
        client_credentials(_basic("c:s"), {name: "s"})


def test_two_client_ids_in_one_request_are_refused() -> None:
    assert client_credentials(_basic("c:s"), {"client_id": "c"}).client_id == "c"
    with pytest.raises(TokenRequestInvalid):
        client_credentials(_basic("c:s"), {"client_id": "d"})


def test_credentials_do_not_show_their_secret() -> None:
    assert "hidden" not in repr(SecretCredentials("c", "hidden"))
