"""What a source of revocation data must do, and what ours makes of issuers that lie, are slow or are away."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from service.embedded.pki import ensure_pki, ensure_seal
from service.embedded.status import StatusMaker, revoke
from signing.errors import CertificateRevoked, KeyUnusable, RevocationUnavailable
from signing.keys import FileSealKey
from signing.revocation import OnlineRevocation, ValidationData
from signing.trust import load_certificates
from tests.signing_support import Answer, honest_server, lying_server, pki, revocation, roots, seal_key

DAY = timedelta(days=1)
RESPONSE = "application/ocsp-response"
HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def asked_of(source: OnlineRevocation, at: datetime | None = None) -> ValidationData:
    return source.data(seal_key().certificate, seal_key().chain, at=at or now())


def issuing() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = load_pem_private_key((pki().folder / "issuing.key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key, x509.load_pem_x509_certificate((pki().folder / "issuing.cert.pem").read_bytes())


def test_a_good_path_is_proven_with_everything_that_a_later_judge_needs() -> None:
    with honest_server() as url, revocation(url) as source:
        data = asked_of(source)
    assert (len(data.ocsps), len(data.crls)) == (1, 1)
    responder = x509.load_pem_x509_certificate(pki().responder.certificate.read_bytes())
    own = [seal_key().certificate, issuing()[1], responder, *roots()]
    assert {c.public_bytes(Encoding.DER) for c in own} == set(data.certificates)
    assert now() < data.until < now() + DAY


def test_what_both_parts_know_is_joined_once() -> None:
    with honest_server() as url, revocation(url) as source:
        data = asked_of(source)
    sooner = replace(data, crls=(b"x",), until=now())
    assert data.with_(sooner) == replace(sooner, crls=(*data.crls, b"x"))


# One answer each that must not be believed. What it is about is the certificate of the seal, by its own issuer.


def response(
    *,
    serial: int | None = None,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    this: timedelta = -HOUR,
    then: timedelta = HOUR,
    key: ec.EllipticCurvePrivateKey | None = None,
    responder: x509.Certificate | None = None,
    issuer: x509.Certificate | None = None,
) -> bytes:
    own_key, own = issuing()
    hashed = ocsp.OCSPRequestBuilder().add_certificate(seal_key().certificate, issuer or own, hashes.SHA1()).build()
    builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
        issuer_name_hash=hashed.issuer_name_hash,
        issuer_key_hash=hashed.issuer_key_hash,
        serial_number=serial or seal_key().certificate.serial_number,
        algorithm=hashes.SHA1(),
        cert_status=status,
        this_update=now() + this,
        next_update=now() + then,
        revocation_time=now() - DAY if status is ocsp.OCSPCertStatus.REVOKED else None,
        revocation_reason=None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, responder or own)
    if responder is not None:
        builder = builder.certificates([responder])
    return builder.sign(key or own_key, hashes.SHA256()).public_bytes(Encoding.DER)


def responder(
    *, usage: bool = True, days: float = 5, by: ec.EllipticCurvePrivateKey | None = None, like: bool = False
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Somebody who answers in the issuer's place; ``like`` has the issuer's own name."""
    own_key, own = issuing()
    key = ec.generate_private_key(ec.SECP256R1())
    name = own.subject if like else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Responder (fictional)")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(own.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - 10 * DAY)
        .not_valid_after(now() + timedelta(days=days))
        .add_extension(x509.OCSPNoCheck(), critical=False)
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
    return key, builder.sign(by or own_key, hashes.SHA256())


def by(made: tuple[ec.EllipticCurvePrivateKey, x509.Certificate], **more: object) -> bytes:
    return response(key=made[0], responder=made[1], **more)  # type: ignore[arg-type]


def spoilt(der: bytes, offset: int) -> bytes:
    body = bytearray(der)
    body[offset] ^= 1
    return bytes(body)


def unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


STRANGER = ec.generate_private_key(ec.SECP256R1())

OCSP_LIES: dict[str, Callable[[], Answer]] = {
    "a page instead": lambda: Answer(b"<html>good</html>", kind="text/html"),
    "an answer declared as a page": lambda: Answer(response(), kind="text/html"),
    "garbage": lambda: Answer(b"\x00garbage", kind=RESPONSE),
    "nothing": lambda: Answer(b"", kind=RESPONSE),
    "cut short": lambda: Answer(response()[:-20], kind=RESPONSE),
    "less than announced": lambda: Answer(response()[:-20], kind=RESPONSE, length=5000),
    "out of order": lambda: Answer(status=503),
    "not found": lambda: Answer(status=404),
    "moved": lambda: Answer(status=301),
    "try later": lambda: Answer(unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER), kind=RESPONSE),
    "unauthorized": lambda: Answer(unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED), kind=RESPONSE),
    "internal error": lambda: Answer(unsuccessful(ocsp.OCSPResponseStatus.INTERNAL_ERROR), kind=RESPONSE),
    "about another certificate": lambda: Answer(response(serial=7), kind=RESPONSE),
    "status unknown": lambda: Answer(response(status=ocsp.OCSPCertStatus.UNKNOWN), kind=RESPONSE),
    "signed by a stranger": lambda: Answer(response(key=STRANGER), kind=RESPONSE),
    "signed by a stranger with the issuer's name": lambda: Answer(by(responder(by=STRANGER, like=True)), kind=RESPONSE),
    "responder named by a stranger": lambda: Answer(by(responder(by=STRANGER)), kind=RESPONSE),
    "responder without the right to answer": lambda: Answer(by(responder(usage=False)), kind=RESPONSE),
    "responder whose certificate has ended": lambda: Answer(by(responder(days=-1)), kind=RESPONSE),
    "a day ahead": lambda: Answer(response(this=DAY, then=2 * DAY), kind=RESPONSE),
    "ended": lambda: Answer(response(this=-2 * DAY, then=-DAY), kind=RESPONSE),
    "signature spoilt": lambda: Answer(spoilt(response(), -1), kind=RESPONSE),
    "serial number spoilt": lambda: Answer(
        response().replace(seal_key().certificate.serial_number.to_bytes(20, "big").lstrip(b"\0")[-8:], b"12345678"),
        kind=RESPONSE,
    ),
    "revoked, says a stranger": lambda: Answer(
        response(key=STRANGER, status=ocsp.OCSPCertStatus.REVOKED), kind=RESPONSE
    ),
}


def authority_list(
    *,
    this: timedelta = -HOUR,
    then: timedelta = HOUR,
    key: ec.EllipticCurvePrivateKey | None = None,
    name: x509.Name | None = None,
    more: tuple[x509.ExtensionType, bool] | None = None,
    revoked: int | None = None,
) -> bytes:
    own_key, own = issuing()
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name or own.subject)
        .last_update(now() + this)
        .next_update(now() + then)
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    if more:
        builder = builder.add_extension(more[0], critical=more[1])
    if revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(revoked).revocation_date(now() - DAY)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key or own_key, hashes.SHA256()).public_bytes(Encoding.DER)


def scope(**chosen: bool) -> x509.IssuingDistributionPoint:
    given = dict.fromkeys(
        (
            "only_contains_user_certs",
            "only_contains_ca_certs",
            "indirect_crl",
            "only_contains_attribute_certs",
        ),
        False,
    )
    return x509.IssuingDistributionPoint(
        full_name=None, relative_name=None, only_some_reasons=None, **{**given, **chosen}
    )


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")

LIST_LIES: dict[str, Callable[[], Answer]] = {
    "a page instead": lambda: Answer(b"<html>none</html>", kind="text/html"),
    "garbage": lambda: Answer(b"\x30\x03garbage"),
    "nothing": lambda: Answer(b""),
    "cut short": lambda: Answer(authority_list()[:-9]),
    "not found": lambda: Answer(status=404),
    "out of order": lambda: Answer(status=500),
    "ended": lambda: Answer(authority_list(this=-2 * DAY, then=-DAY)),
    "a day ahead": lambda: Answer(authority_list(this=DAY, then=2 * DAY)),
    "signed by a stranger": lambda: Answer(authority_list(key=STRANGER)),
    "of another authority": lambda: Answer(authority_list(name=roots()[0].subject)),
    "signature spoilt": lambda: Answer(spoilt(authority_list(), -1)),
    "an unknown condition": lambda: Answer(authority_list(more=(UNKNOWN, True))),
    "about authorities alone": lambda: Answer(authority_list(more=(scope(only_contains_ca_certs=True), True))),
    "about attributes alone": lambda: Answer(authority_list(more=(scope(only_contains_attribute_certs=True), True))),
    "revoked, says a stranger": lambda: Answer(
        authority_list(key=STRANGER, revoked=seal_key().certificate.serial_number)
    ),
}


class Issuer:
    """Answers as told about the seal's certificate, honestly about all else."""

    def __init__(self) -> None:
        self.honest = StatusMaker(pki().folder)
        self.ocsp: Callable[[], Answer] | None = None
        self.lists: Callable[[], Answer] | None = None
        self.asked = 0

    def __call__(self, request: bytes) -> Answer:
        self.asked += 1
        if request.endswith(b".crl"):
            name = request.decode().rpartition("/")[2].removesuffix(".crl")
            lies = self.lists if name == "issuing" else None
            return lies() if lies else Answer(self.honest.revocation_list(name) or b"")
        about = asn1_ocsp.OCSPRequest.load(request)["tbs_request"]["request_list"][0]["req_cert"][
            "serial_number"
        ].native
        if self.ocsp and about == seal_key().certificate.serial_number:
            return self.ocsp()
        return Answer(self.honest.respond(request), kind=RESPONSE)


def away() -> Answer:
    return Answer(status=503)


@pytest.mark.parametrize("lie", OCSP_LIES)
def test_no_false_response_is_believed_and_the_list_serves_instead(lie: str) -> None:
    issuer = Issuer()
    issuer.ocsp = OCSP_LIES[lie]
    with lying_server(issuer) as url:
        data = asked_of(revocation(url))
        assert (len(data.ocsps), len(data.crls)) == (0, 2)
        issuer.lists = away
        with pytest.raises(RevocationUnavailable) as caught:
            asked_of(revocation(url))
    assert caught.value.retryable


@pytest.mark.parametrize("lie", LIST_LIES)
def test_no_false_list_is_believed(lie: str) -> None:
    issuer = Issuer()
    issuer.ocsp, issuer.lists = away, LIST_LIES[lie]
    with lying_server(issuer) as url, pytest.raises(RevocationUnavailable) as caught:
        asked_of(revocation(url))
    assert caught.value.code == "revocation_unavailable"


def test_an_endless_list_is_given_up() -> None:
    issuer = Issuer()
    issuer.ocsp, issuer.lists = away, lambda: Answer(bytes(40 * 1024 * 1024))
    with lying_server(issuer) as url, pytest.raises(RevocationUnavailable):
        asked_of(revocation(url))


def test_a_responder_with_the_right_to_answer_is_believed() -> None:
    issuer, made = Issuer(), responder()
    issuer.ocsp = lambda: Answer(by(made), kind=RESPONSE)
    with lying_server(issuer) as url:
        data = asked_of(revocation(url))
    assert made[1].public_bytes(Encoding.DER) in data.certificates


@pytest.mark.parametrize("by_list", [False, True])
def test_a_revoked_certificate_is_told_from_silence(*, by_list: bool) -> None:
    issuer = Issuer()
    if by_list:
        issuer.ocsp = away
        issuer.lists = lambda: Answer(authority_list(revoked=seal_key().certificate.serial_number))
    else:
        issuer.ocsp = lambda: Answer(response(status=ocsp.OCSPCertStatus.REVOKED), kind=RESPONSE)
    with lying_server(issuer) as url, pytest.raises(CertificateRevoked) as caught:
        asked_of(revocation(url))
    assert caught.value.retryable


def test_a_revoked_issuer_takes_everything_below_with_it(tmp_path: Path) -> None:
    made = ensure_pki(tmp_path / "pki")
    seal = ensure_seal(made.folder, "Gemeente Voorbeeld", "x")
    key = FileSealKey.from_pem(seal.key, seal.certificate, seal.chain)
    trusted = load_certificates(made.trust_anchor)
    with honest_server(status=StatusMaker(made.folder)) as url:
        with revocation(url, trust_roots=trusted) as source:
            assert source.data(key.certificate, key.chain, at=now()).ocsps
        revoke(made.folder, key.chain[0], since=now() - DAY)
        with revocation(url, trust_roots=trusted) as source, pytest.raises(CertificateRevoked):
            source.data(key.certificate, key.chain, at=now())
    shutil.rmtree(tmp_path / "pki")


def test_a_certificate_under_another_root_is_not_asked_about(tmp_path: Path) -> None:
    strangers = load_certificates(ensure_pki(tmp_path).trust_anchor)
    issuer = Issuer()
    with lying_server(issuer) as url, pytest.raises(KeyUnusable):
        asked_of(revocation(url, trust_roots=strangers))
    assert issuer.asked == 0


def test_answers_are_kept_renewed_at_half_their_life_and_used_to_their_end() -> None:
    issuer, time = Issuer(), [now()]
    with lying_server(issuer) as url:
        source = revocation(url, clock=lambda: time[0])
        first = asked_of(source)
        assert asked_of(source) == first
        assert issuer.asked == 2
        # Behind half of its life a newer answer is asked for; who doesn't give one holds nothing up until the end.
        tries: list[int] = []

        def counted() -> Answer:
            tries.append(1)
            return away()

        issuer.ocsp = issuer.lists = counted
        time[0] += timedelta(hours=7)
        for _ in range(3):
            assert asked_of(source).ocsps[-1] == first.ocsps[-1]
        assert len(tries) == 2, "a failed attempt, at the responder and the list, is not repeated at once"
        time[0] += timedelta(hours=6)
        with pytest.raises(RevocationUnavailable):
            asked_of(source)
        with pytest.raises(RevocationUnavailable):
            asked_of(source)


def test_after_a_silence_the_next_answer_serves() -> None:
    issuer, time = Issuer(), [now()]
    issuer.ocsp = issuer.lists = away
    with lying_server(issuer) as url:
        source = revocation(url, clock=lambda: time[0])
        for _ in range(2):
            with pytest.raises(RevocationUnavailable):
                asked_of(source)
        issuer.ocsp = issuer.lists = None
        time[0] += timedelta(seconds=61)
        assert asked_of(source).ocsps


def test_a_dead_issuer_is_unavailable() -> None:
    with pytest.raises(RevocationUnavailable):
        asked_of(revocation("http://127.0.0.1:9/"))
