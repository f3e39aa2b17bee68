"""What a remote signing service may do to us, and what is made of it."""

import json
import multiprocessing
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.algorithms import Mechanism, digest, signature_holds
from signing.errors import KeyUnavailable, KeyUnusable
from signing.keys import csc
from signing.keys.csc import CscSealKey
from signing.keys.csc_service import LARGEST_REPLY
from tests.csc_support import (
    CREDENTIAL,
    PIN,
    SECRET,
    Answer,
    Lie,
    RemoteService,
    access,
    certomancers_key,
    certomancers_service,
    remote_key,
    remote_service,
)
from tests.signing_support import pki, seal_key, token_maker

RSA = "1.2.840.113549.1.1.1"
HASHED = digest("sha256", b"a document")


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[RemoteService, str]]:
    with remote_service(version=request.param) as running:
        yield running


def holds(key: CscSealKey, signature: bytes, digested: bytes = HASHED) -> bool:
    return signature_holds(
        key.certificate.public_key(), key.mechanism.encoded, key.mechanism.digest, signature, digested
    )


def test_a_signature_takes_one_authorisation_and_one_call_on_a_kept_connection(
    served: tuple[RemoteService, str],
) -> None:
    service, url = served
    key = remote_key(url)
    for _ in range(3):
        assert holds(key, key.sign(HASHED))
    assert service.calls == [
        "oauth2/token", "credentials/info", *(["credentials/authorize", "signatures/signHash"] * 3),
    ]  # fmt: skip
    assert service.connections == 2  # one to the token endpoint, which may be another host, and one to the service


def test_a_batch_is_authorised_together_as_far_as_the_service_goes(served: tuple[RemoteService, str]) -> None:
    service, url = served
    service.multisign = 4
    key = remote_key(url)
    digests = [digest("sha256", bytes([number])) for number in range(10)]
    signatures = key.sign_many(digests)
    assert all(holds(key, *pair) for pair in zip(signatures, digests, strict=True))
    assert service.calls.count("credentials/authorize") == service.calls.count("signatures/signHash") == 3


def test_nothing_to_sign_asks_nobody(served: tuple[RemoteService, str]) -> None:
    service, url = served
    key = remote_key(url)
    assert key.sign_many([]) == []
    assert service.calls[-1] == "credentials/info"


@pytest.mark.parametrize("refreshable", [False, True])
def test_a_token_that_was_revoked_is_renewed(served: tuple[RemoteService, str], *, refreshable: bool) -> None:
    service, url = served
    service.refreshable = refreshable
    key = remote_key(url)
    service.tokens.clear()
    assert holds(key, key.sign(HASHED))
    assert service.grants == ["client_credentials", "refresh_token" if refreshable else "client_credentials"]


def test_a_token_near_its_end_is_renewed_before(served: tuple[RemoteService, str]) -> None:
    service, url = served
    service.token_seconds = 31
    key = remote_key(url)
    time.sleep(1.1)
    key.sign(HASHED)
    assert len(service.grants) == 2


def test_a_refresh_token_that_ended_gives_way_to_the_clients_secret(served: tuple[RemoteService, str]) -> None:
    service, url = served
    service.refreshable = True
    key = remote_key(url)
    service.tokens.clear()
    service.lie = lambda _, asked, __: (
        Answer(b'{"error": "invalid_grant"}', 400) if asked.get("grant_type") == "refresh_token" else None
    )
    assert holds(key, key.sign(HASHED))
    assert service.grants == ["client_credentials", "refresh_token", "client_credentials"]


def test_an_authorisation_that_ended_is_asked_for_again(served: tuple[RemoteService, str]) -> None:
    service, url = served
    key = remote_key(url)
    seen: list[str] = []

    def late(method: str, asked: dict[str, Any], honest: dict[str, Any]) -> Any:
        if method == "signatures/signHash":
            seen.append(asked["SAD"])
            if len(seen) == 1:
                return Answer(b'{"error": "invalid_request", "error_description": "Expired SAD"}', 400)
        return None

    service.lie = late
    assert holds(key, key.sign(HASHED))
    assert len(set(seen)) == 2


def test_a_wrong_pin_is_shown_once_even_by_a_key_opened_anew(served: tuple[RemoteService, str]) -> None:
    service, url = served
    wrong = "11112222"
    for _ in range(3):
        with pytest.raises(KeyUnusable) as caught:
            remote_key(url, pin=lambda: wrong).sign(HASHED)
        assert wrong not in str(caught.value)
    assert service.pins == [wrong]
    key = remote_key(url)
    assert holds(key, key.sign(HASHED))


def _other_signature(_: dict[str, Any]) -> dict[str, Any]:
    return {"signatures": [b64encode(seal_key().sign(digest("sha256", b"another"))).decode()]}


def _other_key(_: dict[str, Any]) -> dict[str, Any]:
    return {"signatures": [b64encode(token_maker()._key.sign(HASHED)).decode()]}


SIGNING_LIES: dict[str, tuple[Any, type[Exception]]] = {
    "a signature of another digest": (_other_signature, KeyUnusable),
    "a signature by another key": (_other_key, KeyUnusable),
    "two signatures for one": (lambda honest: {"signatures": honest["signatures"] * 2}, KeyUnavailable),
    "no signatures": ({"signatures": []}, KeyUnavailable),
    "no list": (lambda honest: {"signatures": honest["signatures"][0]}, KeyUnavailable),
    "numbers": ({"signatures": [7]}, KeyUnavailable),
    "nothing": ({}, KeyUnavailable),
    "rubbish for a signature": ({"signatures": ["AAAA"]}, KeyUnusable),
    "an empty signature": ({"signatures": [""]}, KeyUnusable),
    "no base64": ({"signatures": ["é*"]}, KeyUnavailable),
    "a page with 200": (Answer(b"<html>log in</html>", kind="text/html"), KeyUnavailable),
    "a page that says it is JSON": (Answer(b"<html>log in</html>"), KeyUnavailable),
    "a list": (Answer(b"[1, 2]"), KeyUnavailable),
    "deep nesting": (Answer(b"[" * 100_000), KeyUnavailable),
    "a body without an end": (Answer(b"", endless=True), KeyUnavailable),
    "too large a body": (Answer(b" " * (LARGEST_REPLY + 1)), KeyUnavailable),
    "drops": (lambda honest: Answer(json.dumps(honest).encode(), drip=0.2), KeyUnavailable),
    "out of order": (Answer(b"{}", 503), KeyUnavailable),
    "too many requests": (Answer(b"{}", 429), KeyUnavailable),
    "refused": (Answer(b'{"error": "access_denied"}', 403), KeyUnusable),
    "refused without a word": (Answer(b"", 400), KeyUnusable),
    "led elsewhere": (Answer(b"", 302), KeyUnusable),
    "never let in": (Answer(b'{"error": "invalid_token"}', 401), KeyUnusable),
}


@pytest.mark.parametrize("lie", SIGNING_LIES)
def test_nothing_that_is_not_asked_for_is_believed(lie: str, served: tuple[RemoteService, str]) -> None:
    service, url = served
    made, expected = SIGNING_LIES[lie]
    key = remote_key(url, timeout=2.0)

    def told(method: str, _: dict[str, Any], honest: dict[str, Any]) -> Any:
        if method != "signatures/signHash" or not honest:
            return None
        return made(honest) if callable(made) else made

    service.lie = told
    began = time.monotonic()
    with pytest.raises(expected) as caught:
        key.sign(HASHED)
    assert time.monotonic() - began < 12
    assert getattr(caught.value, "retryable", False)
    service.lie = None
    assert holds(key, key.sign(HASHED)), "it goes on when the service is right again"


def _certificate(file: str) -> str:
    loaded = x509.load_pem_x509_certificate((pki().folder / file).read_bytes())
    return b64encode(loaded.public_bytes(Encoding.DER)).decode()


OPENING_LIES: dict[str, tuple[Any, type[Exception]]] = {
    "the key is off": (lambda info: info["key"].update(status="disabled"), KeyUnusable),
    "the certificate is revoked": (lambda info: info["cert"].update(status="revoked"), KeyUnusable),
    "no certificate": (lambda info: info["cert"].update(certificates=[]), KeyUnusable),
    "certificates that are none": (lambda info: info["cert"].update(certificates=["AAAA"]), KeyUnavailable),
    "no list of mechanisms": (lambda info: info["key"].pop("algo"), KeyUnavailable),
    "only other mechanisms": (lambda info: info["key"].update(algo=["1.2.3"]), KeyUnusable),
    "a person is asked": (lambda info: info.update(authMode="oauth2code", auth={"mode": "oauth2code"}), KeyUnusable),
    "nobody says who is asked": (lambda info: [info.pop("authMode", 0), info.pop("auth", 0)], KeyUnusable),
}


@pytest.mark.parametrize("lie", OPENING_LIES)
def test_a_credential_that_can_not_seal_is_refused(lie: str, served: tuple[RemoteService, str]) -> None:
    service, url = served
    changed, expected = OPENING_LIES[lie]

    def told(method: str, _: dict[str, Any], honest: dict[str, Any]) -> Any:
        if method == "credentials/info":
            changed(honest)
            return honest
        return None

    service.lie = told
    with pytest.raises(expected):
        remote_key(url)


@pytest.mark.parametrize("said", [True, 0, -3, "ten", 5_000])
def test_an_odd_size_of_batches_is_bounded(said: Any, served: tuple[RemoteService, str]) -> None:
    service, url = served
    service.lie = lambda method, _, honest: {**honest, "multisign": said} if method == "credentials/info" else None
    assert 1 <= remote_key(url)._most <= 100


def test_a_certificate_is_held_against_the_one_expected(served: tuple[RemoteService, str]) -> None:
    _, url = served
    expected = seal_key("p-384").certificate
    with pytest.raises(KeyUnusable, match="another certificate"):
        CscSealKey(access(url), CREDENTIAL, pin=lambda: PIN, certificate=expected)
    key = CscSealKey(access(url), CREDENTIAL, pin=lambda: PIN, certificate=seal_key().certificate)
    assert key.chain
    key.close()


def test_a_certificate_that_was_exchanged_there_is_found_out(served: tuple[RemoteService, str]) -> None:
    service, url = served
    service.lie = lambda method, _, honest: (
        {**honest, "cert": {"certificates": [_certificate("tsa.cert.pem")]}} if method == "credentials/info" else None
    )
    key = remote_key(url)
    with pytest.raises(KeyUnusable, match="none of this digest"):
        key.sign(HASHED)


TOKEN_LIES: dict[str, Lie] = {
    "no token": lambda *_: {"token_type": "Bearer"},
    "a token that is no string": lambda *_: {"access_token": 7},
    "a token that goes on in the next line": lambda *_: {"access_token": "x\r\nX-Other: y"},
    "an empty token": lambda *_: {"access_token": ""},
    "a length of life that is none": lambda *_: {"access_token": "x", "expires_in": "long"},
    "a page": lambda *_: Answer(b"<html>", kind="text/html"),
}


@pytest.mark.parametrize("lie", TOKEN_LIES)
def test_a_token_that_is_none_is_not_used(lie: str, served: tuple[RemoteService, str]) -> None:
    service, url = served
    service.lie = TOKEN_LIES[lie]
    with pytest.raises(KeyUnavailable):
        remote_key(url)
    assert set(service.calls) == {"oauth2/token"}


def test_a_wrong_secret_is_refused_and_does_not_show(served: tuple[RemoteService, str]) -> None:
    _, url = served
    with pytest.raises(KeyUnusable) as caught:
        remote_key(url, secret=lambda: "another-secret")
    assert "another-secret" not in f"{caught.value} {caught.value.context}"
    assert "invalid_client" in caught.value.detail


def test_a_word_that_is_none_is_not_repeated(served: tuple[RemoteService, str]) -> None:
    service, url = served
    service.lie = lambda *_: Answer(b'{"error": "call +32 2 555 and give the PIN"}', 400)
    with pytest.raises(KeyUnusable, match="without a reason"):
        remote_key(url)


def test_a_service_that_is_away_is_waited_for() -> None:
    with remote_service() as (_, url):
        key = remote_key(url)
        key.close()
    with pytest.raises(KeyUnavailable):
        key.sign(HASHED)
    with pytest.raises(KeyUnavailable):
        remote_key(url)


def test_a_key_that_names_its_kind_only_is_told_the_digest_beside(served: tuple[RemoteService, str]) -> None:
    service, url = served
    service.algorithm = "rsa-3072"

    def told(method: str, _: dict[str, Any], honest: dict[str, Any]) -> Any:
        return {**honest, "key": {"status": "enabled", "algo": [RSA]}} if method == "credentials/info" else None

    service.lie = told
    key = remote_key(url, Mechanism.RSA_SHA512)
    hashed = digest("sha512", b"a document")
    assert holds(key, key.sign(hashed), hashed)
    with pytest.raises(KeyUnusable, match="does not sign by rsa-pss"):
        remote_key(url, Mechanism.PSS_SHA256)


@pytest.mark.parametrize("said", [{}, {"SAD": ""}, {"SAD": 7}])
def test_an_authorisation_that_is_none_signs_nothing(said: Any, served: tuple[RemoteService, str]) -> None:
    service, url = served
    key = remote_key(url)
    service.lie = lambda method, _, __: said if method == "credentials/authorize" else None
    with pytest.raises(KeyUnavailable, match="no authorisation"):
        key.sign(HASHED)
    assert "signatures/signHash" not in service.calls


def test_a_token_that_authorises_by_itself_asks_for_no_more() -> None:
    with remote_service(mode="oauth2code") as (service, url):
        service.lie = lambda method, _, __: (
            {"signatures": [b64encode(seal_key().sign(HASHED)).decode()]} if method == "signatures/signHash" else None
        )
        key = remote_key(url, scope="credential")
        assert holds(key, key.sign(HASHED))
        assert "credentials/authorize" not in service.calls


def test_numbers_side_by_side_are_read_too() -> None:
    with remote_service(raw=True) as (_, url):
        key = remote_key(url)
        assert holds(key, key.sign(HASHED))


def _sign_in_child(key: CscSealKey, answers: Any) -> None:
    answers.put(holds(key, key.sign(HASHED)))


def test_a_forked_process_does_not_read_its_parents_replies() -> None:
    with remote_service() as (service, url):
        key = remote_key(url)
        key.sign(HASHED)
        before = service.connections
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        child = context.Process(target=_sign_in_child, args=(key, answers))
        child.start()
        with ThreadPoolExecutor(1) as pool:
            mine = [pool.submit(key.sign, HASHED).result() for _ in range(5)]
        assert answers.get(timeout=20)
        child.join(20)
        assert child.exitcode == 0
        assert all(holds(key, each) for each in mine)
        assert service.connections == before + 1


def test_certomancers_service_pins_hashes_and_takes_a_batch() -> None:
    with certomancers_service() as url:
        key = certomancers_key(url, "rsa-3072")
        digests = [digest("sha256", bytes([number])) for number in range(12)]
        signatures = key.sign_many(digests)
        assert all(holds(key, *pair) for pair in zip(signatures, digests, strict=True))
        assert key._most == 10
        key.close()


def test_nothing_secret_shows(served: tuple[RemoteService, str]) -> None:
    _, url = served
    key = remote_key(url)
    key.sign(HASHED)
    shown = f"{key!r} {vars(key)!r} {vars(csc._of_this_process)!r}"
    assert PIN not in shown
    assert SECRET not in shown
