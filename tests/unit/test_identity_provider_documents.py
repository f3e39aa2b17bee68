import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta

import httpx
import pytest
from joserfc.jwk import OctKey, RSAKey

from service.identity.errors import IdTokenInvalid, ProviderUnavailable
from service.identity.fetching import MAX_ANSWER, fetch_json, is_safe_address
from service.identity.oidc import OidcSettings, OpenIdProvider
from service.identity.provider_documents import ProviderDocuments
from service.outgoing import http_client
from tests.identity_support import CLIENT_ID, ISSUER, NOW, MemoryProvider, claims, ec_key, id_token, rsa_key

DISCOVERY = "/.well-known/openid-configuration"


def _documents(memory: MemoryProvider) -> ProviderDocuments:
    return ProviderDocuments(ISSUER, http=memory.client(), seconds=5)


def _provider(memory: MemoryProvider) -> OpenIdProvider:
    return OpenIdProvider(OidcSettings(ISSUER, CLIENT_ID, "s"), http=memory.client())


def test_documents_are_fetched_once_an_hour() -> None:
    memory = MemoryProvider()
    documents = _documents(memory)
    for minutes in (0, 10, 59):
        documents.keys(NOW + timedelta(minutes=minutes))
        documents.endpoints(NOW + timedelta(minutes=minutes))
    assert sorted(memory.calls) == [DISCOVERY, "/jwks"]
    documents.keys(NOW + timedelta(minutes=60))
    assert memory.calls.count("/jwks") == 2


def test_a_provider_that_is_down_leaves_the_last_copy_in_use_for_a_day() -> None:
    memory = MemoryProvider()
    documents = _documents(memory)
    known = documents.keys(NOW)
    memory.spoil = {"/jwks": httpx.ConnectError("down"), DISCOVERY: httpx.ConnectError("down")}
    assert documents.keys(NOW + timedelta(hours=2)) == known
    assert documents.endpoints(NOW + timedelta(hours=2)).token == f"{ISSUER}/token"
    calls = len(memory.calls)
    documents.keys(NOW + timedelta(hours=2, seconds=20))
    assert len(memory.calls) == calls, "a provider that is down is not asked with every request"
    with pytest.raises(ProviderUnavailable):
        documents.keys(NOW + timedelta(hours=24))
    with pytest.raises(ProviderUnavailable):
        documents.endpoints(NOW + timedelta(hours=24))


def test_a_provider_that_comes_back_is_used_again() -> None:
    memory = MemoryProvider(spoil={DISCOVERY: httpx.ReadTimeout("slow")})
    documents = _documents(memory)
    with pytest.raises(ProviderUnavailable):
        documents.endpoints(NOW)
    memory.spoil.clear()
    assert documents.endpoints(NOW).jwks == f"{ISSUER}/jwks"


def test_a_new_key_is_fetched_when_a_token_needs_it() -> None:
    memory = MemoryProvider(keys=[rsa_key(0)])
    provider = _provider(memory)
    provider.validate_id_token(id_token(claims(), rsa_key(0)), now=NOW)
    memory.keys = [rsa_key(1)]
    later = NOW + timedelta(minutes=1)
    provider.validate_id_token(id_token(claims(), rsa_key(1)), now=later)
    with pytest.raises(IdTokenInvalid):
        provider.validate_id_token(id_token(claims(), rsa_key(0)), now=later)


def test_a_changed_key_without_id_is_found_too() -> None:
    memory = MemoryProvider(keys=[rsa_key(0)])
    provider = _provider(memory)
    provider.validate_id_token(id_token(claims(), rsa_key(0), kid=None), now=NOW)
    memory.keys = [rsa_key(1)]
    later = NOW + timedelta(minutes=1)
    provider.validate_id_token(id_token(claims(), rsa_key(1), kid=None), now=later)


def test_keys_that_another_thread_fetched_meanwhile_are_tried_before_asking_again() -> None:
    memory = MemoryProvider()
    documents = _documents(memory)
    current = documents.keys(NOW)
    assert documents.newer_keys(NOW, ()) == current
    assert documents.newer_keys(NOW, current) is None
    assert memory.calls.count("/jwks") == 1


def test_invented_key_ids_cause_no_flood_of_calls() -> None:
    memory = MemoryProvider()
    provider = _provider(memory)
    for number in range(50):
        with pytest.raises(IdTokenInvalid):
            provider.validate_id_token(
                id_token(claims(), rsa_key(1), kid=f"invented-{number}"), now=NOW + timedelta(milliseconds=number)
            )
    assert memory.calls.count("/jwks") == 1


def test_keys_that_are_no_use_are_left_out() -> None:
    class Odd:
        def __init__(self, value: Mapping[str, object]) -> None:
            self._value = value

        def as_dict(self, **_: bool) -> Mapping[str, object]:
            return self._value

    small = RSAKey.import_key(RSAKey.generate_key(2048).as_dict()).as_dict(private=False) | {"n": "AQAB" * 20}
    odd = [
        Odd({"kty": "oct", "k": "c2VjcmV0"}),
        Odd({"kty": "RSA"}),
        Odd({"kty": "EC", "crv": "P-256", "x": "1", "y": "1"}),
        Odd(dict(ec_key().as_dict(private=False)) | {"use": "enc"}),
        Odd(dict(small)),
        Odd({}),
    ]
    memory = MemoryProvider(keys=[*odd, rsa_key()])  # type: ignore[list-item]
    keys = _documents(memory).keys(NOW)
    assert [published.kid for published in keys] == ["rsa-0"]
    assert OctKey not in {type(published.key) for published in keys}


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://other.test"},
        {"issuer": ISSUER + "/"},
        {"token_endpoint": "http://login.example.test/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": 7},
        {"userinfo_endpoint": "javascript:x"},
    ],
)
def test_a_discovery_document_that_is_not_safe_is_not_used(changes: dict[str, object]) -> None:
    with pytest.raises(ProviderUnavailable):
        _documents(MemoryProvider(document=changes)).endpoints(NOW)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json={}),
        httpx.Response(503, text="busy"),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, text="[" * 100_000),
        httpx.Response(200, content=b'{"x": "' + b"x" * MAX_ANSWER + b'"}'),
        httpx.Response(301, headers={"location": "https://evil.test"}, json={}),
        httpx.ConnectTimeout("slow"),
    ],
    ids=["404", "503", "html", "list", "nested", "large", "redirect", "time-out"],
)
def test_any_odd_answer_is_an_outage(answer: httpx.Response | Exception) -> None:
    with pytest.raises(ProviderUnavailable):
        _documents(MemoryProvider(spoil={DISCOVERY: answer})).endpoints(NOW)


def test_a_key_set_without_keys_is_an_outage() -> None:
    with pytest.raises(ProviderUnavailable):
        _documents(MemoryProvider(spoil={"/jwks": httpx.Response(200, json={"keys": "none"})})).keys(NOW)


def test_an_answer_that_drips_is_cut_off() -> None:
    class Drip(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b" "

    client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Drip())))
    with pytest.raises(ProviderUnavailable) as outage:
        fetch_json(client, client.build_request("GET", f"{ISSUER}/x?secret=1"), seconds=0.05)
    assert "secret" not in str(outage.value.context)


def test_threads_that_need_the_same_document_fetch_it_once() -> None:
    memory = MemoryProvider()
    documents = _documents(memory)
    threads = [threading.Thread(target=documents.keys, args=(NOW,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(memory.calls) == [DISCOVERY, "/jwks"]


def test_only_encrypted_or_local_addresses_carry_secrets() -> None:
    assert is_safe_address("https://a.test/x")
    assert is_safe_address("http://127.0.0.1:80/")
    assert is_safe_address("http://[::1]/")
    assert is_safe_address("http://localhost:9")
    assert not is_safe_address("http://a.test")
    assert not is_safe_address("http://127.0.0.1.evil.test")
    assert not is_safe_address("http://10.0.0.1")
    assert not is_safe_address("//x")


def test_our_client_follows_no_redirect_and_gives_up() -> None:
    with http_client({"127.0.0.1"}, seconds=2) as client:
        assert client.follow_redirects is False
        assert client.timeout == httpx.Timeout(2)
