"""What every time-stamp authority must do, and what the HTTP client makes of those that don't."""

import hashlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import tsp
from cryptography.x509 import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID

from service.embedded.pki import ensure_pki
from service.embedded.tsa import POLICY, TokenMaker
from signing.connection import _Deadlined
from signing.errors import SigningError, TimeStampInvalid, TimeStampRefused, TimeStampUnavailable
from signing.several import SeveralAuthorities
from signing.timestamps import TimeStampAuthority, verify_token
from signing.trust import load_certificates
from tests.signing_support import (
    STAMPING,
    Answer,
    InProcessAuthority,
    client,
    honest_server,
    lying_server,
    outside,
    pki,
    query,
    read_query,
    roots,
    tls_context,
    token_maker,
    tsa_credential,
)

DATA = b"checkpoint 17"
DIGEST = hashlib.sha256(DATA).digest()


@pytest.fixture(params=["http", "in process", "the second of two"])
def authority(request: pytest.FixtureRequest) -> Iterator[TimeStampAuthority]:
    if request.param == "the second of two":
        yield SeveralAuthorities([client("http://127.0.0.1:9/"), InProcessAuthority()])
        return
    if request.param == "in process":
        yield InProcessAuthority()
        return
    with honest_server() as url, client(url) as http:
        yield http


def test_a_token_proves_the_present(authority: TimeStampAuthority) -> None:
    token = authority.token(DIGEST)
    assert abs(verify_token(token, DATA, roots()) - datetime.now(UTC)) < timedelta(minutes=1)


def test_asking_twice_gives_two_good_tokens(authority: TimeStampAuthority) -> None:
    first, second = authority.token(DIGEST), authority.token(DIGEST)
    assert first != second
    assert verify_token(first, DATA, roots()) <= verify_token(second, DATA, roots())


def test_several_threads_may_ask_at_once(authority: TimeStampAuthority) -> None:
    data = [bytes([number]) for number in range(24)]
    with ThreadPoolExecutor(4) as pool:
        tokens = list(pool.map(authority.token, [hashlib.sha256(one).digest() for one in data]))
    for token, one in zip(tokens, data, strict=True):
        verify_token(token, one, roots())


def test_openssl_accepts_the_demonstrations_tokens(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(DATA)
    for algorithm in ("sha256", "sha384", "sha512"):
        asked = query(hashlib.new(algorithm, DATA).digest(), algorithm=algorithm)
        (tmp_path / "query").write_bytes(asked)
        (tmp_path / "reply").write_bytes(token_maker().respond(asked))
        verified = outside(
            "openssl", "ts", "-verify", "-queryfile", tmp_path / "query", "-in", tmp_path / "reply",
            "-CAfile", pki().trust_anchor, "-untrusted", pki().folder / "issuing.cert.pem",
        )  # fmt: skip
        assert "Verification: OK" in verified.stdout + verified.stderr


def test_the_process_prints_its_address_and_stops_when_told(tmp_path: Path) -> None:
    made = ensure_pki(tmp_path)
    command = [sys.executable, "-m", "service.embedded.tsa", "--folder", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with client(url, trust_roots=load_certificates(made.trust_anchor)) as http:
                assert http.token(DIGEST)
        finally:
            process.terminate()
        assert process.wait(20) == 0


def honest_about(change: Callable[[bytes, int], bytes]) -> Callable[[bytes], Answer]:
    """An honest reply to another question than the one asked."""
    return lambda request: Answer(token_maker().respond(change(*read_query(request))))


def spoilt(request: bytes, offset: int) -> Answer:
    """A reply with one byte changed, ``offset`` from its end."""
    body = bytearray(token_maker().respond(request))
    body[-offset] ^= 1
    return Answer(bytes(body))


def rejected(failure: str, status: str = "rejection") -> Answer:
    inner = tsp.PKIStatusInfo({"status": status, "fail_info": {failure}}).dump()
    return Answer(b"\x30" + bytes([len(inner)]) + inner)


OTHER = hashlib.sha256(b"another document").digest()
DAY = timedelta(days=1)

LIES: dict[str, tuple[Callable[[bytes], Answer], type[SigningError]]] = {
    "token of another document": (honest_about(lambda _, nonce: query(OTHER, nonce=nonce)), TimeStampInvalid),
    "imprint under another algorithm": (
        honest_about(lambda _, nonce: query(hashlib.sha512(DATA).digest(), nonce=nonce, algorithm="sha512")),
        TimeStampInvalid,
    ),
    "another nonce": (honest_about(lambda digest, nonce: query(digest, nonce=nonce + 1)), TimeStampInvalid),
    "negative nonce": (honest_about(lambda digest, nonce: query(digest, nonce=-nonce)), TimeStampInvalid),
    "no nonce": (honest_about(lambda digest, _: query(digest, nonce=None)), TimeStampInvalid),
    "no certificate": (
        honest_about(lambda digest, nonce: query(digest, nonce=nonce, certificate=False)),
        TimeStampInvalid,
    ),
    "signature spoilt": (lambda request: spoilt(request, 1), TimeStampInvalid),
    "attribute spoilt": (lambda request: spoilt(request, 120), TimeStampInvalid),
    "cut short": (lambda request: Answer(token_maker().respond(request)[:-20]), TimeStampInvalid),
    "something behind the reply": (lambda request: Answer(token_maker().respond(request) + b"x"), TimeStampInvalid),
    "a day ahead": (
        lambda request: Answer(TokenMaker(pki().tsa, clock=lambda: datetime.now(UTC) + DAY).respond(request)),
        TimeStampInvalid,
    ),
    "a day behind": (
        lambda request: Answer(TokenMaker(pki().tsa, clock=lambda: datetime.now(UTC) - DAY).respond(request)),
        TimeStampInvalid,
    ),
    "before its certificate": (
        lambda request: Answer(TokenMaker(pki().tsa, clock=lambda: datetime(2001, 1, 1, tzinfo=UTC)).respond(request)),
        TimeStampInvalid,
    ),
    "garbage": (lambda _: Answer(b"\x00\x01garbage"), TimeStampInvalid),
    "nothing": (lambda _: Answer(b""), TimeStampInvalid),
    "granted without a token": (lambda _: Answer(bytes.fromhex("30053003020100")), TimeStampInvalid),
    "a page instead": (lambda _: Answer(b"<html>ok</html>", kind="text/html"), TimeStampInvalid),
    "a token declared as a page": (
        lambda request: Answer(token_maker().respond(request), kind="text/html"),
        TimeStampInvalid,
    ),
    "larger than any token": (lambda _: Answer(b"\x30" * 70_000), TimeStampUnavailable),
    "less than announced": (lambda _: Answer(b"\x30", length=500), TimeStampUnavailable),
    "out of order": (lambda _: Answer(status=503), TimeStampUnavailable),
    "too many requests": (lambda _: Answer(status=429), TimeStampUnavailable),
    "not found": (lambda _: Answer(status=404), TimeStampRefused),
    "moved": (lambda _: Answer(status=302), TimeStampRefused),
    "bad algorithm": (lambda _: rejected("bad_alg"), TimeStampRefused),
    "no time now": (lambda _: rejected("time_not_available"), TimeStampUnavailable),
    "system failure": (lambda _: rejected("system_failure"), TimeStampUnavailable),
    "waiting": (lambda _: rejected("system_failure", "waiting"), TimeStampUnavailable),
}


@pytest.mark.parametrize("lie", LIES)
def test_no_lie_is_accepted(lie: str) -> None:
    answer, expected = LIES[lie]
    with lying_server(answer) as url, client(url) as http:
        with pytest.raises(expected) as caught:
            http.token(DIGEST)
        with SeveralAuthorities([http, InProcessAuthority()]) as two:
            assert verify_token(two.token(DIGEST), DATA, roots())
    assert caught.value.retryable is (expected is not TimeStampRefused)
    assert caught.value.detail


@pytest.mark.parametrize(
    ("usage", "critical", "days"),
    [
        (STAMPING, True, -1),
        (STAMPING, False, 5),
        (None, True, 5),
        (ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING]), True, 5),
        (ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), True, 5),
    ],
    ids=["expired", "usage not critical", "no usage", "two usages", "another usage"],
)
def test_no_unfit_certificate_is_accepted(
    tmp_path: Path,
    *,
    usage: ExtendedKeyUsage | None,
    critical: bool,
    days: int,
) -> None:
    maker = TokenMaker(tsa_credential(tmp_path, usage=usage, critical=critical, days=days))
    with honest_server(maker) as url, client(url) as http, pytest.raises(TimeStampInvalid) as caught:
        http.token(DIGEST)
    assert caught.value.reason in {"certificate_use", "certificate_path"}


def test_an_almost_unfit_certificate_is_accepted(tmp_path: Path) -> None:
    with honest_server(TokenMaker(tsa_credential(tmp_path, usage=STAMPING))) as url, client(url) as http:
        assert verify_token(http.token(DIGEST), DATA, roots()) <= datetime.now(UTC)


def test_an_authority_under_another_root_is_not_believed(tmp_path: Path) -> None:
    strangers = load_certificates(ensure_pki(tmp_path).trust_anchor)
    for believed in (strangers, ()):
        with honest_server() as url, client(url, trust_roots=believed) as http, pytest.raises(TimeStampInvalid):
            http.token(DIGEST)


def test_another_policy_than_the_agreed_one_is_not_accepted() -> None:
    with honest_server() as url:
        with client(url, policy=POLICY) as http:
            assert http.token(DIGEST)
        with client(url, policy="1.2.3.4") as http, pytest.raises(TimeStampRefused) as caught:
            http.token(DIGEST)
    assert caught.value.context["failures"] == "unaccepted_policy"


def test_a_digest_of_another_kind_is_refused_before_anything_is_sent() -> None:
    with client("http://127.0.0.1:9/") as http, pytest.raises(TimeStampRefused):
        http.token(b"short")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "127.0.0.1", "http://"])
def test_an_impossible_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        client(url)


def test_a_dead_authority_is_unavailable() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        with client(f"http://127.0.0.1:{port}/") as http, pytest.raises(TimeStampUnavailable) as caught:
            http.token(DIGEST)
    assert caught.value.retryable


def test_a_dripping_authority_is_given_up_in_time() -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                while not stop.wait(0.05):
                    try:
                        peer.send(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        started = time.monotonic()
        port = listener.getsockname()[1]
        with client(f"http://127.0.0.1:{port}/", timeout=0.5) as http, pytest.raises(TimeStampUnavailable):
            http.token(DIGEST)
        waited = time.monotonic() - started
        stop.set()
        thread.join()
    assert waited < 10


def test_one_connection_serves_many_tokens_and_is_renewed_when_closed() -> None:
    accepted = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_two_each() -> None:
            for _ in range(2):
                peer, _ = listener.accept()
                accepted.append(peer)
                with peer:
                    for _ in range(2):
                        head, _, body = peer.recv(65536).partition(b"\r\n\r\n")
                        body = body or peer.recv(65536)
                        reply = token_maker().respond(body)
                        peer.sendall(
                            b"HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n"
                            b"Content-Length: %d\r\n\r\n%s" % (len(reply), reply)
                        )
                        assert head.startswith(b"POST /tsa?x=1 ")

        thread = threading.Thread(target=serve_two_each)
        thread.start()
        with client(f"http://127.0.0.1:{listener.getsockname()[1]}/tsa?x=1") as http:
            for _ in range(4):
                http.token(DIGEST)
        thread.join()
    assert len(accepted) == 2


def test_an_authority_may_be_spoken_to_over_tls_if_its_name_is_proven(tmp_path: Path) -> None:
    server_side = tls_context(tmp_path)
    known = ssl.create_default_context(cafile=tmp_path / "tls.pem")
    with lying_server(lambda request: Answer(token_maker().respond(request)), tls=server_side) as url:
        with client(url, tls=known) as http:
            assert http.token(DIGEST)
        with client(url) as http, pytest.raises(TimeStampUnavailable):
            http.token(DIGEST)


def test_nothing_is_read_after_the_time_is_up() -> None:
    ours, theirs = socket.socketpair()
    theirs.send(b"too late")
    with ours, theirs, _Deadlined(ours, until=0.0) as reader, pytest.raises(TimeoutError):
        reader.read(1)


def test_a_closed_client_keeps_no_connection() -> None:
    with honest_server() as url:
        http = client(url)
        http.close()
        http.token(DIGEST)
        assert not http._idle


@pytest.mark.parametrize(
    ("request_bytes", "failure"),
    [
        (b"nonsense", "bad_data_format"),
        (b"", "bad_data_format"),
        (query(bytes(20), algorithm="sha1"), "bad_alg"),
        (query(bytes(31)), "bad_data_format"),
    ],
)
def test_the_demonstrations_authority_refuses_bad_requests(request_bytes: bytes, failure: str) -> None:
    status = tsp.PKIStatusInfo.load(token_maker().respond(request_bytes)[2:])
    assert status["status"].native == "rejection"
    assert status["fail_info"].native == {failure}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"405"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nxx", b"415"),
    ],
)
def test_the_demonstrations_authority_speaks_http(sent: bytes, status: bytes) -> None:
    with honest_server() as url:
        port = int(url.rsplit(":", 1)[1].strip("/"))
        with socket.create_connection(("127.0.0.1", port), 5) as peer:
            peer.sendall(sent)
            assert peer.recv(4096).split()[1] == status
