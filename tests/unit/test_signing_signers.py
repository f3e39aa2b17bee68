"""Who may sign: people by a certificate for signing of theirs, from an issuer that is believed, as the level asks."""

import base64
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from signing import webeid
from signing.algorithms import Mechanism
from signing.errors import CertificateRevoked, RevocationUnavailable, SignatureRefused, SignerUnacceptable
from signing.signers import LARGEST_CERTIFICATE, SignatureLevel, SignerCheck, must_be
from signing.webeid import Algorithm
from tests.card_support import AN, Card, issue
from tests.signing_support import pki, roots

NOW = datetime.now(UTC)


def issuer() -> x509.Certificate:
    return x509.load_pem_x509_certificate((pki().folder / "issuing.cert.pem").read_bytes())


def check(**changes: Any) -> SignerCheck:
    return SignerCheck(roots(), **{"issuers": [issuer()], "qualified": [issuer()], **changes})


@cache
def card(kind: str = "p-384") -> Card:
    return issue(pki().folder, kind=kind)


def refused(der: bytes, who: SignerCheck | None = None, *, at: datetime = NOW) -> str:
    with pytest.raises(SignerUnacceptable) as caught:
        (who or check()).check(der, at=at)
    return caught.value.code


def test_a_card_like_a_belgian_one_makes_qualified_signatures() -> None:
    signer = check().check(card().der, at=NOW)
    assert (signer.name, signer.number, signer.level) == ("An Peeters (Signature)", AN, SignatureLevel.QUALIFIED)
    assert [each.subject for each in signer.chain] == [issuer().subject, roots()[0].subject]
    must_be(signer, number=AN, level=SignatureLevel.QUALIFIED)
    assert AN not in repr(signer)


def test_a_number_with_its_prefix_is_the_same_number() -> None:
    assert check().check(issue(pki().folder, number=f"PNOBE-{AN}").der, at=NOW).number == AN


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"starts": timedelta(days=1), "ends": timedelta(days=2)}, "certificate_not_valid_now"),
        ({"starts": timedelta(days=-2), "ends": timedelta(days=-1)}, "certificate_not_valid_now"),
        ({"signs": False}, "certificate_not_for_signing"),
        ({"signs": None}, "certificate_not_for_signing"),
        ({"authority": True}, "certificate_is_an_authority"),
        ({"kind": "rsa-1024"}, "key_too_weak"),
        ({"kind": "p-192"}, "key_too_weak"),
    ],
)
def test_certificates_that_nobody_may_sign_with(how: dict[str, Any], code: str) -> None:
    assert refused(issue(pki().folder, **how).der) == code


def test_only_issuers_that_were_configured_are_believed() -> None:
    assert refused(card().der, check(issuers=[])) == "certificate_untrusted"
    assert refused(card().der, SignerCheck([])) == "certificate_untrusted"


@pytest.mark.parametrize("der", [b"", b"0", b"\x30\x82\xff\xff", bytes(LARGEST_CERTIFICATE + 1)])
def test_what_is_no_certificate_is_said_to_be_none(der: bytes) -> None:
    assert refused(der) == "certificate_malformed"


@pytest.mark.filterwarnings("ignore:Attribute's length:UserWarning")
@given(st.data())
def test_no_changed_certificate_is_believed(data: st.DataObject) -> None:
    der = bytearray(card().der)
    place = data.draw(st.integers(0, len(der) * 8 - 1))
    der[place // 8] ^= 1 << place % 8
    assert refused(bytes(der))


class Said:
    """A revocation source that says one thing."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def data(self, *_: Any, **__: Any) -> Any:
        if self.error:
            raise self.error


def test_a_revoked_certificate_signs_nothing_and_silence_is_no_answer() -> None:
    assert refused(card().der, check(revocation=Said(CertificateRevoked("gone")))) == "certificate_revoked"
    with pytest.raises(RevocationUnavailable):
        check(revocation=Said(RevocationUnavailable("away"))).check(card().der, at=NOW)
    assert check(revocation=Said(None)).check(card().der, at=NOW)


def test_qualified_is_said_only_of_certificates_that_say_so_from_issuers_that_may() -> None:
    everything = check()
    assert everything.check(issue(pki().folder, statements=()).der, at=NOW).level is SignatureLevel.ADVANCED
    compliance = ("0.4.0.1862.1.1",)
    assert everything.check(issue(pki().folder, statements=compliance).der, at=NOW).level is SignatureLevel.ADVANCED
    assert check(qualified=[]).check(card().der, at=NOW).level is SignatureLevel.ADVANCED


@pytest.mark.parametrize(("type_", "level"), [("1", "qualified"), ("2", "advanced"), ("3", "advanced")])
def test_a_certificate_for_seals_or_web_sites_makes_no_qualified_signature(type_: str, level: str) -> None:
    typed = issue(pki().folder, type_of_certificate=f"0.4.0.1862.1.6.{type_}")
    assert check().check(typed.der, at=NOW).level == level


def test_somebody_else_may_not_sign() -> None:
    signer = check().check(card().der, at=NOW)
    with pytest.raises(SignerUnacceptable) as caught:
        must_be(signer, number="17073003384", level=SignatureLevel.ADVANCED)
    assert caught.value.code == "signer_differs"
    nobody = check().check(issue(pki().folder, number=None).der, at=NOW)
    with pytest.raises(SignerUnacceptable) as caught:
        must_be(nobody, number=AN, level=SignatureLevel.ADVANCED)
    assert caught.value.code == "certificate_without_number"
    lesser = check().check(issue(pki().folder, statements=()).der, at=NOW)
    must_be(lesser, number=AN, level=SignatureLevel.ADVANCED)
    with pytest.raises(SignerUnacceptable) as caught:
        must_be(lesser, number=AN, level=SignatureLevel.QUALIFIED)
    assert caught.value.code == "level_not_reached"


@pytest.mark.parametrize(
    ("kind", "chosen"),
    [
        ("p-384", Mechanism.ECDSA_SHA384),
        ("p-256", Mechanism.ECDSA_SHA256),
        ("rsa-2048", Mechanism.RSA_SHA256),
    ],
)
def test_the_mechanism_fits_the_key(kind: str, chosen: Mechanism) -> None:
    offered = [Algorithm(*each.values()) for each in card(kind).signing_certificate()["supportedSignatureAlgorithms"]]
    assert webeid.choose(card(kind).certificate, offered) is chosen


@pytest.mark.parametrize(
    "offered",
    [
        [],
        [Algorithm("ECC", "SHA-1", "NONE")],
        [Algorithm("RSA", "SHA-256", "PKCS1.5")],
        [Algorithm("ECC", "SHA-384", "PKCS1.5")],
    ],
)
def test_a_card_that_knows_nothing_good_is_told_so(offered: list[Algorithm]) -> None:
    with pytest.raises(SignerUnacceptable) as caught:
        webeid.choose(card().certificate, offered)
    assert caught.value.code == "algorithms_not_accepted"


def test_another_hash_is_taken_where_the_card_has_no_better() -> None:
    assert webeid.choose(card().certificate, [Algorithm("ECC", "SHA-256", "NONE")]) is Mechanism.ECDSA_SHA256


SHA384 = Algorithm("ECC", "SHA-384", "NONE")


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("!", SHA384),
        ("", SHA384),
        (base64.b64encode(bytes(95)).decode(), SHA384),
        (base64.b64encode(bytes(97)).decode(), SHA384),
        (base64.b64encode(bytes(96)).decode(), Algorithm("ECC", "SHA-256", "NONE")),
        (base64.b64encode(bytes(96)).decode(), Algorithm("RSA", "SHA-384", "PKCS1.5")),
        ("A" * 4000, SHA384),
    ],
)
def test_answers_of_another_kind_are_refused(text: str, used: Algorithm) -> None:
    with pytest.raises(SignatureRefused):
        webeid.signature(text, used, Mechanism.ECDSA_SHA384, card().certificate)


def test_an_rsa_signature_has_the_keys_length() -> None:
    used = Algorithm("RSA", "SHA-256", "PKCS1.5")
    right = base64.b64encode(bytes(256)).decode()
    assert webeid.signature(right, used, Mechanism.RSA_SHA256, card("rsa-2048").certificate) == bytes(256)
    with pytest.raises(SignatureRefused):
        webeid.signature(
            base64.b64encode(bytes(128)).decode(), used, Mechanism.RSA_SHA256, card("rsa-2048").certificate
        )


def test_text_that_is_not_base_64_is_no_certificate() -> None:
    with pytest.raises(SignerUnacceptable):
        webeid.certificate("no base 64")
    assert webeid.certificate(card().signing_certificate()["certificate"]) == card().der
